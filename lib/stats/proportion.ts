// Wilson's score interval of a proportion, and Holm's correction for several p-values.

import { checkNumbers } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { normalQuantile } from './normal.js';
import { checkConfidence, type Interval } from './quantile.js';

/** Wilson's interval of successes / trials (Wilson 1927, no continuity correction). */
export function wilsonInterval(successes: number, trials: number, confidence = 0.95): Interval {
  checkConfidence(confidence);
  if (!Number.isInteger(trials) || trials < 1 || !(successes >= 0 && successes <= trials)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `Wilson interval: need 0 <= successes <= trials, trials >= 1; got ${successes} of ${trials}`,
    );
  }
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const share = successes / trials;
  const shrink = 1 + (z * z) / trials;
  const center = (share + (z * z) / (2 * trials)) / shrink;
  const half =
    (z / shrink) * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  return {
    estimate: share,
    low: successes === 0 ? 0 : Math.max(0, center - half),
    high: successes === trials ? 1 : Math.min(1, center + half),
  };
}

/** Holm's step-down adjusted p-values, in the order given (Holm 1979). */
export function holmAdjust(pValues: ArrayLike<number>): number[] {
  checkNumbers('holmAdjust', pValues);
  const count = pValues.length;
  const values = Array.from(pValues);
  if (!values.every((p) => p >= 0 && p <= 1)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'Holm correction: p-values must lie between 0 and 1',
    );
  }
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b] || a - b);
  const adjusted = new Array<number>(count).fill(0);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (count - rank) * values[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}
