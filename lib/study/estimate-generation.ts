// How fast the models of a study answer its benchmarks, and how long their answers are: a few
// problems, a few tokens. An answer that is not finished by then counts with all it may have, so an
// estimate is rather too high than too low.

import { answerBenchmark } from '../evaluation.js';
import type { SampleRecord } from '../evaluation/types.js';
import { askedForm } from './benchmark-facts.js';
import type { Facts } from './facts.js';
import type { ModelPool } from './model-pool.js';
import type { StageWork } from './stage.js';
import type { Study } from './study.js';
import { timed } from './timing.js';

/** Seconds of a prompt, and of one answer after it. */
export interface GenerationRates {
  readonly prompt: number;
  readonly sample: number;
}

type GenerationWork = NonNullable<StageWork['generation']>;

export const generationKey = ({ benchmark, form, checkpoint }: GenerationWork) =>
  JSON.stringify([benchmark, form, checkpoint]);

/** Enough rows to fill a decode step; few enough to take a moment. */
export const sampleRows = 32;
export const sampleTokens = 48;

/** What some stages need to be measured, each once. */
export function generationWork(works: readonly StageWork[]): GenerationWork[] {
  const own = works.flatMap(({ generation }) => (generation ? [generation] : []));
  return [...new Map(own.map((work) => [generationKey(work), work])).values()];
}

export async function measureGeneration(
  work: GenerationWork,
  of: { study: Study; facts: Facts; pool: ModelPool },
  signal: AbortSignal | undefined,
): Promise<GenerationRates> {
  const { study, facts, pool } = of;
  const spec = study.benchmarks.find(({ name }) => name === work.benchmark)!;
  const form = spec.forms.find(({ name }) => name === work.form)!;
  const { benchmark } = facts.benchmarks.get(spec.name)!;
  const problems = benchmark.problems.slice(0, sampleRows);
  const model = await pool.get(study.checkpoints.find(({ name }) => name === work.checkpoint)!);
  const { sampling, stopStrings, stopTokens, seed, maxNewTokens } = spec.sampling;
  const answer = async (tokens: number): Promise<SampleRecord[]> => {
    const { samples } = await answerBenchmark(
      model,
      { ...benchmark, problems },
      {
        prompt: askedForm(spec, form),
        // The temperature of the study, even where several samples decide it.
        sampling:
          spec.sampling.samples > 1 ? { temperature: 0.6, topP: 0.95, ...sampling } : sampling,
        stopStrings,
        ...(stopTokens === undefined ? {} : { stopTokens }),
        seed,
        sources: spec.sources,
        maxNewTokens: Math.min(tokens, maxNewTokens),
        signal,
      },
    );
    return [...samples.values()];
  };
  const { seconds: first } = await timed(() => answer(1));
  const { seconds: longer, result: records } = await timed(() => answer(sampleTokens));
  // Every answer has the token that ends the first run.
  const more = records.reduce((sum, { tokens }) => sum + tokens.length - 1, 0);
  const perToken = Math.max(0, longer - first) / Math.max(1, more);
  const expected = records.reduce(
    (sum, { finish, tokens }) => sum + (finish === 'length' ? maxNewTokens : tokens.length),
    0,
  );
  return {
    prompt: first / problems.length,
    sample: (perToken * expected) / records.length,
  };
}
