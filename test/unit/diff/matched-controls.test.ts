// Control sets: matched per layer, distinct, seeded, and honest where a layer is too small.

import { describe, expect, test } from 'vitest';
import { matchedControlCount, matchedControls } from '../../../lib/diff/index.js';
import { formatHeads, parseHeads, type HeadRef } from '../../../lib/head-gate.js';

const ref = (layer: number, head: number): HeadRef => ({ layer, head });
const perLayer = (set: HeadRef[]): Record<number, number> => {
  const counts: Record<number, number> = {};
  for (const { layer } of set) counts[layer] = (counts[layer] ?? 0) + 1;
  return counts;
};

describe.each([
  ['few possible sets', { layers: 3, heads: 5 }, [ref(0, 1), ref(2, 0), ref(2, 4)]],
  ['many possible sets', { layers: 24, heads: 14 }, [1, 3, 5, 7, 9].map((l) => ref(l, l % 3))],
])('%s', (_, shape, ablated) => {
  const { sets, overlappingLayers, notes } = matchedControls(ablated, { shape, count: 8, seed: 1 });

  test('as many heads in each layer, none of the set, all different', () => {
    expect(sets.length).toBe(8);
    expect(new Set(sets.map(formatHeads)).size).toBe(8);
    const own = ablated.map((head) => formatHeads([head]));
    for (const set of sets) {
      expect(perLayer(set)).toEqual(perLayer(ablated));
      expect(new Set(set.map((head) => formatHeads([head]))).size).toBe(ablated.length);
      for (const head of set) expect(own).not.toContain(formatHeads([head]));
      for (const { head } of set) expect(head).toBeLessThan(shape.heads);
    }
    expect(overlappingLayers).toEqual([]);
    expect(notes).toEqual([]);
  });

  test('the seed decides', () => {
    const again = matchedControls(ablated, { shape, count: 8, seed: 1 });
    expect(again.sets).toEqual(sets);
    expect(matchedControls(ablated, { shape, count: 8, seed: 2 }).sets).not.toEqual(sets);
  });
});

test('every other head of the layer comes up about equally often', () => {
  const counts = new Map<number, number>();
  for (let seed = 0; seed < 600; seed++) {
    const { sets } = matchedControls([ref(0, 2)], {
      shape: { layers: 1, heads: 7 },
      count: 1,
      seed,
    });
    const head = sets[0][0].head;
    counts.set(head, (counts.get(head) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual([0, 1, 3, 4, 5, 6]);
  for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(45);
});

test('a layer with too few others: all of those, and the rest from the set, and a note', () => {
  const ablated = [ref(0, 0), ref(0, 1), ref(0, 2), ref(1, 0)];
  const result = matchedControls(ablated, { shape: { layers: 2, heads: 4 }, count: 5 });
  expect(result.overlappingLayers).toEqual([0]);
  expect(result.notes).toEqual([
    'layer 0 has 1 heads outside the set of 3: its controls share 2 with the set',
  ]);
  for (const set of result.sets) {
    expect(perLayer(set)).toEqual({ 0: 3, 1: 1 });
    expect(formatHeads(set)).toContain('a0.h3');
    expect(formatHeads(set)).not.toContain('a1.h0');
  }
  expect(new Set(result.sets.map(formatHeads)).size).toBe(5);
});

test('fewer sets than asked for where no more exist', () => {
  const result = matchedControls([ref(0, 0)], { shape: { layers: 1, heads: 4 }, count: 10 });
  expect(result.sets.map(formatHeads).sort()).toEqual(['a0.h1', 'a0.h2', 'a0.h3']);
  expect(result.notes).toEqual([
    'only 3 different control sets with as many heads in every layer exist, 10 were asked for; ' +
      'matching by write-norm takes heads of other layers too',
  ]);
});

test('whole layers have no control at all', () => {
  const result = matchedControls([ref(0, 0), ref(0, 1)], {
    shape: { layers: 2, heads: 2 },
    count: 3,
  });
  expect(result.sets).toEqual([]);
  expect(result.overlappingLayers).toEqual([0]);
  expect(result.notes.length).toBe(2);
});

test('heads named twice count once; bad heads and counts are refused', () => {
  const shape = { layers: 1, heads: 3 };
  const { sets } = matchedControls([ref(0, 0), ref(0, 0)], { shape, count: 1 });
  expect(sets[0].length).toBe(1);
  for (const bad of [ref(1, 0), ref(0, 3), ref(0, -1)]) {
    expect(() => matchedControls([bad], { shape, count: 1 })).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_INVALID_ARGUMENT' }),
    );
  }
  for (const count of [-1, 0.5, NaN]) {
    expect(() => matchedControls([ref(0, 0)], { shape, count })).toThrow(/number of sets/);
  }
  expect(matchedControls([], { shape, count: 2 }).sets).toEqual([]);
});

test.each(['0.0', '0.0,0.1', '0.0,1.1,2.2', '0.0,0.1,0.2', '0.*', '0.*,1.*', '0.*,1.2', '0.0,1.*'])(
  'counts the controls of %s without making them',
  (text) => {
    const shape = { layers: 4, heads: 4 };
    const set = parseHeads(text, shape);
    for (const count of [0, 1, 3, 20, 300]) {
      const { sets } = matchedControls(set, { shape, count });
      expect(matchedControlCount(set, { shape, count })).toBe(sets.length);
    }
  },
);

test('no sets asked for: nothing to say of them', () => {
  const shape = { layers: 2, heads: 4 };
  for (const ablated of [parseHeads('0.*', shape), parseHeads('0.0,0.1,0.2')]) {
    expect(matchedControls(ablated, { shape, count: 1 }).notes).not.toEqual([]);
    expect(matchedControls(ablated, { shape, count: 0 })).toMatchObject({ sets: [], notes: [] });
  }
});
