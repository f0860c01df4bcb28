// The smallest change that answers to so many problems could show.

import { plural } from '../format-number.js';
import { detectableChange } from '../stats/power.js';
import type { PowerLine, VariantResult } from './types.js';

const points = (share: number): string =>
  Number.isNaN(share)
    ? 'no change at all'
    : `a change of at least ${(100 * share).toFixed(1)} points`;

/** Of as many tests as there are rows that change something. */
export function powerLine(
  unablated: Pick<VariantResult, 'right'>,
  samples: number,
  tested: number,
): PowerLine {
  const [alpha, power] = [0.05, 0.8];
  const found = detectableChange(unablated.right, samples, { alpha, power });
  const strict = detectableChange(unablated.right, samples, {
    alpha: alpha / Math.max(1, tested),
    power,
  });
  const basis =
    found.method === 'mcnemar-exact'
      ? "McNemar's exact test, all flips in one direction"
      : 'normal approximation, the same effect on every problem';
  const holm = tested > 1 ? `, ${points(strict.change)} after correction over ${tested} rows` : '';
  const text =
    `with ${plural(unablated.right.length, 'problem')} × ${plural(samples, 'sample')} this ` +
    `contrast could show ${points(found.change)} at 80 % power${holm} (${basis})`;
  const orNull = (change: number): number | null => (Number.isNaN(change) ? null : change);
  const { method } = found;
  return {
    change: orNull(found.change),
    method,
    alpha,
    power,
    afterHolm: orNull(strict.change),
    text,
  };
}
