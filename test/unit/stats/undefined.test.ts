// Values that are none, and resamples in which a statistic is undefined: neither passes for an interval.

import { describe, expect, test } from 'vitest';
import {
  bootstrapMean,
  bootstrapPairedDifference,
  bootstrapStatistic,
  mean,
  percentileBounds,
  quantile,
} from '../../../lib/stats/index.js';

const refusal = (message: RegExp): Error =>
  expect.objectContaining({
    code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
    message: expect.stringMatching(message) as string,
  }) as Error;
const none = { low: Number.NaN, high: Number.NaN };
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('data that are no finite numbers', () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'have no mean with an interval: %s',
    (value) => {
      expect(() => bootstrapMean([1, value, 2])).toThrowError(
        refusal(/^bootstrapMean: value 1 is (NaN|Infinity); leave it out/),
      );
      expect(() => bootstrapPairedDifference([1, 2], [value, 2])).toThrowError(
        refusal(/value 0 is/),
      );
    },
  );

  test('are no rounding: an infinite mean is not 0', () => {
    expect(mean([1, Number.POSITIVE_INFINITY])).toBe(Number.POSITIVE_INFINITY);
  });

  test('have no quantile', () => {
    expect(quantile([1, Number.NaN, 2], 0)).toBeNaN();
    expect(quantile([1, 3, 2], 0)).toBe(1);
  });

  test('are refused where they are no numbers at all', () => {
    for (const wrong of [null, 'text', ['1'], {}, new DataView(new ArrayBuffer(8))]) {
      expect(() => bootstrapMean(wrong as never)).toThrowError(
        refusal(/takes a list of numbers, not/),
      );
      expect(() => bootstrapPairedDifference([1], wrong as never)).toThrowError(
        refusal(/takes a list of numbers, not/),
      );
    }
  });
});

describe('percentile bounds of values of which some are undefined', () => {
  const bounds = (undefinedOnes: number, confidence = 0.95) =>
    percentileBounds(
      [...upTo(1001 - undefinedOnes), ...Array<number>(undefinedOnes).fill(Number.NaN)],
      confidence,
    );

  test('hold what the undefined could make of them, and are none with more than a tail', () => {
    const near = (low: number, high: number) => ({
      low: expect.closeTo(low, 9) as number,
      high: expect.closeTo(high, 9) as number,
    });
    expect(bounds(0)).toEqual(near(25, 975));
    // Ten may lie below all others, and ten above.
    expect(bounds(10)).toEqual(near(15, 975));
    expect(bounds(25)).toEqual(near(0, 975));
    expect(bounds(26)).toEqual(none);
    expect(bounds(1001)).toEqual(none);
    expect(bounds(26, 0.9)).toEqual(near(24, 950));
  });
});

describe('a statistic that some resamples leave undefined', () => {
  /** Undefined without the first item. */
  const ratio =
    (items: number) =>
    (indexes: Uint32Array): number =>
      indexes.includes(0) ? indexes.reduce((sum, index) => sum + index, 0) / items : Number.NaN;

  test('counts them, and has no interval where they are many', () => {
    // (1 - 1/20)^20: a third of the resamples lack an item.
    const { estimate, low, high, undefinedResamples } = bootstrapStatistic(20, ratio(20), {
      resamples: 1000,
    });
    expect({ estimate, low, high }).toEqual({ estimate: 9.5, ...none });
    expect(undefinedResamples).toBeGreaterThan(250);
    expect(undefinedResamples).toBeLessThan(450);
  });

  test('has an interval where they are few, wider than that of the others alone', () => {
    // Only resamples of 4 equal items are undefined: 1.6 %.
    const values: number[] = [];
    const spread = (indexes: Uint32Array): number => {
      const value = indexes.every((index) => index === indexes[0])
        ? Number.NaN
        : indexes.reduce((sum, index) => sum + 1.01 ** index + index, 0);
      values.push(value);
      return value;
    };
    const interval = bootstrapStatistic(4, spread, { resamples: 2000 });
    const defined = values.slice(1).filter((value) => !Number.isNaN(value));
    expect(interval.undefinedResamples).toBe(2000 - defined.length);
    expect(interval.undefinedResamples).toBeGreaterThan(0);
    const alone = percentileBounds(defined, 0.95);
    expect(interval.low).toBeLessThanOrEqual(alone.low);
    expect(interval.high).toBeGreaterThanOrEqual(alone.high);
  });

  test('says nothing of undefined resamples where there are none', () => {
    expect(bootstrapStatistic(3, () => 1, { resamples: 9 })).toEqual({
      estimate: 1,
      low: 1,
      high: 1,
    });
  });

  test('has no interval where it is undefined for all items', () => {
    const all = (indexes: Uint32Array): number => (new Set(indexes).size === 5 ? Number.NaN : 1);
    expect(bootstrapStatistic(5, all)).toEqual({ estimate: Number.NaN, ...none });
  });
});
