// Percentile bootstrap intervals of a mean and of a paired mean difference
// (Efron 1979). Pairs are resampled whole, so what is paired stays paired.

import { checkNumbers, checkSomeOptions } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { shown } from '../option-checks.js';
import { atOnce, type Steps } from '../turns.js';
import { checkConfidence, mean, percentileBounds, type Interval } from './quantile.js';
import type { Random } from './random.js';
import { differenceOf } from './rounding.js';
import { sharedIndexes } from './shared-draws.js';

/** How a percentile bootstrap resamples; the same options give the same bits. */
export interface BootstrapOptions {
  /** Default 10,000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** How often each of `count` items is drawn in `count` draws with replacement. */
export function resampleWeights(random: Random, count: number, weights: Uint32Array): void {
  weights.fill(0);
  for (let draw = 0; draw < count; draw++) weights[random.below(count)]++;
}

/** Every resample's value is kept until the bounds are known. */
const mostResamples = 10_000_000;

function checkResamples(resamples: number): void {
  if (!Number.isInteger(resamples) || resamples < 1 || resamples > mostResamples) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `bootstrap: resamples must be a whole number from 1 to ${mostResamples}, got ${resamples}`,
    );
  }
}

/** Draws of one step, which take a millisecond or two. */
const stepDraws = 1 << 16;

/**
 * Interval of any statistic of items 0 … count-1. The statistic gets the indexes of a resample
 * (with repeats); the estimate is its value on all items. One item has no interval: its resamples are
 * all alike, which is no sign of precision. A statistic that is not finite is undefined: without an
 * estimate there is no interval, and resamples without a value are counted and may lie anywhere (see
 * percentileBounds), so that more than 2.5 % of them at a confidence of 0.95 leave no interval either.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function bootstrapStatistic(
  count: number,
  statistic: (indexes: Uint32Array) => number,
  options: BootstrapOptions = {},
): Interval {
  return atOnce(bootstrapSteps(count, statistic, options));
}

/** `bootstrapStatistic`, some resamples at a time. */
export function* bootstrapSteps(
  count: number,
  statistic: (indexes: Uint32Array) => number,
  options: BootstrapOptions = {},
): Steps<Interval> {
  checkSomeOptions('bootstrap', options);
  const { resamples = 10_000, confidence = 0.95, seed = 0 } = options;
  checkResamples(resamples);
  checkConfidence(confidence);
  if (!Number.isInteger(count) || count < 1) {
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', 'bootstrap of no values');
  }
  if (typeof statistic !== 'function') {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `bootstrap takes the statistic as a function of indexes, not ${shown(statistic)}.`,
    );
  }
  const indexes = Uint32Array.from({ length: count }, (_, index) => index);
  const estimate = statistic(indexes);
  if (count === 1 || !Number.isFinite(estimate)) {
    return { estimate, low: Number.NaN, high: Number.NaN };
  }
  const draw = sharedIndexes(seed, count, resamples * count);
  const values = new Float64Array(resamples);
  const perStep = Math.max(1, Math.floor(stepDraws / count));
  for (let resample = 0; resample < resamples; resample++) {
    draw(indexes);
    values[resample] = statistic(indexes);
    if (resample % perStep === perStep - 1) yield;
  }
  const undefinedResamples = resamples - values.filter(Number.isFinite).length;
  return {
    estimate,
    ...percentileBounds(values, confidence),
    ...(undefinedResamples > 0 ? { undefinedResamples } : {}),
  };
}

/**
 * Percentile interval of the mean.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT without values, and for one that is not finite: what a missing
 *   value stands for is the caller's to say.
 */
export function bootstrapMean(values: ArrayLike<number>, options?: BootstrapOptions): Interval {
  return atOnce(meanSteps(values, options));
}

/** `bootstrapMean`, some resamples at a time. */
export function* meanSteps(values: ArrayLike<number>, options?: BootstrapOptions): Steps<Interval> {
  checkNumbers('bootstrapMean', values);
  const numbers = Float64Array.from(values);
  const odd = numbers.findIndex((value) => !Number.isFinite(value));
  if (odd >= 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `bootstrapMean: value ${odd} is ${numbers[odd]}; leave it out or say what it stands for.`,
    );
  }
  const statistic = (indexes: Uint32Array): number => {
    let sum = 0;
    for (let draw = 0; draw < indexes.length; draw++) sum += numbers[indexes[draw]];
    return sum / indexes.length;
  };
  const interval = yield* bootstrapSteps(numbers.length, statistic, options);
  return { ...interval, estimate: mean(numbers) };
}

/** after[i] - before[i], rounding left out. Throws ERR_HEADSPARK_INVALID_ARGUMENT when the lengths differ. */
export function pairedDifferences(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
): Float64Array {
  checkNumbers('paired differences', before);
  checkNumbers('paired differences', after);
  if (before.length !== after.length) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `paired values must have one length, got ${before.length} and ${after.length}`,
    );
  }
  return Float64Array.from({ length: before.length }, (_, index) =>
    differenceOf(before[index], after[index]),
  );
}

/** Percentile interval of mean(after - before), pairs resampled whole. */
export function bootstrapPairedDifference(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  options?: BootstrapOptions,
): Interval {
  return bootstrapMean(pairedDifferences(before, after), options);
}

/** Standard error of the mean (n - 1 in the variance); 0 for a single value. */
export function standardError(values: ArrayLike<number>): number {
  const center = mean(values);
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += (values[index] - center) ** 2;
  return values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1) / values.length);
}
