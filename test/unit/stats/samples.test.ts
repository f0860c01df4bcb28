// pass@k, success@k, majority, McNemar, Holm and power against exact counts, SciPy and statsmodels
// (fixtures made by scripts/fixtures/stats.py), and power against simulated experiments.
import { describe, expect, it, test } from 'vitest';
import {
  detectableChange,
  fewestFlips,
  holmAdjust,
  majorityVote,
  mcnemarExact,
  passAtK,
  Random,
  successAtK,
} from '../../../lib/stats/index.js';
import { cases } from './cases.js';

function expectClose(actual: number, expected: number, tolerance: number): void {
  expect(!(Math.abs(actual - expected) <= tolerance), `${actual}, expected ${expected}`).toBe(
    false,
  );
}

test('pass@k: whole-number binomials', () => {
  for (const { n, c, k, pass } of cases<Record<'n' | 'c' | 'k' | 'pass', number>>('pass-at-k')) {
    expectClose(passAtK(n, c, k), pass, 1e-12);
  }
  for (const [n, c, k] of [
    [4, 5, 1],
    [4, 1, 5],
    [4, 1, 0],
    [4, 0.5, 1],
    [4, -1, 1],
  ]) {
    expect(() => passAtK(n, c, k)).toThrow(/pass@k: need/);
  }
});

test('pass@k is the mean of success@k over all orders of the samples', () => {
  const samples = [1, 0, 0, 1, 0];
  const orders = (items: number[]): number[][] =>
    items.length === 0
      ? [[]]
      : items.flatMap((item, index) =>
          orders(items.toSpliced(index, 1)).map((rest) => [item, ...rest]),
        );
  for (const k of [1, 2, 3, 4, 5]) {
    const all = orders(samples).map((order) => successAtK(order, k));
    expectClose(passAtK(5, 2, k), all.reduce((sum, value) => sum + value, 0) / all.length, 1e-12);
  }
  expect(successAtK([false, true, false], 1)).toBe(0);
  expect(successAtK([false, true, false], 2)).toBe(1);
  expect(() => successAtK([1], 2)).toThrow(/from 1 to 1, got 2/);
});

test('majority vote: no answers do not vote, ties go to the first', () => {
  expect(majorityVote([0, 1, 1, undefined, undefined, undefined])).toBe(1);
  expect(majorityVote([2, 1, 1, 2])).toBe(2);
  expect(majorityVote([undefined])).toBeUndefined();
  expect(majorityVote([])).toBeUndefined();
});

test("McNemar's exact test: statsmodels", () => {
  type Table = Record<'both' | 'lost' | 'gained' | 'neither' | 'p', number>;
  for (const { both, lost, gained, neither, p } of cases<Table>('mcnemar')) {
    const outcomes = (counts: [number, number][]): number[] =>
      counts.flatMap(([count, value]) => Array<number>(count).fill(value));
    const before = outcomes([[both, 1], [lost, 1], [gained, 0], [neither, 0]]); // prettier-ignore
    const after = outcomes([[both, 1], [lost, 0], [gained, 1], [neither, 0]]); // prettier-ignore
    const result = mcnemarExact(before, after);
    expect([result.lost, result.gained]).toEqual([lost, gained]);
    expectClose(result.pValue, p, 1e-12);
  }
});

test("Holm's correction: statsmodels multipletests", () => {
  for (const { p, adjusted } of cases<{ p: number[]; adjusted: number[] }>('holm-statsmodels')) {
    holmAdjust(p).forEach((value, index) => expectClose(value, adjusted[index], 1e-12));
  }
});

describe('power', () => {
  type Case = {
    method: string;
    problems?: number;
    samples?: number;
    right?: number[];
    alpha: number;
    change: number | null;
  };

  it('agrees with SciPy (exact) and statsmodels (normal)', () => {
    for (const { method, problems = 0, samples = 1, right, alpha, change } of cases<Case>(
      'power',
    )) {
      const counts = right ?? Array<number>(problems).fill(0);
      const found = detectableChange(counts, samples, { alpha });
      expect(found.method).toBe(method);
      if (change === null) expect(found.change).toBeNaN();
      // statsmodels also counts rejections on the wrong side, about 1e-6 of power.
      else expectClose(found.change / change, 1, method === 'normal' ? 1e-5 : 1e-9);
    }
  });

  it('finds the change that 80 % of simulated experiments detect', () => {
    const random = new Random(5);
    const [problems, samples] = [60, 16];
    const shares = Array.from({ length: problems }, (_, i) => 0.25 + (0.5 * i) / problems);
    const draw = (share: number): number => {
      let right = 0;
      for (let sample = 0; sample < samples; sample++) if (random.uniform() < share) right++;
      return right;
    };
    const counts = shares.map((share) => Math.round(share * samples));
    const { change } = detectableChange(counts, samples);
    let detected = 0;
    const rounds = 2000;
    for (let round = 0; round < rounds; round++) {
      const gaps = shares.map((share) => (draw(share - change) - draw(share)) / samples);
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / problems;
      const squares = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0);
      const error = Math.sqrt(squares / (problems - 1) / problems);
      if (Math.abs(mean / error) > 1.96) detected++;
    }
    expect(detected / rounds).toBeGreaterThan(0.74);
    expect(detected / rounds).toBeLessThan(0.86);
  });

  it('refuses what makes no sense', () => {
    expect(fewestFlips(0.05)).toBe(6);
    expect(() => detectableChange([], 4)).toThrow(/no problems/);
    expect(() => detectableChange([5], 4)).toThrow(/from 0 to 4/);
    expect(() => detectableChange([1], 0)).toThrow(/no samples/);
  });
});
