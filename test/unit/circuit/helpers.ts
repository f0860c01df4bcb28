// Shared by the circuit, diff and format tests: small shapes, seeded tables, naive oracles.

import { graphOf, type CircuitGraph } from '../../../lib/circuit/graph.js';
import type { GraphShape } from '../../../lib/circuit/shape.js';
import type { ScoreTable } from '../../../lib/circuit/score-table.js';
import { Random } from '../../../lib/stats/random.js';

export function shapeOf(
  options: Partial<GraphShape> & { layers: number; heads: number },
): GraphShape {
  return {
    keyValueHeads: options.heads,
    parallelBlock: false,
    kvEdges: 'per-query-head',
    ...options,
  };
}

export const SHAPES: Record<string, GraphShape> = {
  sequential: shapeOf({ layers: 3, heads: 4 }),
  parallel: shapeOf({ layers: 3, heads: 4, parallelBlock: true }),
  grouped: shapeOf({ layers: 3, heads: 4, keyValueHeads: 2, kvEdges: 'grouped' }),
  'grouped parallel': shapeOf({
    layers: 2,
    heads: 6,
    keyValueHeads: 2,
    kvEdges: 'grouped',
    parallelBlock: true,
  }),
};

/** Random scores; `levels` makes them coarse, so that there are ties. */
export function randomTable(shape: GraphShape, seed: number, levels = 0): ScoreTable {
  const graph = graphOf(shape);
  const random = new Random(seed);
  const values = Float32Array.from({ length: graph.edgeCount }, () => {
    const value = random.uniform() * 2 - 1;
    return levels > 0 ? Math.round(value * levels) / levels : value;
  });
  return { shape, scores: graph.expand(values), meta: {} };
}

/** A table whose pairs scatter round the given compact scores. */
export function tableWithPairs(
  shape: GraphShape,
  scores: Float32Array,
  options: { pairs: number; noise: number; seed: number },
): ScoreTable {
  const graph = graphOf(shape);
  const random = new Random(options.seed);
  const pairScores = new Float32Array(options.pairs * graph.edgeCount);
  const sums = new Float64Array(graph.edgeCount);
  for (let index = 0; index < pairScores.length; index++) {
    const edge = index % graph.edgeCount;
    pairScores[index] = scores[edge] + options.noise * (random.uniform() * 2 - 1);
    sums[edge] += pairScores[index];
  }
  const mean = Float32Array.from(sums, (sum) => sum / options.pairs);
  const meta = { pairCount: options.pairs, pairsHash: `${options.pairs} pairs` };
  return { shape, scores: graph.expand(mean), pairScores, meta };
}

export interface NaiveEdge {
  index: number;
  source: number;
  destination: number;
  score: number;
}

/** Every real edge as an object, straight from the definition of the graph. */
export function naiveEdges(graph: CircuitGraph, scores: Float32Array): NaiveEdge[] {
  const { layers, heads, parallelBlock } = graph.shape;
  const edges: NaiveEdge[] = [];
  for (let source = 0; source < graph.nForward; source++) {
    for (let destination = 0; destination < graph.nBackward; destination++) {
      const layer = Math.floor(destination / graph.columnsPerLayer);
      const isMlp = destination % graph.columnsPerLayer === graph.columnsPerLayer - 1;
      const visible =
        layer === layers
          ? graph.nForward
          : 1 + layer * (heads + 1) + (isMlp && !parallelBlock ? heads : 0);
      if (source >= visible) continue;
      const score = scores[source * graph.nBackward + destination];
      edges.push({ index: edges.length, source, destination, score });
    }
  }
  return edges;
}

/** Sources whose node reads a destination, from the definition. */
export function readersOf(graph: CircuitGraph, destination: number): number[] {
  const { layers, heads, keyValueHeads, kvEdges } = graph.shape;
  const layer = Math.floor(destination / graph.columnsPerLayer);
  if (layer === layers) return [];
  const column = destination % graph.columnsPerLayer;
  const first = 1 + layer * (heads + 1);
  if (column === graph.columnsPerLayer - 1) return [first + heads];
  if (column < heads) return [first + column];
  const kv = kvEdges === 'grouped' ? keyValueHeads : heads;
  const group = (column - heads) % kv;
  const size = heads / kv;
  return Array.from({ length: size }, (_, index) => first + group * size + index);
}

/** Pruning by its definition, on sets, one removal at a time. */
export function naivePrune(graph: CircuitGraph, selected: NaiveEdge[]): NaiveEdge[] {
  let edges = selected;
  for (;;) {
    const alive = (source: number): boolean =>
      edges.some((edge) => edge.source === source) &&
      (source === 0 || edges.some((edge) => readersOf(graph, edge.destination).includes(source)));
    const broken = edges.find(
      ({ source, destination }) =>
        !alive(source) ||
        (destination !== graph.nBackward - 1 && !readersOf(graph, destination).some(alive)),
    );
    if (!broken) return edges;
    edges = edges.filter((edge) => edge !== broken);
  }
}
