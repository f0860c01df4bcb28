// The problems of a study's benchmarks and how they are asked, looked up before anything runs: each
// file read, each prompt made once for every tokenizer and prompt form.

import { createHash } from 'node:crypto';
import {
  benchmarkPrompts,
  resolvePromptForm,
  type PromptForm as AskedForm,
} from '../benchmarks/prompts.js';
import { readBenchmark } from '../benchmarks/read.js';
import { repeatedProblemsRemark } from '../benchmarks/repeated.js';
import type { Benchmark } from '../benchmarks/types.js';
import { plural } from '../format-number.js';
import type { Model } from '../model.js';
import { benchmarkPlaces, gatedPlaces } from './benchmark-places.js';
import type { CheckpointFacts } from './facts.js';
import type { Problem, ValuePath } from './source.js';
import type { BenchmarkSpec, Checkpoint, PromptForm, Study } from './study.js';

/** The prompts of a benchmark under one form, in tokens. */
export interface PromptFacts {
  readonly tokens: number;
  readonly longest: number;
}

export interface BenchmarkFacts {
  readonly benchmark: Benchmark;
  /** By prompt form and `textHash`, as `promptKey` spells it. */
  readonly prompts: Map<string, PromptFacts>;
}

export const promptKey = (form: string, textHash: string): string => `${form}.${textHash}`;

/** The form in the words of an evaluation. */
export function askedForm(
  spec: Pick<BenchmarkSpec, 'template' | 'system' | 'suffix'>,
  { thinking }: PromptForm,
): AskedForm {
  const { template, system, suffix } = spec;
  return {
    ...(template === undefined ? {} : { template }),
    ...(thinking === undefined ? {} : { enableThinking: thinking }),
    ...(system === undefined ? {} : { system }),
    ...(suffix === undefined ? {} : { suffix }),
  };
}

/** What the reader is lent by facts.ts. */
export interface BenchmarkReading {
  readonly study: Study;
  readonly checkpoints: ReadonlyMap<string, CheckpointFacts>;
  readonly model: (checkpoint: Checkpoint) => Promise<Model>;
  /** Notes a failure of the library as a problem of the study file. */
  readonly failed: (error: unknown, path: ValuePath) => void;
  readonly problems: Problem[];
  readonly remarks: Set<string>;
}

/** A remark where a file holds fewer than the study's limit. */
export function limitRemark(
  file: string,
  { count, noun, limit }: { count: number; noun: string; limit: number | undefined },
): string | undefined {
  if (limit === undefined || count >= limit) return undefined;
  return `${file}: all of its ${plural(count, noun)} are fewer than the limit of ${limit}`;
}

async function readFileOf(
  spec: BenchmarkSpec,
  { failed, problems, remarks }: BenchmarkReading,
): Promise<Benchmark | undefined> {
  try {
    const benchmark = await readBenchmark(spec.file, {
      folder: spec.folder,
      ...(spec.limit === undefined ? {} : { limit: spec.limit }),
    });
    const count = benchmark.problems.length;
    if (spec.parts > count) {
      const message = `expected at most ${count}, the problems of "${spec.name}", got ${spec.parts}`;
      problems.push({ path: [...spec.path, 'parts'], message });
    }
    const few = limitRemark(spec.file, { count, noun: 'problem', limit: spec.limit });
    if (few !== undefined) remarks.add(few);
    const repeated = repeatedProblemsRemark(benchmark);
    if (repeated !== undefined) remarks.add(`${spec.file}: ${repeated}`);
    return { ...benchmark, name: spec.name };
  } catch (error) {
    failed(error, [...spec.path, 'file']);
    return undefined;
  }
}

/** Prompts of one form by the tokenizer of one checkpoint. */
function promptsOf(
  model: Model,
  of: { spec: BenchmarkSpec; form: PromptForm; benchmark: Benchmark },
): PromptFacts & { hash: string } {
  const { spec, form, benchmark } = of;
  const asked = resolvePromptForm(askedForm(spec, form), model, benchmark.suffix);
  const prompts = benchmarkPrompts(benchmark, asked, model);
  const hash = createHash('sha256');
  prompts.forEach((prompt) => hash.update(`${prompt.join(',')}\n`));
  const lengths = prompts.map(({ length }) => length);
  return {
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    longest: Math.max(...lengths),
    hash: hash.digest('hex'),
  };
}

