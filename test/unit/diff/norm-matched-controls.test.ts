// Control sets matched in write norm: near the set's heads, distinct, seeded, and honest about how
// near they are.

import { describe, expect, test } from 'vitest';
import { normMatchedControls } from '../../../lib/diff/index.js';
import { formatHeads, type HeadRef } from '../../../lib/head-gate.js';
import { Random } from '../../../lib/stats/index.js';

const shape = { layers: 12, heads: 10 };
const random = new Random(4);
/** Norms that grow with depth, as in real models. */
const norms = Float32Array.from(
  { length: 120 },
  (_, i) => (1 + Math.floor(i / 10)) * Math.exp(random.uniform() - 0.5),
);
const normOf = ({ layer, head }: HeadRef): number => norms[layer * 10 + head];
const meanNorm = (heads: readonly HeadRef[]): number =>
  heads.reduce((sum, head) => sum + normOf(head), 0) / heads.length;
const set = [
  { layer: 1, head: 3 },
  { layer: 6, head: 0 },
  { layer: 6, head: 9 },
  { layer: 11, head: 5 },
];

describe('controls matched in write norm', () => {
  const { sets, notes, overlappingLayers } = normMatchedControls(set, {
    shape,
    norms,
    count: 30,
    seed: 1,
  });

  test('have as many heads, none of the set, all different, sorted', () => {
    expect(sets).toHaveLength(30);
    expect(new Set(sets.map(formatHeads)).size).toBe(30);
    expect(overlappingLayers).toEqual([]);
    for (const heads of sets) {
      expect(heads).toHaveLength(set.length);
      const names = formatHeads(heads).split(',');
      expect(
        formatHeads(set)
          .split(',')
          .some((name) => names.includes(name)),
      ).toBe(false);
    }
  });

  test('write as much as the set, unlike random heads', () => {
    const distances = sets.map((heads) => Math.abs(Math.log(meanNorm(heads) / meanNorm(set))));
    const spread = new Random(5);
    const all = Array.from({ length: 120 }, (_, i) => ({
      layer: Math.floor(i / 10),
      head: i % 10,
    }));
    const anyhow = Array.from({ length: 30 }, () =>
      Math.abs(Math.log(meanNorm(spread.sample(all, 4)) / meanNorm(set))),
    );
    const mean = (values: number[]): number => values.reduce((a, b) => a + b) / values.length;
    expect(mean(distances)).toBeLessThan(0.15);
    expect(mean(distances)).toBeLessThan(0.5 * mean(anyhow));
    const means = sets.map(meanNorm);
    const short = (value: number): string => String(Number(value.toPrecision(3)));
    expect(notes).toEqual([
      `mean write norm ${short(meanNorm(set))}, of its controls ` +
        `${short(Math.min(...means))} to ${short(Math.max(...means))}`,
    ]);
  });

  test('follow the seed', () => {
    expect(normMatchedControls(set, { shape, norms, count: 30, seed: 1 }).sets).toEqual(sets);
    const other = normMatchedControls(set, { shape, norms, count: 30, seed: 2 }).sets;
    expect(other).not.toEqual(sets);
  });

  test('say when there are too few, and refuse norms that do not fit', () => {
    const small = { layers: 1, heads: 3 };
    const found = normMatchedControls([{ layer: 0, head: 0 }], {
      shape: small,
      norms: [1, 2, 3],
      count: 5,
    });
    expect(found.sets.map(formatHeads).sort()).toEqual(['a0.h1', 'a0.h2']);
    expect(found.notes[0]).toBe('only 2 different control sets were found, 5 were asked for');
    const most = [0, 1].map((head) => ({ layer: 0, head }));
    const none = normMatchedControls(most, { shape: small, norms: [1, 2, 3], count: 5 });
    expect(none.sets).toEqual([]);
    expect(normMatchedControls(set, { shape, norms, count: 0 })).toEqual({
      sets: [],
      overlappingLayers: [],
      notes: [],
    });
    for (const bad of [
      [1, 2],
      [1, 2, NaN],
      [1, 2, -1],
    ]) {
      expect(() => normMatchedControls(most, { shape: small, norms: bad, count: 5 })).toThrow(
        /write norms must be 3 numbers/,
      );
    }
  });
});
