// Exact tests that come down to fair coin flips: McNemar's test and the sign test.

import { checkList } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { pairedDifferences } from './bootstrap.js';

/** 2^-n is a normal number up to here; beyond, terms are built from logarithms. */
const DIRECT_LIMIT = 1000;

/** P(X <= limit) for n flips. */
function directTail(limit: number, n: number): number {
  let term = 2 ** -n;
  let tail = term;
  for (let i = 1; i <= limit; i++) {
    term *= (n - i + 1) / i;
    tail += term;
  }
  return tail;
}

function logTail(limit: number, n: number): number {
  let logTerm = -n * Math.LN2;
  let tail = Math.exp(logTerm);
  for (let i = 1; i <= limit; i++) {
    logTerm += Math.log((n - i + 1) / i);
    tail += Math.exp(logTerm);
  }
  return tail;
}

/** Two-sided exact p-value of k heads in n flips of a fair coin: min(1, 2 P(X <= min(k, n-k))). */
export function fairCoinPValue(k: number, n: number): number {
  if (!Number.isInteger(n) || !Number.isInteger(k) || k < 0 || k > n) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `binomial test: need whole 0 <= k <= n, got k = ${k}, n = ${n}`,
    );
  }
  const limit = Math.min(k, n - k);
  const tail = n <= DIRECT_LIMIT ? directTail(limit, n) : logTail(limit, n);
  return Math.min(1, 2 * tail);
}

export interface McNemarResult {
  /** Pairs right before and wrong after. */
  readonly lost: number;
  /** Pairs wrong before and right after. */
  readonly gained: number;
  readonly pValue: number;
}

/** McNemar's exact test on paired outcomes (true or non-zero means right). */
export function mcnemarExact(
  before: ArrayLike<boolean | number>,
  after: ArrayLike<boolean | number>,
): McNemarResult {
  checkList('mcnemarExact', 'the outcomes before', before);
  checkList('mcnemarExact', 'the outcomes after', after);
  if (before.length !== after.length) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `McNemar's test: outcomes must be paired, got ${before.length} and ${after.length}`,
    );
  }
  let lost = 0;
  let gained = 0;
  for (let index = 0; index < before.length; index++) {
    if (before[index] && !after[index]) lost++;
    if (!before[index] && after[index]) gained++;
  }
  return { lost, gained, pValue: fairCoinPValue(lost, lost + gained) };
}

export interface SignTestResult {
  /** Pairs with after > before. */
  readonly positive: number;
  readonly negative: number;
  /** Ties, which the test leaves out. */
  readonly zero: number;
  readonly pValue: number;
}

/** Exact sign test of after against before. */
export function signTest(before: ArrayLike<number>, after: ArrayLike<number>): SignTestResult {
  let positive = 0;
  let negative = 0;
  const differences = pairedDifferences(before, after);
  for (const difference of differences) {
    if (difference > 0) positive++;
    if (difference < 0) negative++;
  }
  return {
    positive,
    negative,
    zero: differences.length - positive - negative,
    pValue: fairCoinPValue(positive, positive + negative),
  };
}