class PromptReader {
  readonly #reading: BenchmarkReading;
  /** The first form that asked the same, by tokenizer and prompts. */
  readonly #asked = new Map<string, string>();

  constructor(reading: BenchmarkReading) {
    this.#reading = reading;
  }

  async read(
    { benchmark, prompts }: BenchmarkFacts,
    at: { spec: BenchmarkSpec; checkpoint: Checkpoint; form: PromptForm },
  ): Promise<void> {
    const { spec, checkpoint, form } = at;
    const facts = this.#reading.checkpoints.get(checkpoint.name);
    if (!facts || prompts.has(promptKey(form.name, facts.textHash))) return;
    const model = await this.#reading.model(checkpoint);
    const { hash, ...own } = promptsOf(model, { spec, form, benchmark });
    prompts.set(promptKey(form.name, facts.textHash), own);
    this.#checkLength(spec, checkpoint, { longest: own.longest, positions: facts.maxPositions });
    const key = `${spec.name} ${facts.textHash} ${hash}`;
    const other = this.#asked.get(key) ?? form.name;
    this.#asked.set(key, other);
    if (other === form.name) return;
    const message =
      `the prompt forms ${other} and ${form.name} ask "${spec.name}" in the same words; give one ` +
      'of them a thinking switch that the chat template reads, or leave one out of prompt-forms';
    this.#reading.problems.push({ path: spec.path, message });
  }

  #checkLength(
    spec: BenchmarkSpec,
    checkpoint: Checkpoint,
    { longest, positions }: { longest: number; positions: number },
  ): void {
    if (longest < positions) return;
    const message =
      `a prompt of "${spec.name}" has ${longest} tokens, and ${checkpoint.name} has ${positions} ` +
      'positions for prompt and answer; set a limit or leave the problem out';
    this.#reading.problems.push({ path: [...spec.path, 'file'], message });
  }
}

/** Tokens that a checkpoint does not have would never end its answers; each is wrong once. */
function checkStopTokens({ study, checkpoints, problems }: BenchmarkReading): void {
  const said = new Set<string>();
  for (const { spec, checkpoint } of [...benchmarkPlaces(study), ...gatedPlaces(study)]) {
    const vocab = checkpoints.get(checkpoint.name)?.vocab ?? Infinity;
    const own = [...spec.path, 'sampling', 'stop-tokens'];
    const path = study.source.has(own) ? own : ['sampling', 'stop-tokens'];
    (spec.sampling.stopTokens ?? []).forEach((id, index) => {
      const place = [...path, index];
      if (id < vocab || said.has(place.join())) return;
      said.add(place.join());
      const message = `expected an id below ${vocab}, the vocabulary of ${checkpoint.name}, got ${id}`;
      problems.push({ path: place, message });
    });
  }
}

/** Reads every benchmark and every prompt that the study asks. By name of the benchmark. */
export async function readBenchmarkFacts(
  reading: BenchmarkReading,
): Promise<Map<string, BenchmarkFacts>> {
  const { study, failed } = reading;
  checkStopTokens(reading);
  const facts = new Map<string, BenchmarkFacts>();
  for (const spec of study.benchmarks) {
    const benchmark = await readFileOf(spec, reading);
    if (benchmark) facts.set(spec.name, { benchmark, prompts: new Map() });
  }
  const reader = new PromptReader(reading);
  const broken = new Set<BenchmarkSpec>();
  for (const place of [...benchmarkPlaces(study), ...gatedPlaces(study)]) {
    const own = facts.get(place.spec.name);
    // One problem for a benchmark is enough: the next tokenizer would say the same.
    if (!own || broken.has(place.spec)) continue;
    try {
      await reader.read(own, place);
    } catch (error) {
      broken.add(place.spec);
      failed(error, place.spec.path);
    }
  }
  return facts;
}
