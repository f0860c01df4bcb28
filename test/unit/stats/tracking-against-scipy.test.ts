// The statistics of tracking against SciPy and NumPy (fixtures made by scripts/fixtures/tracking.py).
import { describe, expect, test } from 'vitest';
import {
  averageRanks,
  expectedValue,
  hypergeometricDistribution,
  kaplanMeier,
  layeredOverlapDistribution,
  Random,
  spearman,
  spearmanSeries,
  upperTail,
  wasserstein,
  wassersteinTest,
  wilsonInterval,
} from '../../../lib/stats/index.js';
import { cases } from './cases.js';

function expectNear(actual: number, expected: number, tolerance: number, what: string): void {
  const fails = !(Math.abs(actual - expected) <= tolerance);
  expect(fails, `${what}: ${actual}, expected ${expected}`).toBe(false);
}

test('hypergeometric: scipy.stats.hypergeom', () => {
  type Case = Record<'population' | 'first' | 'second' | 'mean', number> &
    Record<'pmf' | 'upper', number[]>;
  for (const sizes of cases<Case>('hypergeometric')) {
    const law = hypergeometricDistribution(sizes);
    expect(law.length).toBe(sizes.pmf.length);
    law.forEach((p, k) => expectNear(p, sizes.pmf[k], 1e-11 * sizes.pmf[k] + 1e-300, `P(${k})`));
    sizes.upper.forEach((p, k) => expectNear(upperTail(law, k), p, 1e-11 * p + 1e-300, `>=${k}`));
    expectNear(expectedValue(law), sizes.mean, 1e-10, 'mean');
  }
});

test('overlap with fixed numbers per layer: convolved scipy.stats.hypergeom.pmf', () => {
  type Layer = { population: number; first: number; second: number };
  for (const { layers, distribution } of cases<{ layers: Layer[]; distribution: number[] }>(
    'layered-overlap',
  )) {
    const law = layeredOverlapDistribution(layers);
    expect(law.length).toBe(distribution.length);
    law.forEach((p, k) => expectNear(p, distribution[k], 1e-12, `P(${k})`));
  }
});

describe('Spearman', () => {
  type Case = { x: number[]; y: number[]; rho: number; ranks: number[]; exact: boolean; p: number };

  test('rho and ranks: scipy.stats.spearmanr, rankdata', () => {
    for (const { x, y, rho, ranks } of cases<Case>('spearman')) {
      expect(Array.from(averageRanks(x))).toEqual(ranks);
      expectNear(spearman(x, y), rho, 1e-12, `n = ${x.length}`);
    }
  });

  test('p-values: scipy.stats.permutation_test over pairings', () => {
    for (const { x, y, exact, p } of cases<Case>('spearman')) {
      const result = spearmanSeries(x, y, { resamples: 1, permutations: 20_000, seed: 2 });
      expect(result.exact).toBe(exact);
      // Both sides draw 20,000 orderings where they cannot be enumerated.
      const tolerance = exact ? 1e-12 : 5 * Math.sqrt((2 * p * (1 - p)) / 20_000) + 1e-4;
      expectNear(result.pValue, p, tolerance, `n = ${x.length}`);
    }
  });

  test('block bootstrap intervals: the same blocks drawn with NumPy', () => {
    type Blocks = {
      x: number[];
      y: number[];
      blockLength: number;
      low: number;
      high: number;
      usableShare: number;
    };
    for (const { x, y, blockLength, low, high, usableShare } of cases<Blocks>('block-bootstrap')) {
      const options = { blockLength, resamples: 40_000, permutations: 9_999, seed: 4 };
      const { rho, usableResamples } = spearmanSeries(x, y, options);
      expectNear(rho.low, low, 0.02, 'low');
      expectNear(rho.high, high, 0.02, 'high');
      expectNear(usableResamples / 40_000, usableShare, 0.01, 'usable');
    }
  });

  test('no interval of few points, of resamples without a rho, and of resamples that are all alike', () => {
    const none = { low: Number.NaN, high: Number.NaN };
    // The demo's "sums, thinking" under GRPO: 5 checkpoints, p = 0.4.
    const [counts, rewards] = [
      [0, 0, 1, 1, 2],
      [0.9, 0.8, 0.9, 0.3, 0.2],
    ];
    const few = spearmanSeries(counts, rewards);
    expect(few).toMatchObject({
      rho: none,
      noInterval: 'few-points',
      points: 5,
      resamples: 10_000,
    });
    const rare = [0, 0, 0, 0, 0, 0, 1, 0];
    const upwards = [1, 2, 3, 4, 5, 6, 7, 8];
    const constant = spearmanSeries(rare, upwards, { resamples: 2_000 });
    expect(constant).toMatchObject({
      rho: none,
      noInterval: 'constant-resamples',
      resamples: 2_000,
    });
    expect(constant.usableResamples).toBeGreaterThan(1_000);
    expect(constant.usableResamples).toBeLessThan(1_900);
    const perfect = spearmanSeries(upwards, upwards, { resamples: 2_000 });
    expect(perfect).toMatchObject({
      rho: { estimate: 1, ...none },
      noInterval: 'equal-resamples',
      usableResamples: 2_000,
    });
  });

  test('undefined resamples may lie anywhere: few of them widen the interval', () => {
    const x = [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0];
    const y = [1, 3, 9, 2, 5, 8, 4, 7, 12, 6, 11, 10];
    const { rho, usableResamples, noInterval } = spearmanSeries(x, y, {
      resamples: 5_000,
      blockLength: 1,
    });
    expect(usableResamples).toBeLessThan(5_000);
    expect(usableResamples).toBeGreaterThan(4_875);
    expect(noInterval).toBeUndefined();
    expect(rho.low).toBeLessThan(rho.estimate);
    expect(rho.high).toBeGreaterThan(rho.estimate);
  });

  test('an interval holds 0 where the permutation test does not reject', () => {
    const random = new Random(8);
    let widened = 0;
    for (let round = 0; round < 60; round++) {
      const x = Array.from({ length: 7 }, () => random.below(5));
      const y = x.map((value) => value + random.below(6));
      if (new Set(x).size < 2 || new Set(y).size < 2) continue;
      const { rho, pValue } = spearmanSeries(x, y, { resamples: 400, seed: round });
      if (Number.isNaN(rho.low) || pValue <= 0.05) continue;
      expect([rho.low <= 0, rho.high >= 0]).toEqual([true, true]);
      widened += rho.low === 0 || rho.high === 0 ? 1 : 0;
    }
    expect(widened).toBeGreaterThan(0);
  });

  test('refuses what has no rank correlation', () => {
    const refused = { code: 'ERR_HEADSPARK_INVALID_ARGUMENT' };
    expect(() => spearmanSeries([1, 2], [1, 2])).toThrow(expect.objectContaining(refused));
    expect(() => spearmanSeries([1, 2, 3], [1, 2])).toThrow(expect.objectContaining(refused));
    expect(() => spearmanSeries([1, NaN, 3], [1, 2, 3])).toThrow(expect.objectContaining(refused));
    expect(() => spearmanSeries([1, 2, 3], [1, 2, 3], { blockLength: 4 })).toThrow(
      expect.objectContaining(refused),
    );
    expect(spearmanSeries([1, 1, 1], [1, 2, 3]).rho.estimate).toBeNaN();
  });
});

