// Mean and quantiles. Quantiles interpolate linearly (type 7: NumPy's and R's default).

import { HeadsparkError } from '../errors.js';
import { withoutRounding } from './rounding.js';

function checkNotEmpty(values: ArrayLike<number>, what: string): void {
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

/** Quantile of values in any order; the argument is not changed. */
export function quantile(values: ArrayLike<number>, p: number): number {
  return quantileSorted(Float64Array.from(values).sort(), p);
}

/**
 * An estimate with the bounds of its interval. Where one value says nothing of the spread there are
 * none: both are NaN, and null in JSON.
 */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** The central `confidence` share of the values as [low, high]. */
export function percentileBounds(
  values: ArrayLike<number>,
  confidence: number,
): { low: number; high: number } {
  checkConfidence(confidence);
  const sorted = Float64Array.from(values).sort();
  const tail = (1 - confidence) / 2;
  return { low: quantileSorted(sorted, tail), high: quantileSorted(sorted, 1 - tail) };
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
