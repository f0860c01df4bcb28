// Picking the n highest scores without sorting: float32 bits become ordered integers, and a
// three-pass radix histogram finds the n-th. Linear time; ties go to the lower edge index.

import { HeadsparkError } from '../errors.js';

/** `absolute` ranks by |score|, `signed` by the score itself. */
export type Ranking = 'absolute' | 'signed';

const INFINITY_BITS = 0x7f800000;

/**
 * Ordered keys of scores: a higher key is a higher rank. -0 ranks as 0.
 * Throws ERR_HEADSPARK_TENSOR_VALUE at the first score that is not finite.
 */
export function rankKeys(scores: Float32Array, ranking: Ranking, keys: Uint32Array): void {
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
  const signed = ranking === 'signed';
  for (let edge = 0; edge < bits.length; edge++) {
    const raw = bits[edge];
    const magnitude = raw & 0x7fffffff;
    if (magnitude >= INFINITY_BITS) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_TENSOR_VALUE',
        `the score of edge ${edge} is ${scores[edge]}; scores must be finite to select a circuit`,
      );
    }
    if (!signed) keys[edge] = magnitude;
    else keys[edge] = raw & 0x80000000 && magnitude ? ~raw : magnitude | 0x80000000;
  }
}

const RADIX_PASSES = [
  { shift: 21, bins: 2048 },
  { shift: 10, bins: 2048 },
  { shift: 0, bins: 1024 },
];

/** The n-th highest key and how many keys equal to it belong to the top n. 1 <= n <= length. */
export function nthHighest(keys: Uint32Array, n: number): { key: number; equal: number } {
  const histogram = new Uint32Array(2048);
  let prefix = 0;
  let prefixShift = 32;
  let wanted = n;
  for (const { shift, bins } of RADIX_PASSES) {
    histogram.fill(0);
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index];
      if (prefixShift === 32 || key >>> prefixShift === prefix) {
        histogram[(key >>> shift) & (bins - 1)]++;
      }
    }
    let bin = bins - 1;
    while (histogram[bin] < wanted) wanted -= histogram[bin--];
    prefix = (prefix * bins + bin) >>> 0;
    prefixShift = shift;
  }
  return { key: prefix, equal: wanted };
}

/** Compact indexes of the n highest keys, ascending. */
export function highestN(keys: Uint32Array, n: number): Uint32Array {
  const selected = new Uint32Array(n);
  if (n === 0) return selected;
  const nth = nthHighest(keys, n);
  let equalLeft = nth.equal;
  let count = 0;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index];
    if (key > nth.key || (key === nth.key && equalLeft-- > 0)) selected[count++] = index;
  }
  return selected;
}
