// Paired permutation test of a mean difference: under the null each pair's difference may have
// either sign. Exact by enumerating all signs for few pairs, seeded Monte-Carlo for many.

import { checkSomeOptions } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { atOnce, type Steps } from '../turns.js';
import { pairedDifferences } from './bootstrap.js';
import { mean } from './quantile.js';
import { sharedWords } from './shared-draws.js';

/** 2^20 sign patterns take a few milliseconds; beyond that, Monte-Carlo. */
const EXACT_LIMIT = 20;

export interface PermutationOptions {
  /** Monte-Carlo sign patterns when there are more than 20 pairs that differ; default 99,999. */
  readonly permutations?: number;
  /** Default 0. */
  readonly seed?: number;
}

export interface PermutationResult {
  /** mean(after - before). */
  readonly difference: number;
  /** Two-sided: the share of sign patterns with |mean| at least as large. */
  readonly pValue: number;
  readonly exact: boolean;
  /** Sign patterns looked at. */
  readonly permutations: number;
}

/** Sums of all 2^n sign patterns of up to 10 values, by the bits of the pattern. */
function signedSums(values: Float64Array): Float64Array {
  const sums = new Float64Array(2 ** values.length);
  for (let pattern = 0; pattern < sums.length; pattern++) {
    let sum = 0;
    for (let bit = 0; bit < values.length; bit++) {
      sum += pattern & (1 << bit) ? values[bit] : -values[bit];
    }
    sums[pattern] = sum;
  }
  return sums;
}

function exactShare(values: Float64Array, threshold: number): number {
  const half = Math.floor(values.length / 2);
  const low = signedSums(values.subarray(0, half));
  const high = signedSums(values.subarray(half));
  let extreme = 0;
  for (const a of high) {
    for (const b of low) if (Math.abs(a + b) >= threshold) extreme++;
  }
  return extreme / (low.length * high.length);
}

/** [ceil(values / 8), 256] sums of up to 8 neighbours, by the bits of a byte: 1 adds, 0 subtracts. */
function byteSums(values: Float64Array): Float64Array {
  const sums = new Float64Array(Math.ceil(values.length / 8) * 256);
  for (let begin = 0; begin < values.length; begin += 8) {
    const some = signedSums(values.subarray(begin, begin + 8));
    for (let byte = 0; byte < 256; byte++) sums[begin * 32 + byte] = some[byte % some.length];
  }
  return sums;
}

/** Sign patterns that are drawn at a time. */
const BATCH = 256;

function* monteCarloShare(
  values: Float64Array,
  threshold: number,
  options: { permutations: number; seed: number },
): Steps<number> {
  const { permutations, seed } = options;
  const width = Math.ceil(values.length / 32);
  const draw = sharedWords(seed, permutations * width);
  const words = new Uint32Array(BATCH * width);
  const sums = byteSums(values);
  const bytes = sums.length / 256;
  let extreme = 0;
  for (let begin = 0; begin < permutations; begin += BATCH) {
    const end = Math.min(begin + BATCH, permutations);
    draw(words.subarray(0, (end - begin) * width));
    for (let first = 0; first < (end - begin) * width; first += width) {
      let sum = 0;
      for (let byte = 0; byte < bytes; byte++) {
        const signs = (words[first + (byte >> 2)] >>> (8 * (byte & 3))) & 255;
        sum += sums[byte * 256 + signs];
      }
      if (Math.abs(sum) >= threshold) extreme++;
    }
    yield;
  }
  // The observed pattern counts as one of the draws, so p is never 0.
  return (extreme + 1) / (permutations + 1);
}

/**
 * Two-sided paired permutation (sign-flip) test of mean(after) = mean(before).
 * Pairs that do not differ cannot change the answer and are left out of the enumeration.
 * Throws ERR_HEADSPARK_INVALID_ARGUMENT on unequal lengths, no pairs or values that are not finite.
 */
export function pairedPermutationTest(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  options: PermutationOptions = {},
): PermutationResult {
  return atOnce(permutationSteps(before, after, options));
}

/** `pairedPermutationTest`, some sign patterns at a time. */
export function* permutationSteps(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  options: PermutationOptions = {},
): Steps<PermutationResult> {
  checkSomeOptions('pairedPermutationTest', options);
  const { permutations = 99_999, seed = 0 } = options;
  if (!Number.isInteger(permutations) || permutations < 1) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `permutation test: permutations must be a whole number of at least 1, got ${permutations}`,
    );
  }
  const differences = pairedDifferences(before, after);
  const difference = mean(differences);
  if (!differences.every(Number.isFinite)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'permutation test: all values must be finite',
    );
  }
  const values = differences.filter((value) => value !== 0);
  const total = values.reduce((sum, value) => sum + Math.abs(value), 0);
  const observed = Math.abs(values.reduce((sum, value) => sum + value, 0));
  // Sums in another order differ by rounding; patterns equal up to that count as equal.
  const threshold = observed - 1e-12 * total;
  if (values.length <= EXACT_LIMIT) {
    const pValue = exactShare(values, threshold);
    return { difference, pValue, exact: true, permutations: 2 ** values.length };
  }
  const pValue = yield* monteCarloShare(values, threshold, { permutations, seed });
  return { difference, pValue, exact: false, permutations };
}
