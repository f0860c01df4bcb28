// How much one stage weighs against another in a progress bar, before anything was measured.

import type { StageNode } from './graph.js';

/** A pass over one pair costs far more than a multiply-add of resampling (about 1.4 ns). */
const secondsPerPass = 2e-3;
const secondsPerMultiplyAdd = 1.4e-9;
/** Of the most tokens, of which few samples need all. */
const secondsPerToken = 5e-5;
const secondsPerStage = 0.05;

/** Nominal seconds. */
export function estimateWeight({ work }: StageNode): number {
  const { forwards, backwards, rate, units, newTokens = 0 } = work;
  const tokens = secondsPerToken * newTokens;
  const resampling = rate === 'resampling' ? units * secondsPerMultiplyAdd : 0;
  return secondsPerStage + secondsPerPass * (forwards + backwards) + tokens + resampling;
}
