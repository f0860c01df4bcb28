// Two samples on a line: the 1-Wasserstein distance between them and a permutation test of it.

import { checkList, checkSomeOptions } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { wholeNumber } from '../option-checks.js';
import { Random } from './random.js';

/** The mean distance that mass must move to turn one sample into the other. */
export function wasserstein(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkList('wasserstein', 'numbers', a);
  checkList('wasserstein', 'numbers', b);
  if (a.length === 0 || b.length === 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'the distance of two samples needs values in both',
    );
  }
  const [first, second] = [Float64Array.from(a).sort(), Float64Array.from(b).sort()];
  const all = Float64Array.from([...first, ...second]).sort();
  let [i, j, distance] = [0, 0, 0];
  for (let k = 0; k + 1 < all.length; k++) {
    while (i < first.length && first[i] <= all[k]) i++;
    while (j < second.length && second[j] <= all[k]) j++;
    distance += Math.abs(i / first.length - j / second.length) * (all[k + 1] - all[k]);
  }
  return distance;
}

/**
 * Share of random relabellings with at least the observed distance, the observed one counted.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for empty lists or a number of permutations out of range.
 */
export function wassersteinTest(
  a: readonly number[],
  b: readonly number[],
  options: { permutations?: number; seed?: number } = {},
): { distance: number; pValue: number } {
  checkSomeOptions('wassersteinTest', options);
  const { seed = 0 } = options;
  const permutations = wholeNumber('permutations', options.permutations, {
    low: 1,
    high: 1_000_000,
    fallback: 9_999,
  });
  const distance = wasserstein(a, b);
  const random = new Random(seed);
  const pool = [...a, ...b];
  let extreme = 0;
  for (let round = 0; round < permutations; round++) {
    random.shuffle(pool);
    const value = wasserstein(pool.slice(0, a.length), pool.slice(a.length));
    if (value >= distance - 1e-12) extreme++;
  }
  return { distance, pValue: (extreme + 1) / (permutations + 1) };
}
