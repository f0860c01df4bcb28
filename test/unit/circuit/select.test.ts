// Selection rules and pruning against naive versions of their definitions.

import { describe, expect, test } from 'vitest';
import {
  buildCircuit,
  circuitEdgeList,
  countEdges,
  countNodes,
  graphOf,
  selectEdges,
  type Ranking,
} from '../../../lib/circuit/index.js';
import { naiveEdges, naivePrune, randomTable, readersOf, SHAPES, shapeOf } from './helpers.js';
import type { NaiveEdge } from './helpers.js';

const rankings: Ranking[] = ['absolute', 'signed'];
const valueOf = (ranking: Ranking) => (edge: NaiveEdge) =>
  ranking === 'absolute' ? Math.abs(edge.score) : edge.score;

/** Best first by value, then by index. */
function sorted(edges: NaiveEdge[], ranking: Ranking): NaiveEdge[] {
  const value = valueOf(ranking);
  return [...edges].sort((a, b) => value(b) - value(a) || a.index - b.index);
}

const indexes = (edges: NaiveEdge[]): number[] =>
  edges.map(({ index }) => index).sort((a, b) => a - b);

describe.each(Object.entries(SHAPES))('%s graph', (_, shape) => {
  const graph = graphOf(shape);
  // Coarse scores: many ties, zeros of both signs.
  const tables = [randomTable(shape, 2), randomTable(shape, 3, 3)];

  describe.each(rankings)('%s', (ranking) => {
    test.each([0, 1])('top-n of table %i is the head of the sorted list', (which) => {
      const { scores } = tables[which];
      const best = sorted(naiveEdges(graph, scores), ranking);
      for (const n of [0, 1, 2, 7, 40, graph.edgeCount - 1, graph.edgeCount]) {
        const picked = selectEdges(graph, graph.compact(scores), { rule: 'top-n', n, ranking });
        expect(Array.from(picked)).toEqual(indexes(best.slice(0, n)));
      }
    });

    test('tau within top-n, and tau over all edges', () => {
      const { scores } = tables[1];
      const all = naiveEdges(graph, scores);
      const values = graph.compact(scores);
      const tau = Math.fround(1 / 3);
      const reaches = (edge: NaiveEdge): boolean => valueOf(ranking)(edge) >= tau;
      const within = selectEdges(graph, values, { rule: 'top-n', n: 30, tau, ranking });
      expect(Array.from(within)).toEqual(
        indexes(sorted(all, ranking).slice(0, 30).filter(reaches)),
      );
      const everywhere = selectEdges(graph, values, { rule: 'threshold', tau, ranking });
      expect(Array.from(everywhere)).toEqual(indexes(all.filter(reaches)));
      expect(everywhere.length).toBeGreaterThan(0);
    });

    test.each([0, 1])('greedy on table %i takes the best edge into what is reached', (which) => {
      const { scores } = tables[which];
      const all = naiveEdges(graph, scores);
      for (const n of [0, 1, 5, 33, graph.edgeCount]) {
        const reached = new Set<number>();
        const chosen: NaiveEdge[] = [];
        while (chosen.length < n) {
          const frontier = all.filter(
            (edge) =>
              !chosen.includes(edge) &&
              (edge.destination === graph.nBackward - 1 ||
                readersOf(graph, edge.destination).some((reader) => reached.has(reader))),
          );
          const best = sorted(frontier, ranking)[0];
          chosen.push(best);
          reached.add(best.source);
        }
        const picked = selectEdges(graph, graph.compact(scores), { rule: 'greedy', n, ranking });
        expect(Array.from(picked)).toEqual(indexes(chosen));
      }
    });
  });

  test('pruning leaves exactly what the definition leaves', () => {
    const { scores } = tables[0];
    const all = naiveEdges(graph, scores);
    for (const n of [0, 3, 8, 15, 25, 60]) {
      const kept = naivePrune(graph, sorted(all, 'absolute').slice(0, n));
      const circuit = buildCircuit(tables[0], { rule: 'top-n', n });
      expect(Array.from(circuitEdgeList(circuit).edges)).toEqual(indexes(kept));
      const sources = new Set(kept.map(({ source }) => source));
      expect(countNodes(circuit)).toBe(sources.size);
      for (const source of sources) expect(circuit.nodesInGraph[source]).toBe(1);
    }
  });

  test('the whole graph survives pruning; prune: false keeps every selected edge', () => {
    const whole = buildCircuit(tables[0], { rule: 'top-n', n: graph.edgeCount });
    expect(countEdges(whole)).toBe(graph.edgeCount);
    expect(countNodes(whole)).toBe(graph.nForward);
    const loose = buildCircuit(tables[0], { rule: 'top-n', n: 8, prune: false });
    expect(countEdges(loose)).toBe(8);
  });
});

describe('bad input', () => {
  const shape = shapeOf({ layers: 1, heads: 2 });
  const graph = graphOf(shape);
  const scores = new Float32Array(graph.edgeCount);

  test.each([-1, 1.5, NaN, graph.edgeCount + 1])('n = %d', (n) => {
    for (const rule of ['top-n', 'greedy'] as const) {
      expect(() => selectEdges(graph, scores, { rule, n })).toThrowError(
        expect.objectContaining({ code: 'ERR_HEADSPARK_INVALID_ARGUMENT' }),
      );
    }
  });

  test('tau that is not a number', () => {
    expect(() => selectEdges(graph, scores, { rule: 'threshold', tau: NaN })).toThrow(/tau/);
  });

  test.each([NaN, Infinity, -Infinity])('a score of %d', (bad) => {
    const broken = scores.slice();
    broken[3] = bad;
    for (const ranking of rankings) {
      expect(() => selectEdges(graph, broken, { rule: 'top-n', n: 1, ranking })).toThrowError(
        expect.objectContaining({
          code: 'ERR_HEADSPARK_TENSOR_VALUE',
          message: expect.stringContaining('edge 3'),
        }),
      );
    }
  });

  test('-0 and 0 tie: the lower index wins', () => {
    const zeros = scores.slice();
    zeros[0] = -0;
    const picked = selectEdges(graph, zeros, { rule: 'top-n', n: 1, ranking: 'signed' });
    expect(Array.from(picked)).toEqual([0]);
  });
});

test('top-n of a graph of two million edges takes less than a second', () => {
  const shape = shapeOf({ layers: 36, heads: 32 });
  const graph = graphOf(shape);
  const scores = Float32Array.from({ length: graph.edgeCount }, (_, i) => Math.sin(i * i));
  const dense = graph.expand(scores);
  const cpu = process.cpuUsage();
  buildCircuit({ shape, scores: dense, meta: {} }, { rule: 'top-n', n: 5000 });
  // Processor time, not wall time: other work on the machine must not fail this test.
  expect(process.cpuUsage(cpu).user / 1e6).toBeLessThan(1);
});
