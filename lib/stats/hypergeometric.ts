// How many items two random subsets share: the hypergeometric distribution, and its sum over
// layers, which is the exact chance law of the overlap of two head sets when each keeps its number
// of heads in every layer.

import { HeadsparkError } from '../errors.js';

/** Two subsets of one population, drawn independently and uniformly. */
export interface SubsetSizes {
  readonly population: number;
  readonly first: number;
  readonly second: number;
}

function checkSizes({ population, first, second }: SubsetSizes): void {
  const whole = [population, first, second].every((n) => Number.isInteger(n) && n >= 0);
  if (whole && first <= population && second <= population) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `hypergeometric: need whole 0 <= first, second <= population; ` +
      `got ${first}, ${second} of ${population}`,
  );
}

/** ln(n choose k) from a running sum of logarithms. */
function logChoose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= k; i++) sum += Math.log(n - k + i) - Math.log(i);
  return sum;
}

/** P(overlap = k), k = 0 … min(first, second). */
export function hypergeometricDistribution(sizes: SubsetSizes): Float64Array {
  checkSizes(sizes);
  const { population, first, second } = sizes;
  const total = logChoose(population, second);
  return Float64Array.from({ length: Math.min(first, second) + 1 }, (_, k) =>
    second - k > population - first
      ? 0
      : Math.exp(logChoose(first, k) + logChoose(population - first, second - k) - total),
  );
}

/** P(sum of the overlaps of all layers = k): the layers' distributions convolved. */
export function layeredOverlapDistribution(layers: readonly SubsetSizes[]): Float64Array {
  let sum: Float64Array = Float64Array.of(1);
  for (const layer of layers) {
    const own = hypergeometricDistribution(layer);
    const next = new Float64Array(sum.length + own.length - 1);
    sum.forEach((p, i) => own.forEach((q, j) => (next[i + j] += p * q)));
    sum = next;
  }
  return sum;
}

/** P(value >= observed) of a distribution over 0, 1, 2, …; at most 1. */
export function upperTail(distribution: Float64Array, observed: number): number {
  let tail = 0;
  // Smallest terms first, so that a tiny tail keeps its digits.
  for (let k = distribution.length - 1; k >= Math.max(0, observed); k--) tail += distribution[k];
  return Math.min(1, tail);
}

/** Expected value of a distribution over 0, 1, 2, … */
export function expectedValue(distribution: Float64Array): number {
  return distribution.reduce((sum, p, k) => sum + p * k, 0);
}
