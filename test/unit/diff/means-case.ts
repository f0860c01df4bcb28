// Values and weights for means under many weightings, and what they come to.

import type { MeansRequest } from '../../../lib/diff/weighted-means.js';
import { Random } from '../../../lib/stats/index.js';

export interface MeansSizes {
  pairs: number;
  columns: number;
  rows: number;
}

/** Weights from 0 to 3, every row's last at least 2. */
export function meansCase({ pairs, columns, rows }: MeansSizes): MeansRequest {
  const random = new Random(pairs);
  const values = Float32Array.from({ length: pairs * columns }, () => random.uniform() - 0.5);
  const weights = Uint32Array.from({ length: rows * pairs }, (_, index) => (index * 7) % 4);
  for (let row = 1; row <= rows; row++) weights[row * pairs - 1] |= 2;
  return { values, weights, rows, means: new Float32Array(rows * columns) };
}

/** By the formula. */
export function plainMeans({ values, weights, rows, means }: MeansRequest): Float32Array {
  const pairs = weights.length / rows;
  const columns = means.length / rows;
  return Float32Array.from(means, (_, place) => {
    const row = Math.floor(place / columns);
    let sum = 0;
    let total = 0;
    for (let pair = 0; pair < pairs; pair++) {
      const weight = weights[row * pairs + pair];
      sum += weight * values[pair * columns + (place % columns)];
      total += weight;
    }
    return sum / total;
  });
}
