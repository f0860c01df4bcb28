// Differences of circuits whose edges are known by name.

import { describe, expect, test } from 'vitest';
import {
  buildCircuit,
  circuitEdgeList,
  circuitHeads,
  graphOf,
  parseEdge,
  type Circuit,
} from '../../../lib/circuit/index.js';
import { diffCircuits, effectSize, headStatus } from '../../../lib/diff/index.js';
import { jaccard, overlapOfMasks, overlapOfSorted } from '../../../lib/diff/sets.js';
import { randomTable, SHAPES, shapeOf } from '../circuit/helpers.js';

const shape = shapeOf({ layers: 2, heads: 2 });

function circuitOf(edges: Record<string, number>, meta: Circuit['meta'] = {}): Circuit {
  const graph = graphOf(shape);
  const scores = new Float32Array(graph.nForward * graph.nBackward);
  for (const [name, score] of Object.entries(edges)) {
    const { source, destination } = parseEdge(graph, name);
    scores[source * graph.nBackward + destination] = score;
  }
  return buildCircuit({ shape, scores, meta }, { rule: 'top-n', n: Object.keys(edges).length });
}

const through = (head: string, score: number): Record<string, number> => ({
  [`input->${head}<q>`]: score,
  [`${head}->logits`]: score,
});

const base = circuitOf({ ...through('a0.h0', 3), ...through('a0.h1', 1) });
const post = circuitOf({ ...through('a0.h0', 1), ...through('a1.h1', -3) });
const same = circuitOf({ ...through('a0.h0', 3), ...through('a0.h1', 1) });

describe('three circuits, the first is the base', () => {
  const diff = diffCircuits([
    { name: 'base', circuit: base },
    { name: 'post', circuit: post },
    { name: 'same', circuit: same },
  ]);

  test('retained, emergent and vanished heads and edges', () => {
    expect(diff.comparisons.map(({ base: first, other }) => [first, other])).toEqual([
      ['base', 'post'],
      ['base', 'same'],
    ]);
    expect(diff.comparisons[0]).toMatchObject({
      heads: {
        retained: [{ layer: 0, head: 0 }],
        emergent: [{ layer: 1, head: 1 }],
        vanished: [{ layer: 0, head: 1 }],
      },
      edges: { retained: 2, emergent: 2, vanished: 2 },
    });
    expect(diff.comparisons[1]).toMatchObject({
      heads: { emergent: [], vanished: [] },
      edges: { retained: 4, emergent: 0, vanished: 0 },
    });
  });

  test('importance and effect map', () => {
    expect(diff.circuits[0].importance).toEqual([
      [0.75, 0.25],
      [0, 0],
    ]);
    expect(diff.circuits[1].importance).toEqual([
      [0.25, 0],
      [0, 0.75],
    ]);
    const { effect } = diff.comparisons[0];
    expect(effect[0][0]).toBeCloseTo(-0.5, 5);
    expect(effect[0][1]).toBeCloseTo(-1, 5);
    expect(effect[1][0]).toBe(0);
    expect(effect[1][1]).toBeCloseTo(1, 5);
    expect(effectSize(0, 1)).toBeLessThan(1);
    expect(diff.comparisons[1].effect.flat()).toEqual([0, 0, 0, 0]);
  });

  test('sizes and pairwise Jaccard', () => {
    expect(diff.circuits.map(({ edges, nodes }) => [edges, nodes])).toEqual([
      [4, 3],
      [4, 3],
      [4, 3],
    ]);
    expect(diff.jaccard.heads).toEqual([
      [1, 1 / 3, 1],
      [1 / 3, 1, 1 / 3],
      [1, 1 / 3, 1],
    ]);
    expect(diff.jaccard.edges[0]).toEqual([1, 2 / 6, 1]);
  });

  test('it is plain data', () => {
    expect(JSON.parse(JSON.stringify(diff))).toEqual(diff);
  });
});

test.each(Object.entries(SHAPES))('%s: counts agree with sets of heads', (_, graphShape) => {
  const [a, b] = [1, 2].map((seed) =>
    buildCircuit(randomTable(graphShape, seed), { rule: 'top-n', n: 30 }),
  ) as [Circuit, Circuit];
  const { comparisons } = diffCircuits([
    { name: 'a', circuit: a },
    { name: 'b', circuit: b },
  ]);
  const { heads, edges } = comparisons[0];
  const names = (circuit: Circuit) =>
    circuitHeads(circuit).map((ref) => `${ref.layer}.${ref.head}`);
  const inA = new Set(names(a));
  const inB = new Set(names(b));
  const text = (refs: { layer: number; head: number }[]) => refs.map((r) => `${r.layer}.${r.head}`);
  expect(text(heads.retained)).toEqual(names(a).filter((name) => inB.has(name)));
  expect(text(heads.emergent)).toEqual(names(b).filter((name) => !inA.has(name)));
  expect(text(heads.vanished)).toEqual(names(a).filter((name) => !inB.has(name)));
  expect(edges.retained + edges.vanished).toBe(circuitEdgeList(a).edges.length);
  expect(edges.retained + edges.emergent).toBe(circuitEdgeList(b).edges.length);
});

describe('refusals', () => {
  test('fewer than two circuits', () => {
    expect(() => diffCircuits([])).toThrow(/at least two/);
    expect(() => diffCircuits([{ name: 'a', circuit: base }])).toThrow(/at least two/);
  });

  test('other graphs or other settings, naming both', () => {
    const other = buildCircuit(randomTable(SHAPES.sequential, 1), { rule: 'top-n', n: 3 });
    const mismatch = (circuit: Circuit) => () =>
      diffCircuits([
        { name: 'base.json', circuit: circuitOf(through('a0.h0', 1), { metric: 'kl' }) },
        { name: 'post.json', circuit },
      ]);
    expect(mismatch(other)).toThrow(/base\.json .* and post\.json .* different graphs/);
    expect(mismatch(circuitOf(through('a0.h0', 1), { metric: 'nll' }))).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_SETTINGS_MISMATCH' }),
    );
  });
});

test('set arithmetic', () => {
  expect(overlapOfSorted(Uint32Array.of(1, 3, 5), Uint32Array.of(2, 3, 5, 9))).toEqual({
    both: 2,
    onlyFirst: 1,
    onlySecond: 2,
  });
  expect(overlapOfMasks(Uint8Array.of(1, 1, 0, 0), Uint8Array.of(1, 0, 1, 0))).toEqual({
    both: 1,
    onlyFirst: 1,
    onlySecond: 1,
  });
  expect(jaccard({ both: 0, onlyFirst: 0, onlySecond: 0 })).toBe(1);
  expect(headStatus(false, true)).toBe('emergent');
  expect(headStatus(true, false)).toBe('vanished');
  expect(headStatus(true, true)).toBe('retained');
  expect(headStatus(false, false)).toBe('absent');
});
