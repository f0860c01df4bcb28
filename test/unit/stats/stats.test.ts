// lib/stats: generator vectors, determinism, coverage, edge cases and refusals.

import { describe, expect, test } from 'vitest';
import {
  bootstrapMean,
  bootstrapPairedDifference,
  bootstrapStatistic,
  fairCoinPValue,
  holmAdjust,
  mcnemarExact,
  mean,
  normalQuantile,
  pairedDifferences,
  pairedPermutationTest,
  percentileBounds,
  philox4x32,
  quantile,
  quantileSorted,
  Random,
  resampleWeights,
  signTest,
  standardError,
  wilsonInterval,
} from '../../../lib/stats/index.js';

const INVALID = expect.objectContaining({ code: 'ERR_HEADSPARK_INVALID_ARGUMENT' }) as Error;

describe('Philox4x32-10', () => {
  // Known answers of the authors' Random123 library (kat_vectors).
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('known answer %#', (counter, key, expected) => {
    const block = philox4x32(counter as [number, number, number, number], key as [number, number]);
    expect(block).toEqual(expected);
  });

  test('a stream is the words of counters (position, stream) under the seed', () => {
    const seed = 2 ** 40 + 5;
    const random = new Random(seed, 2 ** 33 + 7);
    const words = Array.from({ length: 8 }, () => random.uint32());
    const key = [5, 256] as const;
    expect(words).toEqual([...philox4x32([0, 0, 7, 2], key), ...philox4x32([1, 0, 7, 2], key)]);
  });

  test('seeds and streams that are not whole numbers are refused', () => {
    for (const bad of [-1, 0.5, NaN, 2 ** 53]) {
      expect(() => new Random(bad)).toThrowError(INVALID);
      expect(() => new Random(0, bad)).toThrowError(INVALID);
    }
  });
});

