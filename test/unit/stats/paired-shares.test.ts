// Tango's interval of flips: against published values, against a likelihood maximised by search, and
// what flips in one direction leave open in the other.
import { describe, expect, it } from 'vitest';
import { fairCoinPValue, pairedShareChange, wilsonInterval } from '../../../lib/stats/index.js';

const counts = (most: number): number[] => Array.from({ length: most + 1 }, (_, index) => index);

describe('pairedShareChange', () => {
  it('has the values of the literature', () => {
    // Airway reactivity (Bentur et al. 2009) in Fagerland, Lydersen and Laake 2014: -0.517 to -0.026.
    // McNemar's exact test has p = 0.07 there, so that ours goes on to 0.
    const bentur = pairedShareChange({ gained: 1, lost: 7, pairs: 21 });
    expect(bentur.estimate).toBeCloseTo(-6 / 21, 12);
    expect(bentur.low).toBeCloseTo(-0.517, 3);
    expect(bentur.high).toBe(0);
  });

  // Bounds by a ternary search of the likelihood and bisection, in Python.
  it.each([
    [{ gained: 12, lost: 2, pairs: 50 }, 0.0611124, 0.3447087],
    [{ gained: 0, lost: 6, pairs: 12 }, -0.7462184, -0.136259],
    [{ gained: 3, lost: 10, pairs: 40 }, -0.3483372, 0.0018521],
    [{ gained: 20, lost: 5, pairs: 60 }, 0.0929935, 0.3983183],
  ])('of %j is [%d, %d]', (flips, low, high) => {
    const found = pairedShareChange(flips);
    expect(found.low).toBeCloseTo(low, 6);
    expect(found.high).toBeCloseTo(high, 6);
    const { gained, lost, pairs } = flips;
    const mirrored = pairedShareChange({ gained: lost, lost: gained, pairs });
    expect(mirrored.low).toBeCloseTo(-high, 6);
    expect(mirrored.high).toBeCloseTo(-low, 6);
  });

  it("is Wilson's bound in both directions without flips, and reaches 1 where all flip", () => {
    for (const pairs of [1, 12, 50]) {
      const bound = wilsonInterval(0, pairs).high;
      const { low, high } = pairedShareChange({ gained: 0, lost: 0, pairs });
      expect(low).toBeCloseTo(-bound, 9);
      expect(high).toBeCloseTo(bound, 9);
      expect(pairedShareChange({ gained: pairs, lost: 0, pairs }).high).toBe(1);
      expect(pairedShareChange({ gained: 0, lost: pairs, pairs }).low).toBe(-1);
    }
  });

  it('is never moved up by a loss, and never narrower on the side without flips than before any', () => {
    for (const pairs of [12, 50]) {
      const none = pairedShareChange({ gained: 0, lost: 0, pairs });
      for (const gained of [0, 1, 5]) {
        for (let lost = 0; lost + gained < pairs; lost++) {
          const fewer = pairedShareChange({ gained, lost, pairs });
          const more = pairedShareChange({ gained, lost: lost + 1, pairs });
          expect(more.low).toBeLessThanOrEqual(fewer.low + 1e-9);
          expect(more.high).toBeLessThanOrEqual(fewer.high + 1e-9);
          if (gained > 0) continue;
          expect(more.high - more.estimate).toBeGreaterThan(none.high);
          if (more.high < 0) continue;
          expect(more.high - more.estimate).toBeGreaterThan(fewer.high - fewer.estimate);
        }
      }
    }
  });

  it("leaves out 0 no earlier than McNemar's exact test", () => {
    for (const gained of counts(12)) {
      for (const lost of counts(24)) {
        const { low, high } = pairedShareChange({ gained, lost, pairs: 40 });
        const isSignificant = fairCoinPValue(lost, lost + gained) < 0.05;
        if (low > 0 || high < 0) expect(isSignificant).toBe(true);
      }
    }
  });

  it('holds the truth as often as it says', () => {
    const logs = counts(60).map((n) => counts(n).reduce((sum, k) => sum + Math.log(k || 1), 0));
    for (const [pairs, lostShare, gainedShare] of [
      [12, 0.2, 0.001],
      [20, 0.5, 0.05],
      [50, 0.02, 0.001],
      [50, 0.1, 0.1],
    ]) {
      let covered = 0;
      for (const lost of counts(pairs)) {
        for (const gained of counts(pairs - lost)) {
          const same = pairs - lost - gained;
          const { low, high } = pairedShareChange({ gained, lost, pairs });
          const truth = gainedShare - lostShare;
          if (low > truth || high < truth) continue;
          covered += Math.exp(
            logs[pairs] -
              logs[lost] -
              logs[gained] -
              logs[same] +
              lost * Math.log(lostShare) +
              gained * Math.log(gainedShare) +
              same * Math.log(1 - lostShare - gainedShare),
          );
        }
      }
      expect(covered).toBeGreaterThan(0.95);
    }
  });

  it('refuses counts that are none', () => {
    for (const flips of [
      { gained: 0, lost: 0, pairs: 0 },
      { gained: 2, lost: 2, pairs: 3 },
      { gained: 0.5, lost: 0, pairs: 3 },
      { gained: -1, lost: 0, pairs: 3 },
    ]) {
      expect(() => pairedShareChange(flips)).toThrow(/paired proportions/);
    }
    expect(() => pairedShareChange({ gained: 0, lost: 0, pairs: 3 }, 1)).toThrow(/confidence/);
  });
});
