// Resampling that shares draws or work gives what each resample by itself would give.

import { describe, expect, test } from 'vitest';
import { bootstrapMean } from '../../../lib/stats/bootstrap.js';
import { pairedPermutationTest, permutationSteps } from '../../../lib/stats/permutation.js';
import { percentileBounds } from '../../../lib/stats/quantile.js';
import { Random } from '../../../lib/stats/random.js';
import { blockResample, spearman, spearmanSeries } from '../../../lib/stats/spearman.js';
import { sharedIndexes, sharedWords, type Fill } from '../../../lib/stats/shared-draws.js';
import {
  bootstrapShare,
  shareChangeInterval,
  shareChangeSteps,
  shareSteps,
} from '../../../lib/stats/shares.js';
import type { Steps } from '../../../lib/turns.js';

/** In pieces of 3. */
function read(fill: Fill, length: number): number[] {
  const numbers = new Uint32Array(length);
  for (let begin = 0; begin < length; begin += 3) fill(numbers.subarray(begin, begin + 3));
  return [...numbers];
}

describe('shared draws', () => {
  const stream = (seed: number, limit: number, length: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length }, () => random.below(limit));
  };

  test('are the numbers of a new stream, however often and beside whatever they are asked for', () => {
    const cases = [
      [1, 10, 40],
      [1, 10, 41],
      [2, 10, 40],
      [1, 11, 40],
    ] as const;
    for (let round = 0; round < 3; round++) {
      const fills = cases.map((one) => sharedIndexes(one[0], one[1], one[2]));
      fills.forEach((fill, index) => {
        const [seed, limit, length] = cases[index];
        expect(read(fill, length)).toEqual(stream(seed, limit, length));
      });
    }
    const random = new Random(1);
    expect(read(sharedWords(1, 40), 40)).toEqual(Array.from({ length: 40 }, () => random.uint32()));
  });

  test('are the same for two that read them in turns', () => {
    const [one, other] = [sharedIndexes(11, 50, 90), sharedIndexes(11, 50, 90)];
    const expected = stream(11, 50, 90);
    expect(read(one, 30)).toEqual(expected.slice(0, 30));
    expect(read(other, 60)).toEqual(expected.slice(0, 60));
    expect(read(one, 60)).toEqual(expected.slice(30));
    expect(read(other, 30)).toEqual(expected.slice(60));
  });

  test('are the same where they are too many to keep, and after others took their place', () => {
    const many = 2 ** 24 + 1;
    expect(read(sharedIndexes(7, 100, many), 50)).toEqual(stream(7, 100, 50));
    const most = 2 ** 23 + 2 ** 22;
    for (const seed of [3, 4, 3]) {
      expect(read(sharedIndexes(seed, 1000, most), 50)).toEqual(stream(seed, 1000, 50));
    }
  });
});

describe('statistics in steps', () => {
  const random = new Random(4);
  const [before, after] = [0, 1].map(() => Array.from({ length: 1000 }, () => random.below(5) / 4));
  const options = { resamples: 2000, permutations: 5000, seed: 6 };

  /** Their result, and how often they can be left. */
  function stepped<T>(steps: Steps<T>): { value: T; leaves: number } {
    for (let leaves = 0; ; leaves++) {
      const { done, value } = steps.next();
      if (done) return { value, leaves };
    }
  }

  test.each<[string, () => Steps<unknown>, () => unknown]>([
    ['shares', () => shareSteps(before, options), () => bootstrapShare(before, options)],
    [
      'changes',
      () => shareChangeSteps(before, after, options),
      () => shareChangeInterval(before, after, options),
    ],
    [
      'permutations',
      () => permutationSteps(before, after, options),
      () => pairedPermutationTest(before, after, options),
    ],
  ])('of %s are those at once, beside another one too', (_, steps, atOnce) => {
    const [one, other] = [steps(), steps()];
    for (let step = 0; step < 5; step++) one.next();
    expect(stepped(other).value).toEqual(atOnce());
    const { value, leaves } = stepped(one);
    expect(value).toEqual(atOnce());
    expect(leaves).toBeGreaterThan(10);
  });
});

test('bootstrapMean is the percentile interval of means of such draws', () => {
  const values = Float64Array.of(3, -1, 4, 1, -5, 9, 2, 6, -5, 3);
  const random = new Random(9);
  const means = Array.from({ length: 500 }, () => {
    let sum = 0;
    for (let draw = 0; draw < values.length; draw++) sum += values[random.below(values.length)];
    return sum / values.length;
  });
  expect(bootstrapMean(values, { resamples: 500, seed: 9 })).toMatchObject(
    percentileBounds(means, 0.95),
  );
});

test('spearmanSeries resamples as if every resample were ranked by itself', () => {
  const random = new Random(5);
  const series = (): number[] => Array.from({ length: 30 }, () => random.below(9));
  const [x, y] = [series(), series()];
  const blocks = new Random(3);
  const indexes = new Uint32Array(x.length);
  const rhos = Array.from({ length: 300 }, () => {
    blockResample(blocks, x.length, 4, indexes);
    const pick = (values: number[]): number[] => Array.from(indexes, (index) => values[index]);
    return spearman(pick(x), pick(y));
  });
  const options = { blockLength: 4, resamples: 300, permutations: 9, seed: 3 };
  expect(spearmanSeries(x, y, options).rho).toMatchObject(percentileBounds(rhos, 0.95));
});

test.each([21, 32, 33, 61, 64, 100])('sign patterns of %d pairs, one sign at a time', (count) => {
  const random = new Random(count);
  const before = Array.from({ length: count }, () => random.uniform());
  const after = Array.from({ length: count }, () => 0.05 + random.uniform());
  const differences = before.map((value, pair) => after[pair] - value);
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0));
  const signs = new Random(4);
  let extreme = 0;
  for (let round = 0; round < 2000; round++) {
    let [sum, word] = [0, 0];
    differences.forEach((value, pair) => {
      if (pair % 32 === 0) word = signs.uint32();
      sum += (word >>> (pair % 32)) & 1 ? value : -value;
    });
    if (Math.abs(sum) >= observed - 1e-9) extreme++;
  }
  const { pValue, exact } = pairedPermutationTest(before, after, { permutations: 2000, seed: 4 });
  expect(exact).toBe(false);
  expect(pValue).toBe((extreme + 1) / 2001);
});
