// Cohorts and their survival on a series small enough to count by hand.
import { describe, expect, it } from 'vitest';
import { bootstrapMean } from '../../../lib/stats/bootstrap.js';
import { correlateWithLogs, trackSeries, type HeadSeries } from '../../../lib/tracking/index.js';

const shape = { layers: 2, heads: 3 };
const mask = (...heads: number[]): Uint8Array =>
  Uint8Array.from({ length: 6 }, (_, head) => (heads.includes(head) ? 1 : 0));

/** Base 0, 1. Step 10 brings 2; step 20 brings 3 and loses 1; step 40 loses 2; step 80 brings it back and 5. */
const series: HeadSeries = {
  label: 'run',
  regime: 'sft',
  shape,
  base: { name: 'base', step: 0, mask: mask(0, 1) },
  checkpoints: [
    { name: 'c10', step: 10, mask: mask(0, 1, 2) },
    { name: 'c20', step: 20, mask: mask(0, 2, 3) },
    { name: 'c40', step: 40, mask: mask(0, 1, 3) },
    { name: 'c80', step: 80, mask: mask(0, 1, 2, 5) },
  ],
};

describe('trackSeries', () => {
  const tracked = trackSeries(series);

  it('tells new, retained, lost and returned heads at every step', () => {
    expect(
      tracked.steps.map(({ step, heads, retained, lost }) => [step, heads, retained, lost]),
    ).toEqual([
      [10, 3, 2, 0],
      [20, 3, 1, 1],
      [40, 3, 2, 0],
      [80, 4, 2, 0],
    ]);
    expect(tracked.steps.map(({ fresh }) => fresh)).toEqual([['a0.h2'], ['a1.h0'], [], ['a1.h2']]);
    expect(tracked.steps.map(({ returned }) => returned)).toEqual([[], [], [], ['a0.h2']]);
    expect(tracked.steps[3].emergent).toEqual(['a0.h2', 'a1.h2']);
  });

  it('stacks cohorts and gives the share of later checkpoints that keep their heads', () => {
    expect(
      tracked.cohorts.map(({ heads, alive, survival }) => ({
        heads,
        alive,
        survival: survival?.estimate ?? null,
      })),
    ).toEqual([
      { heads: ['a0.h2'], alive: [1, 1, 0, 1], survival: 2 / 3 },
      { heads: ['a1.h0'], alive: [0, 1, 1, 0], survival: 1 / 2 },
      { heads: [], alive: [0, 0, 0, 0], survival: null },
      { heads: ['a1.h2'], alive: [0, 0, 0, 1], survival: null },
    ]);
    for (const [index, { cohorts, emergent }] of tracked.steps.entries()) {
      expect(
        cohorts.reduce((sum, count) => sum + count, 0),
        `step ${index}`,
      ).toBe(emergent.length);
    }
  });

  it('gives the survival of a cohort an interval over its heads', () => {
    // A cohort of four heads that are kept by 1, 1, 1/2 and 0 of two later checkpoints.
    const many = trackSeries(
      {
        ...series,
        base: { name: 'base', step: 0, mask: mask(0) },
        checkpoints: [
          { name: 'c1', step: 1, mask: mask(0, 1, 2, 3, 4) },
          { name: 'c2', step: 2, mask: mask(0, 1, 2, 3) },
          { name: 'c3', step: 3, mask: mask(0, 1, 2) },
        ],
      },
      { confidence: 0.9, seed: 5 },
    );
    const [first] = many.cohorts;
    const kept = [1, 1, 1 / 2, 0];
    expect(first.survival).toEqual(bootstrapMean(kept, { confidence: 0.9, seed: 5 }));
    expect(first.survival!.estimate).toBe(5 / 8);
    expect(first.survival!.low).toBeLessThan(first.survival!.high);
    // One head shows no spread, so it has none.
    const [single] = tracked.cohorts;
    expect([single.survival!.low, single.survival!.high]).toEqual([NaN, NaN]);
  });

  it('follows every head that was ever active', () => {
    expect(tracked.everActive).toEqual({ total: 5, base: 2, emergent: 3 });
    const byName = Object.fromEntries(tracked.heads.map((head) => [head.name, head]));
    expect(byName['a0.h1']).toMatchObject({ kind: 'base', frequency: 3 / 4, since: null });
    expect(byName['a1.h0']).toMatchObject({ kind: 'emergent', frequency: 1 / 2, since: 20 });
    expect(byName['a1.h1']).toBeUndefined();
    expect(tracked.vanishedAgain).toEqual(['a1.h0']);
  });

  it('estimates survival from first absences, without the heads of the last checkpoint', () => {
    // a0.h2 is first absent 2 checkpoints after its cohort, a1.h0 likewise; a1.h2 has no later one.
    expect(tracked.survival.count).toBe(2);
    expect(tracked.survival.points.map(({ time, ended }) => [time, ended])).toEqual([[2, 2]]);
    expect(tracked.survival.median).toBe(2);
  });

  it.each([
    ['no checkpoints', { ...series, checkpoints: [] }, /has no checkpoints/],
    [
      'steps out of order',
      { ...series, checkpoints: [...series.checkpoints].reverse() },
      /must come after step 80/,
    ],
    [
      'another shape',
      { ...series, base: { ...series.base, mask: mask(0).slice(1) } },
      /expected 2 x 3/,
    ],
  ])('refuses %s', (_name, wrong, message) => {
    expect(() => trackSeries(wrong)).toThrow(message);
  });
});

describe('correlateWithLogs', () => {
  const tracked = trackSeries(series);

  it('corrects over all correlations and leaves out what does not vary', () => {
    const rows = correlateWithLogs(
      tracked,
      [
        { name: 'reward', values: [0, 1, 2, 3] },
        { name: 'flat', values: [1, 1, 1, 1] },
        { name: 'short', values: [1, null, null, 2] },
      ],
      { resamples: 200 },
    );
    expect(rows).toHaveLength(12);
    const emergent = rows.find(
      ({ log, quantity }) => log === 'reward' && quantity === 'emergent heads',
    )!;
    expect(emergent).toMatchObject({ points: 4 });
    // 1, 2, 1, 2 against 0, 1, 2, 3.
    expect(emergent.result!.rho.estimate).toBeCloseTo(0.4472, 4);
    expect(emergent.adjusted).toBeGreaterThanOrEqual(emergent.result!.pValue);
    for (const row of rows) if (row.log !== 'reward') expect(row.result).toBeNull();
  });
});
