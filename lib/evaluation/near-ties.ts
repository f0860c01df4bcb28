// Greedy tokens that two faithful implementations may choose differently: counted and listed, so that
// an accuracy can be compared with one recorded elsewhere.
import { shortFloat32 } from '../ablation/run.js';
import type { EvaluationSettings, NearestTie, NearTies, SampleRecord } from './types.js';

/**
 * Below this difference of the two largest logits a greedy token is a near-tie. Logits of this core
 * and of Hugging Face transformers in fp32 differ by up to 8e-5 on SmolLM2-135M (README), and every
 * instruction set adds in another order; both logits may move that far, in opposite directions. For
 * `--precision exact`; one bf16 term (`fast`) is coarser, and more of its tokens are near-ties.
 */
export const nearTieMargin = 2e-4;

const keptSamples = 100;

/** The smallest margin of a greedy sample and its token (from 0); null where nothing was greedy. */
export function nearestTieOf(margins: readonly number[]): NearestTie | null {
  let token = -1;
  margins.forEach((margin, index) => {
    if (Number.isFinite(margin) && (token < 0 || margin < margins[token])) token = index;
  });
  return token < 0 ? null : { margin: shortFloat32(margins[token]), token };
}

export const isNearTie = ({ nearestTie }: Pick<SampleRecord, 'nearestTie'>): boolean =>
  nearestTie !== null && nearestTie.margin < nearTieMargin;

/** A variant's samples as [problems][samples], with the names that a reader knows. */
export interface NamedGrid {
  readonly variant: string;
  readonly problems: readonly string[];
  readonly grid: readonly (readonly SampleRecord[])[];
}

/** The near-ties of all variants, the nearest first; null for a run that was not greedy. */
export function collectNearTies(
  settings: Pick<EvaluationSettings, 'sampling'>,
  grids: readonly NamedGrid[],
): NearTies | null {
  if (settings.sampling.temperature > 0) return null;
  const all = grids.flatMap(({ variant, problems, grid }) =>
    grid.flatMap((own, index) =>
      own.flatMap((record, sample) => {
        const { nearestTie, answer, correct } = record;
        if (nearestTie === null || !isNearTie(record)) return [];
        return [{ variant, problem: problems[index], sample, ...nearestTie, answer, correct }];
      }),
    ),
  );
  // Sorting is stable: equal margins stay in the order of variants, problems and samples.
  const samples = all.sort((a, b) => a.margin - b.margin).slice(0, keptSamples);
  return { below: nearTieMargin, count: all.length, samples };
}
