// Mean and quantiles. Quantiles interpolate linearly (type 7: NumPy's and R's default).

import { checkList } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { withoutRounding } from './rounding.js';

function checkNotEmpty(values: ArrayLike<number>, what: string): void {
  checkList(what, 'numbers', values);
  if (values.length === 0) {
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', `${what} of no values`);
  }
}

/** Arithmetic mean; 0 where the values cancel but for rounding. Throws ERR_HEADSPARK_INVALID_ARGUMENT without values. */
export function mean(values: ArrayLike<number>): number {
  checkNotEmpty(values, 'mean');
  let [sum, largest] = [0, 0];
  for (let index = 0; index < values.length; index++) {
    sum += values[index];
    largest = Math.max(largest, Math.abs(values[index]));
  }
  return withoutRounding(sum / values.length, largest);
}

/** Quantile of ascending values, 0 <= p <= 1, linear interpolation. */
export function quantileSorted(sorted: ArrayLike<number>, p: number): number {
  checkNotEmpty(sorted, 'quantile');
  if (!(p >= 0 && p <= 1)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `quantile: p must lie between 0 and 1, got ${p}`,
    );
  }
  const place = p * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below];
  const high = sorted[Math.min(below + 1, sorted.length - 1)];
  return low + (place - below) * (high - low);
}

/** Quantile of values in any order, NaN where one of them is; the argument is not changed. */
export function quantile(values: ArrayLike<number>, p: number): number {
  checkNotEmpty(values, 'quantile');
  const sorted = Float64Array.from(values).sort();
  const found = quantileSorted(sorted, p);
  // NaN is sorted to the end.
  return Number.isNaN(sorted[sorted.length - 1]) ? Number.NaN : found;
}

/**
 * An estimate with the bounds of its interval. Where one value says nothing of the spread, or the
 * statistic is undefined in too many resamples, there are none: both are NaN, and null in JSON.
 */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
  /** Resamples in which the statistic is undefined (a ratio with divisor 0); absent where in none. */
  readonly undefinedResamples?: number;
}

/**
 * The central `confidence` share of the values as [low, high]. Values that are not finite may lie
 * anywhere, so that each bound takes them to lie beyond it: a few widen the interval, and more than
 * the share of one tail (2.5 % at 0.95) leave it undefined, NaN on both sides.
 */
export function percentileBounds(
  values: ArrayLike<number>,
  confidence: number,
): { low: number; high: number } {
  checkConfidence(confidence);
  checkNotEmpty(values, 'quantile');
  const all = Float64Array.from(values);
  const sorted = all.filter(Number.isFinite).sort();
  const missing = all.length - sorted.length;
  const tail = (1 - confidence) / 2;
  if (missing === 0) {
    return { low: quantileSorted(sorted, tail), high: quantileSorted(sorted, 1 - tail) };
  }
  const place = tail * (all.length - 1) - missing;
  if (!(place >= 0)) return { low: Number.NaN, high: Number.NaN };
  // Of all values, with what is missing below the others, and then above them.
  const last = sorted.length - 1;
  return {
    low: quantileSorted(sorted, place / last),
    high: quantileSorted(sorted, (last - place) / last),
  };
}

/** Throws ERR_HEADSPARK_INVALID_ARGUMENT unless 0 < confidence < 1. */
export function checkConfidence(confidence: number): void {
  if (!(confidence > 0 && confidence < 1)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `confidence must lie between 0 and 1, got ${confidence}`,
    );
  }
}