test('survival: scipy.stats.ecdf of censored data, log-log bounds, Wilson where there are none', () => {
  type Case = Record<'duration' | 'times' | 'survival', number[]> & {
    ended: boolean[];
    low: (number | null)[];
    high: (number | null)[];
  };
  for (const { duration, ended, times, survival, low, high } of cases<Case>('survival')) {
    const curve = kaplanMeier(duration.map((d, i) => ({ duration: d, ended: ended[i] })));
    expect(curve.points.map(({ time }) => time)).toEqual(times);
    curve.points.forEach((point, index) => {
      expectNear(point.survival, survival[index], 1e-12, `S(${point.time})`);
      const wilson = wilsonInterval(point.survival === 1 ? point.atRisk : 0, point.atRisk);
      for (const [bound, expected] of [
        [point.low, low[index] ?? wilson.low],
        [point.high, high[index] ?? wilson.high],
      ] as const) {
        expectNear(bound, expected, 1e-10, `bound at ${point.time}`);
      }
    });
  }
  const alive = Array.from({ length: 8 }, (_, i) => ({ duration: 1 + (i % 2), ended: false }));
  // Eight are seen to live longer than 1, four of them longer than 2.
  expect(kaplanMeier(alive).points.map(({ low, high }) => [low, high])).toEqual([
    [expect.closeTo(0.6756, 4), 1],
    [expect.closeTo(0.5101, 4), 1],
  ]);
  expect(kaplanMeier([]).points).toEqual([]);
  // 23/24 * 22/23 * … * 12/13 is a rounding above one half.
  const ending = Array.from({ length: 24 }, (_, i) => ({ duration: i + 1, ended: true }));
  expect(kaplanMeier(ending).median).toBe(12);
  expect(() => kaplanMeier([{ duration: 0, ended: true }])).toThrow(/above 0/);
});

test('distance of samples: scipy.stats.wasserstein_distance', () => {
  for (const { a, b, distance } of cases<{ a: number[]; b: number[]; distance: number }>(
    'wasserstein',
  )) {
    expectNear(wasserstein(a, b), distance, 1e-12, `${a.length} and ${b.length}`);
  }
  const low = Array.from({ length: 8 }, (_, i) => i / 100);
  const high = low.map((value) => 1 - value);
  expect(wassersteinTest(low, high, { permutations: 999 }).pValue).toBeLessThan(0.01);
  expect(wassersteinTest(low, low, { permutations: 999 }).pValue).toBe(1);
  expect(() => wasserstein([], [1])).toThrow(/values in both/);
});
