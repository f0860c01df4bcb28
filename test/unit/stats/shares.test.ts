// Intervals of shares: the bootstrap's where values vary, a bound where they do not.
import { describe, expect, it } from 'vitest';
import {
  bootstrapMean,
  bootstrapPairedDifference,
  bootstrapShare,
  shareChangeInterval,
  pairedShareChange,
  fairCoinPValue,
  wilsonInterval,
} from '../../../lib/stats/index.js';

const filled = (count: number, ones: number): number[] =>
  Array.from({ length: count }, (_, index) => (index < ones ? 1 : 0));
const options = { resamples: 2_000, seed: 1 };

describe('bootstrapShare', () => {
  it("is the bootstrap's where shares vary", () => {
    const shares = [0.5, 0, 1, 0.25, 0.25];
    expect(bootstrapShare(shares, options)).toEqual(bootstrapMean(shares, options));
  });

  it("is Wilson's where none or all are right", () => {
    for (const [right, confidence] of [
      [0, 0.95],
      [50, 0.95],
      [50, 0.8],
    ]) {
      const interval = bootstrapShare(filled(50, right), { ...options, confidence });
      const wilson = wilsonInterval(right, 50, confidence);
      expect(interval.estimate).toBe(right / 50);
      expect(interval.low).toBeCloseTo(wilson.low, 12);
      expect(interval.high).toBeCloseTo(wilson.high, 12);
    }
    expect(bootstrapShare(filled(50, 0)).high).toBeCloseTo(0.0713, 4);
  });

  it('never has a lower upper bound for one right answer than for none', () => {
    for (const count of [2, 12, 30, 50]) {
      const none = bootstrapShare(filled(count, 0), options);
      const all = bootstrapShare(filled(count, count), options);
      for (const one of [0.25, 1]) {
        const some = [one, ...filled(count - 1, 0)];
        expect(bootstrapShare(some, options).high).toBeGreaterThanOrEqual(none.high);
        const most = some.map((share) => 1 - share);
        expect(bootstrapShare(most, options).low).toBeLessThanOrEqual(all.low);
      }
    }
  });

  it('holds the truth as often as it says, for rare successes too', () => {
    // With one success in 50 expected, 36 % of the runs have none.
    const truth = 0.02;
    let covered = 0;
    let probability = (1 - truth) ** 50;
    for (let right = 0; right <= 50; right++) {
      const { low, high } = bootstrapShare(filled(50, right), options);
      if (low <= truth && truth <= high) covered += probability;
      probability *= ((50 - right) / (right + 1)) * (truth / (1 - truth));
    }
    expect(covered).toBeGreaterThan(0.94);
  });
});

describe('shareChangeInterval', () => {
  it("is the bootstrap's where both sides and the changes vary", () => {
    const after = [0.5, 0.75, 0, 0, 0.25, 0, 1];
    const before = [0.25, 1, 0.5, 0.25, 0, 0.75, 0];
    expect(shareChangeInterval(before, after, options)).toEqual(
      bootstrapPairedDifference(before, after, options),
    );
  });

  it("is Tango's where every problem has one answer", () => {
    const [before, after] = [filled(20, 12), [...filled(18, 5), 1, 1]];
    const flips = { gained: 2, lost: 7, pairs: 20 };
    expect(shareChangeInterval(before, after, options)).toEqual(pairedShareChange(flips));
    expect(shareChangeInterval(before, after, { ...options, confidence: 0.8 })).toEqual(
      pairedShareChange(flips, 0.8),
    );
  });

  it('leaves room for gains that no problem shows, no less of it where some lose', () => {
    // Problems that were solved in half of their samples, of which some lose all.
    const before = Array.from({ length: 12 }, () => 0.5);
    const unseen = wilsonInterval(0, 12).high;
    let least = 1;
    for (let lost = 0; lost < 12; lost++) {
      const after = before.map((share, index) => (index < lost ? 0 : share));
      const { estimate, low, high } = shareChangeInterval(before, after, options);
      expect(estimate).toBeCloseTo(-lost / 24, 12);
      if (lost === 0) expect(high).toBeCloseTo(unseen, 12);
      expect(high - estimate).toBeGreaterThan(unseen - 1e-9);
      expect(high).toBeLessThan(least + 1e-9);
      least = high;
      const mirrored = shareChangeInterval(after, before, options);
      expect([mirrored.low, mirrored.high]).toEqual([
        expect.closeTo(-high, 9),
        expect.closeTo(-low, 9),
      ]);
    }
  });

  it('bounds a change that no problem shows in both directions', () => {
    const bound = wilsonInterval(0, 50).high;
    for (const right of [0, 20, 50]) {
      const same = filled(50, right);
      const interval = shareChangeInterval(same, same, options);
      expect(interval.estimate).toBe(0);
      expect(interval.low).toBeCloseTo(-bound, 12);
      expect(interval.high).toBeCloseTo(bound, 12);
    }
  });

  it('leaves out 0 no earlier than the exact test where the model solved nothing or all', () => {
    for (const count of [12, 50, 200]) {
      for (let flips = 1; flips <= 12; flips++) {
        const gain = shareChangeInterval(filled(count, 0), filled(count, flips), options);
        const loss = shareChangeInterval(
          filled(count, count),
          filled(count, count - flips),
          options,
        );
        const back = shareChangeInterval(filled(count, flips), filled(count, 0), options);
        const isSignificant = fairCoinPValue(0, flips) < 0.05;
        for (const [low, high] of [
          [gain.low, gain.high],
          [-loss.high, -loss.low],
          [-back.high, -back.low],
        ]) {
          expect(high).toBeGreaterThan(0);
          if (low > 0) expect(isSignificant).toBe(true);
        }
      }
    }
  });

  it('refuses sides of other lengths', () => {
    expect(() => shareChangeInterval([1], [1, 0])).toThrow(/one length/);
  });
});
