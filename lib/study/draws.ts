// How much chance the statistics of a stage draw: bootstraps, permutation tests, correlations. In
// draws of a bootstrap; what another test takes beside one was measured on this project's own code.

import { defaultResamples, permutationsFor } from '../ablation/ablate.js';
import { defaultKs } from '../evaluation/table.js';
import { correlatedNames, defaultHeadResamples } from '../heads/correlation.js';
import { headPropertyNames } from '../heads/properties.js';
import { headStatistics } from './head-statistics.js';
import type { BenchmarkSpec, Study } from './study.js';

/** A random sign of a permutation test of pairs. */
const sign = 1 / 6;
/** A value of a resample whose ranks are taken. */
const rankedValue = 10;
/** A value of a mean over draws that many means share. */
const sharedDraw = 0.05;
/** A value moved by a permutation. */
const movedValue = 1;

/** Sets of heads, and the random sets of all of them. */
export interface RowCounts {
  readonly sets: number;
  readonly random: number;
}

/** Of a table of ablations on pairs: two intervals and a test of every set, two more with controls. */
export function ablationDraws({ sets, random }: RowCounts, pairs: number): number {
  const intervals = random > 0 ? 4 : 2;
  return sets * pairs * (intervals * defaultResamples + permutationsFor(sets, pairs) * sign);
}

const headResamples = (study: Study): number =>
  headStatistics(study).resamples ?? defaultHeadResamples;

/** Of a table of what heads do: a mean of every head and property over the same draws. */
export const headTableDraws = (heads: number, pairs: number, study: Study): number =>
  headPropertyNames.length * heads * headResamples(study) * pairs * sharedDraw;

/** Of the correlations of every property of heads with the effects of their ablation. */
export function correlationDraws(heads: number, study: Study): number {
  // Over all heads, and within layers.
  const moved = 2 * study.statistics.permutations * movedValue;
  return correlatedNames.length * heads * (headResamples(study) * rankedValue + moved);
}

/** Of a table of answers: scores, pass@k, failures and the change by every set, scores of random sets. */
export function answerDraws(spec: BenchmarkSpec, problems: number, rows: RowCounts): number {
  const ks = spec.sampling.ks ?? defaultKs(spec.sampling.samples);
  const failures = 10 * 2000;
  const scores = (2 + 2 * ks.length) * defaultResamples + failures;
  // Of accuracy, of pass@k, and against the random sets.
  const changes = (3 * 20_000 + failures) * sign;
  return problems * (scores + rows.sets * (scores + changes) + rows.random * 1000);
}

/** Of the overlaps of several series: their heads drawn anew within layers, by view. */
export function overlapDraws(series: number, heads: number, { statistics }: Study): number {
  return 2 * statistics.permutations * series * heads * movedValue;
}
