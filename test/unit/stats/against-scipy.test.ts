// lib/stats against SciPy and NumPy (fixtures made by scripts/fixtures/stats.py).

import { expect, test } from 'vitest';
import {
  benjaminiHochberg,
  bootstrapPairedDifference,
  fairCoinPValue,
  holmAdjust,
  normalQuantile,
  pairedPermutationTest,
  pairedDifferences,
  quantile,
  standardError,
  wilsonInterval,
} from '../../../lib/stats/index.js';
import { cases } from './cases.js';

type Numbers = Record<string, number>;

/** Relative to the expected value; NaN fails. */
function expectClose(actual: number, expected: number, tolerance: number, what: string): void {
  const difference = Math.abs(actual - expected);
  const fails = !(difference <= tolerance * Math.max(Math.abs(expected), 1e-300));
  expect(fails, `${what}: ${actual}, expected ${expected}`).toBe(false);
}

test('fair-coin p-values: scipy.stats.binomtest', () => {
  for (const { k, n, p } of cases<Numbers>('binomial')) {
    expectClose(fairCoinPValue(k, n), p, 1e-9, `${k} of ${n}`);
  }
});

test('Wilson intervals: scipy proportion_ci', () => {
  for (const c of cases<Numbers>('wilson')) {
    const interval = wilsonInterval(c.successes, c.trials, c.confidence);
    expect(Math.abs(interval.low - c.low)).toBeLessThan(1e-12);
    expect(Math.abs(interval.high - c.high)).toBeLessThan(1e-12);
    expect(interval.estimate).toBe(c.successes / c.trials);
  }
});

test('normal quantiles: scipy.stats.norm.ppf', () => {
  for (const { p, x } of cases<Numbers>('normal')) {
    if (x === 0) expect(normalQuantile(p)).toBe(0);
    else expectClose(normalQuantile(p), x, 1e-13, `p = ${p}`);
  }
});

test('paired permutation tests: scipy.stats.permutation_test, all sign patterns', () => {
  type Case = { before: number[]; after: number[]; difference: number; p: number };
  for (const { before, after, difference, p } of cases<Case>('permutation')) {
    const result = pairedPermutationTest(before, after);
    expect(result.exact).toBe(true);
    expectClose(result.pValue, p, 1e-12, `n = ${before.length}`);
    expect(Math.abs(result.difference - difference)).toBeLessThan(1e-12);
  }
});

test('quantiles: numpy.quantile', () => {
  for (const { values, p, x } of cases<{ values: number[]; p: number; x: number }>('quantiles')) {
    expect(Math.abs(quantile(values, p) - x)).toBeLessThan(1e-12);
  }
});

test("Holm's correction, term by term", () => {
  for (const { p, adjusted } of cases<{ p: number[]; adjusted: number[] }>('holm')) {
    holmAdjust(p).forEach((value, index) => {
      expect(Math.abs(value - adjusted[index])).toBeLessThan(1e-12);
    });
    expect(holmAdjust(p).length).toBe(p.length);
  }
});

test("Benjamini and Hochberg's q-values: scipy.stats.false_discovery_control", () => {
  for (const { p, adjusted } of cases<{ p: number[]; adjusted: number[] }>('benjamini-hochberg')) {
    benjaminiHochberg(p).forEach((value, index) => {
      expect(Math.abs(value - adjusted[index])).toBeLessThan(1e-12);
    });
    expect(benjaminiHochberg(p)).toHaveLength(p.length);
  }
});

test('bootstrap intervals: scipy.stats.bootstrap, percentile, within Monte-Carlo error', () => {
  type Case = Record<'before' | 'after', number[]> &
    Record<'low' | 'high' | 'standardError', number>;
  for (const c of cases<Case>('bootstrap')) {
    const options = { resamples: 50_000, seed: 3 };
    const { low, high } = bootstrapPairedDifference(c.before, c.after, options);
    expect(Math.abs(low - c.low)).toBeLessThan(0.03 * c.standardError);
    expect(Math.abs(high - c.high)).toBeLessThan(0.03 * c.standardError);
    const error = standardError(pairedDifferences(c.before, c.after));
    expectClose(error, c.standardError, 1e-12, 'standard error');
  }
});