describe('random numbers', () => {
  test('uniform: mean, spread and range', () => {
    const random = new Random(1);
    const values = Array.from({ length: 20_000 }, () => random.uniform());
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.abs(mean(values) - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(mean(values.map((v) => v * v)) - 1 / 3)).toBeLessThan(0.01);
  });

  test('below: every value equally often (chi-squared)', () => {
    const random = new Random(2);
    const counts = new Array<number>(7).fill(0);
    for (let draw = 0; draw < 70_000; draw++) counts[random.below(7)]++;
    const chi = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chi).toBeLessThan(22.5); // 99.9 % of chi-squared with 6 degrees of freedom
    expect(random.below(1)).toBe(0);
  });

  test('shuffle permutes, all orders equally often; sample has no repeats', () => {
    const random = new Random(3);
    const counts = new Map<string, number>();
    for (let round = 0; round < 12_000; round++) {
      const order = random.shuffle([0, 1, 2]).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(200);
    const items = [1, 2, 3, 4, 5];
    expect(new Set(random.sample(items, 4)).size).toBe(4);
    expect(items).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('quantiles', () => {
  test('interpolate, and leave the argument alone', () => {
    const values = [3, 1, 2];
    expect(quantile(values, 0.25)).toBe(1.5);
    expect(values).toEqual([3, 1, 2]);
    expect(quantileSorted([5], 0.7)).toBe(5);
    expect(percentileBounds([0, 1, 2, 3, 4], 0.5)).toEqual({ low: 1, high: 3 });
  });

  test('refusals', () => {
    expect(() => mean([])).toThrowError(INVALID);
    expect(() => quantile([], 0.5)).toThrowError(INVALID);
    expect(() => quantile([1], 1.1)).toThrowError(INVALID);
    expect(() => quantile([1], NaN)).toThrowError(INVALID);
    for (const confidence of [0, 1, NaN, 95]) {
      expect(() => percentileBounds([1], confidence)).toThrowError(INVALID);
    }
  });
});

describe('rounding', () => {
  test('is no difference and no mean', () => {
    const [a, b] = [0.1 + 0.2, 0.3];
    expect(a - b).not.toBe(0);
    expect(Array.from(pairedDifferences([a, 1], [b, 2]))).toEqual([0, 1]);
    const cancelling = [1e3, 0.1, 0.2, -0.3, -1e3];
    expect(cancelling.reduce((sum, value) => sum + value, 0)).not.toBe(0);
    expect(mean(cancelling)).toBe(0);
    expect(bootstrapMean(cancelling).estimate).toBe(0);
    // Neighbours in float32 differ.
    const next = 1 + 2 ** -23;
    expect(Array.from(pairedDifferences([1], [next]))).toEqual([2 ** -23]);
    expect(mean([1e-20, 3e-20])).toBeCloseTo(2e-20, 30);
  });
});

describe('bootstrap', () => {
  test('gives a single value no interval', () => {
    const none = { estimate: 3, low: NaN, high: NaN };
    expect(bootstrapMean([3])).toEqual(none);
    expect(JSON.parse(JSON.stringify(none))).toEqual({ estimate: 3, low: null, high: null });
  });

  test('weights add up to the number of items, and follow the seed', () => {
    const weights = new Uint32Array(10);
    resampleWeights(new Random(1), 10, weights);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(10);
    const again = new Uint32Array(10);
    resampleWeights(new Random(1), 10, again);
    expect(again).toEqual(weights);
    resampleWeights(new Random(1, 1), 10, again);
    expect(again).not.toEqual(weights);
  });

  test('95 % intervals of a mean cover it about 95 times in 100', () => {
    const random = new Random(8);
    let covered = 0;
    for (let round = 0; round < 200; round++) {
      const values = Array.from({ length: 40 }, () => random.uniform());
      const { low, high } = bootstrapMean(values, { resamples: 400, seed: round });
      if (low <= 0.5 && 0.5 <= high) covered++;
    }
    expect(covered).toBeGreaterThan(176);
    expect(covered).toBeLessThan(200);
  });

  test('deterministic for a seed; estimate is the value on all items', () => {
    const before = [1, 2, 3, 4];
    const after = [2, 2, 5, 4];
    const first = bootstrapPairedDifference(before, after, { seed: 4, resamples: 500 });
    expect(bootstrapPairedDifference(before, after, { seed: 4, resamples: 500 })).toEqual(first);
    expect(first.estimate).toBe(0.75);
    expect(first.low).toBeLessThanOrEqual(first.estimate);
    expect(first.high).toBeGreaterThanOrEqual(first.estimate);
  });

  test('any statistic: the largest item', () => {
    const values = [1, 5, 3];
    const largest = (indexes: Uint32Array): number =>
      Math.max(...Array.from(indexes, (index) => values[index]));
    const interval = bootstrapStatistic(3, largest, { resamples: 200 });
    expect(interval).toEqual({ estimate: 5, low: expect.any(Number), high: 5 });
  });

  test('constant differences have an interval of no width', () => {
    expect(bootstrapPairedDifference([1, 2], [2, 3])).toEqual({ estimate: 1, low: 1, high: 1 });
    expect(standardError([4])).toBe(0);
  });

  test('refusals', () => {
    expect(() => bootstrapMean([])).toThrowError(INVALID);
    expect(() => bootstrapMean([1], { resamples: 0 })).toThrowError(INVALID);
    expect(() => bootstrapMean([1], { confidence: 1 })).toThrowError(INVALID);
    expect(() => pairedDifferences([1], [1, 2])).toThrowError(INVALID);
  });
});

describe('coin-flip tests', () => {
  test('McNemar counts the pairs that changed', () => {
    const before = [1, 1, 1, 1, 1, 1, 0, 1];
    const after = [0, 0, 0, 0, 0, 1, 0, 0];
    expect(mcnemarExact(before, after)).toEqual({ lost: 6, gained: 0, pValue: 2 / 64 });
    const flags = mcnemarExact([true, false], [false, true]);
    expect(flags).toEqual({ lost: 1, gained: 1, pValue: 1 });
    expect(mcnemarExact([], []).pValue).toBe(1);
    expect(() => mcnemarExact([1], [])).toThrowError(INVALID);
  });

  test('9 of 30 against 8 of 30 (the paper: 30.0 -> 26.6) says nothing', () => {
    const before = Array.from({ length: 30 }, (_, index) => index < 9);
    const after = Array.from({ length: 30 }, (_, index) => index < 8);
    expect(mcnemarExact(before, after)).toEqual({ lost: 1, gained: 0, pValue: 1 });
  });

  test('the sign test leaves ties out', () => {
    expect(signTest([1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 1])).toEqual({
      positive: 5,
      negative: 0,
      zero: 1,
      pValue: 2 / 32,
    });
  });

  test('p-values never exceed 1; bad counts are refused', () => {
    for (let n = 0; n <= 12; n++) {
      for (let k = 0; k <= n; k++) expect(fairCoinPValue(k, n)).toBeLessThanOrEqual(1);
    }
    expect(() => fairCoinPValue(3, 2)).toThrowError(INVALID);
    expect(() => fairCoinPValue(0.5, 2)).toThrowError(INVALID);
  });
});

describe('paired permutation test', () => {
  test('all differences of one sign: 2 of all patterns are as extreme', () => {
    const before = new Array<number>(10).fill(0);
    const after = before.map((_, index) => index + 1);
    const result = pairedPermutationTest(before, after);
    expect(result).toEqual({ difference: 5.5, pValue: 2 / 1024, exact: true, permutations: 1024 });
  });

  test('no difference at all: p = 1', () => {
    expect(pairedPermutationTest([1, 2], [1, 2]).pValue).toBe(1);
  });

  test('rounding does not split equal sums', () => {
    const before = [0, 0, 0];
    // 0.1 + 0.2 and 0.3 differ in the last bit: |+0.1 +0.2 -0.3| must count as 0.
    const result = pairedPermutationTest(before, [0.1, 0.2, -0.3]);
    expect(result.pValue).toBe(1);
  });

  test('Monte-Carlo above 20 pairs: near the exact value, seeded, never 0', () => {
    const random = new Random(6);
    const before = Array.from({ length: 21 }, () => random.uniform());
    const after = before.map((value) => value + random.uniform() - 0.35);
    const result = pairedPermutationTest(before, after, { permutations: 20_000, seed: 1 });
    expect(result.exact).toBe(false);
    const same = pairedPermutationTest(before, after, { permutations: 20_000, seed: 1 });
    expect(same).toEqual(result);
    // One pair with a tie more or less decides between the two ways; the exact one is the oracle.
    const tied = [...after.slice(0, 20), before[20]];
    const exact = pairedPermutationTest(before, tied);
    const sampled = pairedPermutationTest(
      [...before.slice(0, 20), 0, 0],
      [...tied.slice(0, 20), 1e-9, -1e-9],
      { permutations: 20_000 },
    );
    expect(exact.exact).toBe(true);
    expect(sampled.exact).toBe(false);
    expect(Math.abs(sampled.pValue - exact.pValue)).toBeLessThan(0.02);
    const sure = pairedPermutationTest(
      new Array<number>(40).fill(0),
      new Array<number>(40).fill(1),
    );
    expect(sure.pValue).toBe(1 / 100_000);
  });

  test('refusals', () => {
    expect(() => pairedPermutationTest([], [])).toThrowError(INVALID);
    expect(() => pairedPermutationTest([1], [NaN])).toThrowError(INVALID);
    expect(() => pairedPermutationTest([1], [1, 2])).toThrowError(INVALID);
    expect(() => pairedPermutationTest([1], [2], { permutations: 0 })).toThrowError(INVALID);
  });
});

test('proportions, normal quantiles and Holm refuse what makes no sense', () => {
  expect(() => wilsonInterval(3, 2)).toThrowError(INVALID);
  expect(() => wilsonInterval(0, 0)).toThrowError(INVALID);
  expect(() => normalQuantile(0)).toThrowError(INVALID);
  expect(() => normalQuantile(NaN)).toThrowError(INVALID);
  expect(() => holmAdjust([0.5, 1.5])).toThrowError(INVALID);
  expect(holmAdjust([0.04, 0.01, 0.03])).toEqual([0.06, 0.03, 0.06]);
});
