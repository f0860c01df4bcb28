// Heads and importance of circuits, score table checks, faithfulness curves.

import { describe, expect, test } from 'vitest';
import {
  buildCircuit,
  checkComparable,
  checkScoreTable,
  circuitEdgeList,
  circuitHeads,
  circuitModelDistance,
  circuitPerformanceRatio,
  CURVE_FRACTIONS,
  edgesAtFraction,
  faithfulness,
  graphOf,
  headImportance,
  headMask,
  pairCountOf,
  parseEdge,
  type Circuit,
} from '../../../lib/circuit/index.js';
import { ERROR_CODES, HeadsparkError, isHeadsparkError } from '../../../lib/errors.js';
import type { GraphShape } from '../../../lib/circuit/index.js';
import { scoreShares } from '../../../lib/circuit/circuit.js';
import { edgeList } from '../../../lib/circuit/prune.js';
import { randomTable, SHAPES, shapeOf } from './helpers.js';

/** A circuit of exactly these edges. */
function circuitOf(shape: GraphShape, edges: Record<string, number>, prune = false): Circuit {
  const graph = graphOf(shape);
  const scores = new Float32Array(graph.nForward * graph.nBackward);
  for (const [name, score] of Object.entries(edges)) {
    const { source, destination } = parseEdge(graph, name);
    scores[source * graph.nBackward + destination] = score;
  }
  const n = Object.keys(edges).length;
  return buildCircuit({ shape, scores, meta: {} }, { rule: 'top-n', n, prune });
}

const small = shapeOf({ layers: 2, heads: 3 });

describe('heads of a circuit', () => {
  test('any edge brings a head in, outgoing or incoming', () => {
    const circuit = circuitOf(small, { 'a0.h1->logits': 1, 'input->a1.h2<v>': -2 });
    expect(circuitHeads(circuit)).toEqual([
      { layer: 0, head: 1 },
      { layer: 1, head: 2 },
    ]);
  });

  test('a shared key/value input alone brings in no head; with an outgoing edge it does', () => {
    const shape = SHAPES.grouped;
    const fed = { 'input->a0.kv1<k>': 2 };
    expect(circuitHeads(circuitOf(shape, fed))).toEqual([]);
    const used = circuitOf(shape, { ...fed, 'a0.h3->logits': 1 }, true);
    expect(circuitHeads(used)).toEqual([{ layer: 0, head: 3 }]);
    expect(circuitEdgeList(used).edges.length).toBe(2);
  });

  test('without grouping, pruned heads are the head nodes', () => {
    for (const shape of [SHAPES.sequential, SHAPES.parallel]) {
      const graph = graphOf(shape);
      const circuit = buildCircuit(randomTable(shape, 9), { rule: 'top-n', n: 25 });
      const nodes = circuitHeads(circuit).map(({ layer, head }) => graph.headSource(layer, head));
      const expected: number[] = [];
      circuit.nodesInGraph.forEach((inside, source) => {
        const isMlp = (source - 1) % (shape.heads + 1) === shape.heads;
        if (inside && source > 0 && !isMlp) expected.push(source);
      });
      expect(nodes).toEqual(expected);
      expect(expected.length).toBeGreaterThan(0);
    }
  });

  test("importance is the share of the heads' outgoing |score|", () => {
    const circuit = circuitOf(small, {
      'a0.h1->logits': 1,
      'a0.h1->m0': -2,
      'a1.h0->logits': 1,
      'm0->logits': 8,
      'input->a0.h2<q>': 5,
    });
    const graph = graphOf(small);
    const list = circuitEdgeList(circuit);
    const importance = headImportance(graph, list, graph.compact(circuit.scores));
    expect(Array.from(importance)).toEqual([0, 0.75, 0, 0.25, 0, 0]);
    expect(Array.from(headMask(graph, list))).toEqual([0, 1, 1, 1, 0, 0]);
  });

  test('importance without heads is 0, not NaN', () => {
    const circuit = circuitOf(small, { 'input->logits': 1 });
    const graph = graphOf(small);
    const importance = headImportance(
      graph,
      circuitEdgeList(circuit),
      graph.compact(circuit.scores),
    );
    expect(Array.from(importance)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test.each(Object.entries(SHAPES))(
    'importance over all edges is that of their list: %s',
    (_, shape) => {
      const graph = graphOf(shape);
      const scores = graph.compact(randomTable(shape, 3).scores);
      const all = edgeList(graph, Uint32Array.from(scores.keys()));
      expect(scoreShares(graph, scores)).toEqual(headImportance(graph, all, scores));
    },
  );

  test('inGraph of the wrong length is refused', () => {
    const circuit = circuitOf(small, { 'input->logits': 1 });
    expect(() => circuitEdgeList({ ...circuit, inGraph: new Uint8Array(3) })).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_TENSOR_SHAPE' }),
    );
  });
});

describe('score tables', () => {
  const table = randomTable(small, 1);

  test('length, values and pair rows are checked', () => {
    expect(() => checkScoreTable(table, 't')).not.toThrow();
    expect(() => checkScoreTable({ ...table, scores: new Float32Array(5) }, 't.npy')).toThrow(
      /t\.npy: 5 scores/,
    );
    const bad = table.scores.slice();
    bad[22] = NaN;
    expect(() => checkScoreTable({ ...table, scores: bad }, 't')).toThrowError(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_TENSOR_VALUE',
        message: expect.stringContaining('source 1, destination 1'),
      }),
    );
    const { edgeCount } = graphOf(small);
    expect(pairCountOf({ ...table, pairScores: new Float32Array(3 * edgeCount) })).toBe(3);
    expect(pairCountOf(table)).toBe(0);
    expect(() => pairCountOf({ ...table, pairScores: new Float32Array(edgeCount + 1) })).toThrow(
      /whole number of rows/,
    );
  });

  test('different graphs or settings do not compare; unknown settings do', () => {
    const names = { base: 'base', other: 'post' };
    const withMeta = (meta: object) => ({ ...table, meta: { ...meta } });
    expect(() => checkComparable(withMeta({ method: 'eap' }), withMeta({}), names)).not.toThrow();
    expect(() =>
      checkComparable(withMeta({ igSteps: 5 }), withMeta({ igSteps: 10 }), names),
    ).toThrowError(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
        message: expect.stringContaining('igSteps 5'),
      }),
    );
    expect(() =>
      checkComparable(table, randomTable(shapeOf({ layers: 2, heads: 2 }), 1), names),
    ).toThrow(/different graphs/);
  });
});

