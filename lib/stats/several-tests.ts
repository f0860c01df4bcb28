// Several tests at once: Holm's correction, which bounds the chance of a single false claim, and Benjamini
// and Hochberg's, which bounds the share of false ones among the claims.

import { checkNumbers } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';

/** The p-values and their order, smallest first. */
function ordered(call: string, pValues: ArrayLike<number>): { values: number[]; order: number[] } {
  checkNumbers(call, pValues);
  const values = Array.from(pValues);
  if (!values.every((p) => p >= 0 && p <= 1)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${call}: p-values must lie between 0 and 1.`,
    );
  }
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b] || a - b);
  return { values, order };
}

/** Holm's step-down adjusted p-values, in the order given (Holm 1979). */
export function holmAdjust(pValues: ArrayLike<number>): number[] {
  const { values, order } = ordered('holmAdjust', pValues);
  const adjusted = new Array<number>(values.length).fill(0);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (values.length - rank) * values[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}

/**
 * q-values by Benjamini and Hochberg (1995), in the order given: calling all tests with q of at most x
 * keeps the expected share of false calls at or below x where the tests are independent or depend on
 * each other positively (Benjamini and Yekutieli 2001).
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what is no list of numbers from 0 to 1.
 */
export function benjaminiHochberg(pValues: ArrayLike<number>): number[] {
  const { values, order } = ordered('benjaminiHochberg', pValues);
  const adjusted = new Array<number>(values.length).fill(0);
  let smallest = 1;
  for (let rank = order.length; rank > 0; rank--) {
    const index = order[rank - 1];
    smallest = Math.min(smallest, (values[index] * values.length) / rank);
    adjusted[index] = smallest;
  }
  return adjusted;
}
