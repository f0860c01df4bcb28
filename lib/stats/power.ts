// How small a change a comparison could show: the smallest true difference in accuracy that a paired
// test on these problems and samples would find significant with a given probability (the power).

import { HeadsparkError } from '../errors.js';
import { fairCoinPValue } from './binomial.js';
import { normalQuantile } from './normal.js';
import { checkConfidence } from './quantile.js';

export interface PowerOptions {
  /** Two-sided significance level; default 0.05. */
  readonly alpha?: number;
  /** Default 0.8. */
  readonly power?: number;
}

export interface DetectableChange {
  /** Share of 0 to 1; NaN when no change of this many problems could be significant. */
  readonly change: number;
  readonly method: 'mcnemar-exact' | 'normal';
}

/** P(X >= limit) of a binomial variable. */
function upperTail(limit: number, n: number, p: number): number {
  if (limit <= 0) return 1;
  if (p <= 0) return 0;
  if (p >= 1) return limit <= n ? 1 : 0;
  let logTerm = n * Math.log1p(-p);
  let below = Math.exp(logTerm);
  for (let k = 1; k < limit; k++) {
    logTerm += Math.log((n - k + 1) / k) + Math.log(p) - Math.log1p(-p);
    below += Math.exp(logTerm);
  }
  return Math.max(0, 1 - below);
}

/** The least number of flips, all in one direction, that the exact test calls significant. */
export function fewestFlips(alpha: number): number {
  checkConfidence(alpha);
  let flips = 1;
  while (fairCoinPValue(0, flips) > alpha) flips++;
  return flips;
}

/**
 * One answer per problem: each flips from right to wrong with probability d and none the other way,
 * the easiest case there is; d solves P(Binomial(problems, d) >= flips that McNemar's exact test
 * needs) = power. NaN when there are fewer problems than flips needed.
 */
export function detectableByMcNemar(problems: number, options: PowerOptions = {}): number {
  const { alpha = 0.05, power = 0.8 } = options;
  checkConfidence(power);
  const flips = fewestFlips(alpha);
  if (flips > problems) return NaN;
  let [low, high] = [0, 1];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (upperTail(flips, problems, middle) >= power) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * Several samples per problem: (z_{1-alpha/2} + z_power) times the standard error of the mean paired
 * difference when both variants are alike: sqrt(sum over problems of 2 p(1-p)/n) / problems. p is
 * the unablated share of right samples with half a right and half a wrong one added (Jeffreys), so
 * that problems always or never solved do not count as certain. A true effect that differs between
 * problems needs a larger mean change than this.
 */
export function detectableBySampling(
  rightSamples: readonly number[],
  samples: number,
  options: PowerOptions = {},
): number {
  const { alpha = 0.05, power = 0.8 } = options;
  checkConfidence(alpha);
  checkConfidence(power);
  let variance = 0;
  for (const right of rightSamples) {
    const share = (right + 0.5) / (samples + 1);
    variance += (2 * share * (1 - share)) / samples;
  }
  const error = Math.sqrt(variance) / rightSamples.length;
  return (normalQuantile(1 - alpha / 2) + normalQuantile(power)) * error;
}

/**
 * The smallest change in accuracy that these problems and samples could show.
 * @param rightSamples Per problem, how many of the unablated model's samples are right.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for no problems, or counts outside 0 … samples.
 */
export function detectableChange(
  rightSamples: readonly number[],
  samples: number,
  options: PowerOptions = {},
): DetectableChange {
  const fits = (right: number): boolean =>
    Number.isInteger(right) && right >= 0 && right <= samples;
  if (!Number.isInteger(samples) || samples < 1 || rightSamples.length === 0) {
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', 'power: no problems or no samples');
  }
  if (!rightSamples.every(fits)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `power: the right samples of a problem must be whole numbers from 0 to ${samples}`,
    );
  }
  return samples === 1
    ? { change: detectableByMcNemar(rightSamples.length, options), method: 'mcnemar-exact' }
    : { change: detectableBySampling(rightSamples, samples, options), method: 'normal' };
}
