// Pairs whose openings the models write themselves, as far as they are known before anything runs:
// the prompts, and stand-ins of the right length for what is planned and measured.

import { createHash } from 'node:crypto';
import { benchmarkPrompts, resolvePromptForm } from '../benchmarks/prompts.js';
import { readBenchmark } from '../benchmarks/read.js';
import { HeadsparkError } from '../errors.js';
import type { Model } from '../model.js';
import type { TokenizedPair } from '../pairs.js';
import { askedForm } from './benchmark-facts.js';
import type { PairsFacts } from './facts.js';
import type { PairsInput, PromptForm, Study } from './study.js';

export interface OpeningsFacts {
  readonly prompts: readonly { readonly id: string; readonly tokens: Int32Array }[];
  /** Name of the post-trained model that writes the other opening. */
  readonly by: string;
  /** Tokens of an opening, at most. */
  readonly length: number;
}

type OpeningsInput = PairsInput & { kind: 'openings' };

/** The model that a base is set against: the one named, or the last of its first series. */
export function writerBeside(base: string, input: OpeningsInput, study: Study): string {
  const own = study.series.filter((series) => series.base.name === base);
  const named = own
    .flatMap(({ checkpoints }) => checkpoints)
    .find(({ name }) => name === input.by)?.name;
  return named ?? own[0].checkpoints.at(-1)!.name;
}

/** A pair of the length that a real one has at most. */
function standIn(prompt: Int32Array, index: number, length: number): TokenizedPair {
  const tokens = (filler: number): Int32Array =>
    Int32Array.from([...prompt, ...Array.from({ length }, () => filler)]);
  return {
    index,
    line: index + 1,
    clean: tokens(0),
    corrupted: tokens(1),
    correct: [0],
    incorrect: [1],
    continuation: [0],
  };
}

/** @throws as `readBenchmark` and `benchmarkPrompts` do; ERR_HEADSPARK_INVALID_ARGUMENT for prompts too long. */
export async function openingsFacts(
  model: Model,
  of: { base: string; form: PromptForm; input: OpeningsInput; study: Study; limit?: number },
): Promise<PairsFacts> {
  const { base, form, input, study } = of;
  const limits = [input.limit, of.limit].filter((limit) => limit !== undefined);
  const benchmark = await readBenchmark(input.problems, {
    folder: input.folder,
    ...(limits.length === 0 ? {} : { limit: Math.min(...limits) }),
  });
  const asked = resolvePromptForm(askedForm(input, form), model, benchmark.suffix);
  const prompts = benchmarkPrompts(benchmark, asked, model).map((tokens, index) => ({
    id: benchmark.problems[index].id,
    tokens,
  }));
  const length = input.openingLength;
  const { maxPositions, folder } = model.info;
  const long = prompts.find(({ tokens }) => tokens.length + length + 1 > maxPositions);
  if (long) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `an opening of ${length} tokens after problem "${long.id}" does not fit the ${maxPositions} ` +
        `positions of ${folder}; shorten opening-length.`,
    );
  }
  const hash = createHash('sha256').update(`${length}\n`);
  prompts.forEach(({ id, tokens }) => hash.update(`${JSON.stringify([id, [...tokens]])}\n`));
  const pairs = prompts.map(({ tokens }, index) => standIn(tokens, index, length));
  return {
    pairs,
    hash: hash.digest('hex'),
    tokens: pairs.reduce((sum, { clean }) => sum + clean.length, 0),
    openings: { prompts, by: writerBeside(base, input, study), length },
  };
}
