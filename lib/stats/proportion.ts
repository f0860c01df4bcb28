// Wilson's score interval of a proportion.

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
