// Index arithmetic and names of the graph, against the counts and formulas of the method page.

import { describe, expect, test } from 'vitest';
import {
  checkShape,
  CircuitGraph,
  describeShape,
  edgeCount,
  graphOf,
  sameGraph,
} from '../../../lib/circuit/index.js';
import {
  destinationName,
  destinationNames,
  edgeName,
  parseDestination,
  parseEdge,
  parseSource,
  sourceName,
  sourceNames,
} from '../../../lib/circuit/index.js';
import { naiveEdges, randomTable, readersOf, SHAPES, shapeOf } from './helpers.js';

describe('edge counts', () => {
  test.each([
    ['GPT-2 small', 12, 12, 32_491],
    ['Qwen2.5-0.5B', 24, 14, 179_749],
    ['Qwen2.5-1.5B', 28, 12, 183_555],
    ['Qwen2.5-7B', 28, 28, 935_747],
    ['Qwen3-8B', 36, 32, 2_022_463],
    ['Llama-3-8B', 32, 32, 1_592_881],
  ])('%s', (_, layers, heads, edges) => {
    expect(edgeCount(shapeOf({ layers, heads }))).toBe(edges);
  });

  test.each([
    [8, 14, 2],
    [6, 8, 8],
    [5, 6, 1],
  ])('grouped: %i layers, %i heads over %i', (layers, heads, keyValueHeads) => {
    const graph = graphOf(shapeOf({ layers, heads, keyValueHeads, kvEdges: 'grouped' }));
    const full = graphOf(shapeOf({ layers, heads }));
    // Merge the per-query-head edges that share a key/value head, and count what is left.
    const merged = new Set<string>();
    for (const { source, destination } of naiveEdges(full, new Float32Array(0))) {
      const name = destinationName(full, destination);
      const shared = /^a(\d+)\.h(\d+)<([kv])>$/.exec(name);
      const group = shared && Math.floor(Number(shared[2]) / (heads / keyValueHeads));
      const target = shared ? `a${shared[1]}.kv${group}<${shared[3]}>` : name;
      merged.add(`${sourceName(full, source)}->${target}`);
    }
    expect(graph.edgeCount).toBe(merged.size);
    // Throws at the first name that the grouped graph does not know.
    for (const name of merged) parseEdge(graph, name);
  });
});

describe.each(Object.entries(SHAPES))('%s graph', (_, shape) => {
  const graph = new CircuitGraph(shape);
  const { scores } = randomTable(shape, 1);
  const edges = naiveEdges(graph, scores);

  test('real edges are those of the definition, in index order', () => {
    expect(graph.edgeCount).toBe(edges.length);
    const mask = graph.realEdgeMask();
    expect(mask.reduce((sum, bit) => sum + bit, 0)).toBe(edges.length);
    for (const { index, source, destination } of edges) {
      expect([
        mask[source * graph.nBackward + destination],
        graph.isRealEdge(source, destination),
        graph.edgeIndex(source, destination),
        graph.edgeSource(index),
        graph.edgeDestination(index, source),
      ]).toEqual([1, true, index, source, destination]);
    }
    expect(graph.isRealEdge(1, 0)).toBe(false);
    expect(graph.isRealEdge(0, graph.nBackward)).toBe(false);
    expect(graph.isRealEdge(-1, 0)).toBe(false);
    expect(graph.isRealEdge(graph.nForward, graph.nBackward - 1)).toBe(false);
  });

  test('owners of columns and columns of nodes agree with the definition', () => {
    for (let column = 0; column < graph.nBackward; column++) {
      const readers = readersOf(graph, column);
      const start = graph.ownerStart[column];
      const owners = Array.from(
        { length: graph.ownerEnd[column] - start },
        (_unused, index) => start + index,
      );
      expect(owners).toEqual(readers);
      for (let source = 0; source < graph.nForward; source++) {
        const own = graph.nodeColumns.subarray(source * 3, source * 3 + 3).includes(column);
        expect(own).toBe(readers.includes(source));
      }
    }
  });

  test('compact and expand are inverse on real edges', () => {
    const values = graph.compact(scores);
    expect(Array.from(values)).toEqual(edges.map(({ score }) => score));
    expect(graph.expand(values)).toEqual(scores);
    const dirty = scores.map((score, index) => (graph.realEdgeMask()[index] ? score : 9));
    expect(graph.compact(dirty)).toEqual(values);
  });

  test('names parse back to their indexes', () => {
    expect(new Set(sourceNames(graph)).size).toBe(graph.nForward);
    expect(new Set(destinationNames(graph)).size).toBe(graph.nBackward);
    sourceNames(graph).forEach((name, index) => expect(parseSource(graph, name)).toBe(index));
    destinationNames(graph).forEach((name, index) =>
      expect(parseDestination(graph, name)).toBe(index),
    );
    for (const { source, destination } of edges) {
      expect(parseEdge(graph, edgeName(graph, source, destination))).toEqual({
        source,
        destination,
      });
    }
  });
});