describe('faithfulness', () => {
  test('0 for the empty circuit, 1 for the full model', () => {
    expect(faithfulness({ circuit: -1, empty: -1, full: 3 })).toBe(0);
    expect(faithfulness({ circuit: 3, empty: -1, full: 3 })).toBe(1);
    expect(faithfulness({ circuit: 5, empty: -1, full: 3 })).toBe(1.5);
    expect(() => faithfulness({ circuit: 1, empty: 2, full: 2 })).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_TENSOR_VALUE' }),
    );
    expect(() => faithfulness({ circuit: NaN, empty: 1, full: 2 })).toThrow(HeadsparkError);
  });

  test('fractions round down as in the goldens (qwen2: 927 edges)', () => {
    const sizes = CURVE_FRACTIONS.map((fraction) => edgesAtFraction(927, fraction));
    expect(sizes).toEqual([0, 1, 4, 9, 18, 46, 92, 185, 463, 927]);
  });

  test('CPR and CMD are trapezoids over the fraction', () => {
    const points = [
      { fraction: 0.1, faithfulness: 0 },
      { fraction: 0.5, faithfulness: 1 },
      { fraction: 1, faithfulness: 1.5 },
    ];
    expect(circuitPerformanceRatio(points)).toBeCloseTo(0.4 * 0.5 + 0.5 * 1.25, 12);
    expect(circuitModelDistance(points)).toBeCloseTo(0.4 * 0.5 + 0.5 * 0.25, 12);
    const perfect = CURVE_FRACTIONS.map((fraction) => ({ fraction, faithfulness: 1 }));
    expect(circuitPerformanceRatio(perfect)).toBeCloseTo(0.999, 12);
    expect(circuitModelDistance(perfect)).toBe(0);
  });

  test('a curve needs two increasing points with finite values', () => {
    const point = { fraction: 0.5, faithfulness: 1 };
    expect(() => circuitPerformanceRatio([point])).toThrow(/at least 2 points/);
    expect(() => circuitPerformanceRatio([point, point])).toThrow(/must increase/);
    expect(() => circuitModelDistance([point, { fraction: 1, faithfulness: NaN }])).toThrow(
      /finite/,
    );
  });
});

test('errors carry code and cause, and are known across copies of the package', () => {
  const cause = new Error('below');
  const error = new HeadsparkError('ERR_HEADSPARK_CONFIG', 'text', { cause });
  expect(error).toMatchObject({ code: 'ERR_HEADSPARK_CONFIG', message: 'text', cause });
  expect(isHeadsparkError(error)).toBe(true);
  const foreign = Object.assign(new Error('x'), { code: 'ERR_HEADSPARK_DEVICE' });
  expect(isHeadsparkError(foreign)).toBe(true);
  expect(isHeadsparkError(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe(false);
  expect(isHeadsparkError(null)).toBe(false);
  expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length);
});
