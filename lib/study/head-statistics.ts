// The settings of the statistics of heads: what their stages run with, and what their plan counts.

import type { Study } from './study.js';

/** More resamples than this change no digit that is shown. */
const mostResamples = 100_000;

/** Of means over prompts and of correlations over heads. */
export function headStatistics({ statistics, seed }: Study) {
  const { confidence, resamples } = statistics;
  return {
    confidence,
    seed,
    ...(resamples === 'auto' ? {} : { resamples: Math.min(resamples, mostResamples) }),
  };
}