describe('names and indexes by the method page', () => {
  const graph = graphOf(shapeOf({ layers: 2, heads: 3 }));

  test('formulas', () => {
    expect(graph.nForward).toBe(1 + 2 * 4);
    expect(graph.nBackward).toBe(2 * 10 + 1);
    expect(graph.headSource(1, 2)).toBe(1 + 1 * 4 + 2);
    expect(graph.mlpSource(1)).toBe(1 + 1 * 4 + 3);
    expect(graph.headDestination(1, 2, 'q')).toBe(10 + 2);
    expect(graph.headDestination(1, 2, 'k')).toBe(10 + 3 + 2);
    expect(graph.headDestination(1, 2, 'v')).toBe(10 + 6 + 2);
    expect(graph.mlpDestination(1)).toBe(10 + 9);
    expect(graph.logitsDestination).toBe(20);
  });

  test('spelling', () => {
    expect(edgeName(graph, 0, 0)).toBe('input->a0.h0<q>');
    expect(edgeName(graph, 1, 9)).toBe('a0.h0->m0');
    expect(edgeName(graph, 8, 20)).toBe('m1->logits');
    const grouped = graphOf(SHAPES.grouped);
    expect(edgeName(grouped, 0, 4)).toBe('input->a0.kv0<k>');
    expect(edgeName(grouped, 0, 7)).toBe('input->a0.kv1<v>');
  });

  test.each([
    'a0.h0',
    'a0.h0->a0.h1<q>',
    'm1->m0',
    'input->a0.h3<q>',
    'input->a2.h0<q>',
    'input->a0.h0',
    'input->m0<q>',
    'input->a00.h0<q>',
    'input->input',
    'logits->m0',
    '__proto__->m0',
    '',
  ])('refuses the edge %j', (name) => {
    expect(() => parseEdge(graph, name)).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_CIRCUIT_FORMAT' }),
    );
  });

  test('parallel blocks have no edge from a head to its own MLP', () => {
    const parallel = graphOf(shapeOf({ layers: 2, heads: 3, parallelBlock: true }));
    expect(() => parseEdge(parallel, 'a0.h0->m0')).toThrow(/no edge 'a0.h0->m0'/);
    expect(() => parseEdge(parallel, 'a0.h0->m1')).not.toThrow();
    expect(() => parseEdge(graph, 'a0.h0->m0')).not.toThrow();
  });
});

describe('shapes', () => {
  test.each([
    { layers: 0, heads: 1 },
    { layers: 1.5, heads: 1 },
    { layers: 1, heads: 1e9 },
    { layers: NaN, heads: 1 },
    { layers: 1000, heads: 1000 },
    { layers: 1, heads: 4, keyValueHeads: 3 },
  ])('refuses %j', (options) => {
    expect(() => checkShape(shapeOf(options))).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_INVALID_ARGUMENT' }),
    );
  });

  test('sameGraph looks at key/value heads only when they are grouped', () => {
    const a = shapeOf({ layers: 2, heads: 4, keyValueHeads: 2 });
    expect(sameGraph(a, { ...a, keyValueHeads: 4 })).toBe(true);
    const grouped = { ...a, kvEdges: 'grouped' as const };
    expect(sameGraph(grouped, { ...grouped, keyValueHeads: 4 })).toBe(false);
    expect(sameGraph(a, grouped)).toBe(false);
    expect(sameGraph(a, { ...a, parallelBlock: true })).toBe(false);
    expect(describeShape(grouped)).toContain('grouped over 2');
  });

  test('graphOf keeps recent graphs and tells shapes apart', () => {
    const shape = shapeOf({ layers: 2, heads: 2 });
    expect(graphOf(shape)).toBe(graphOf({ ...shape }));
    expect(graphOf({ ...shape, parallelBlock: true })).not.toBe(graphOf(shape));
  });
});
