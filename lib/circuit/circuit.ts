// A circuit: the selected edges of a score table, pruned, with its nodes, heads and importance.

import { HeadsparkError } from '../errors.js';
import { checkCircuit, checkGraph, checkTable } from '../argument-checks.js';
import type { HeadRef } from '../head-gate.js';
import { checkOptionNames, optionNames } from '../option-checks.js';
import { graphOf, type CircuitGraph } from './graph.js';
import { connectedNodes, edgeList, pruneEdges, type EdgeList } from './prune.js';
import type { ScoreTable } from './score-table.js';
import { selectEdges, type Selection } from './select.js';

/** A score table with the edges and nodes that belong to the circuit. */
export interface Circuit extends ScoreTable {
  /** [nForward, nBackward] row-major, 1 for every edge of the circuit. */
  readonly inGraph: Uint8Array;
  /** [nForward], 1 for every source in the circuit. */
  readonly nodesInGraph: Uint8Array;
}

/** How `buildCircuit` and `diff` make a circuit of scores: a rule of selection, then pruning. */
export type BuildCircuitOptions = Selection & {
  /** Remove what does not connect input and logits; default true. */
  readonly prune?: boolean;
};

/** Selected and (by default) pruned edges of compact scores, and the nodes they connect. */
export function circuitEdges(
  graph: CircuitGraph,
  scores: Float32Array,
  options: BuildCircuitOptions,
): { list: EdgeList; nodes: Uint8Array } {
  const list = edgeList(graph, selectEdges(graph, scores, options));
  if (options.prune === false) return { list, nodes: connectedNodes(graph, list) };
  return pruneEdges(graph, list);
}

const selectionOptions = optionNames<BuildCircuitOptions>({
  rule: true,
  n: true,
  tau: true,
  ranking: true,
  prune: true,
});

/**
 * Builds the circuit of a score table. Errors: see selectEdges; ERR_HEADSPARK_INVALID_ARGUMENT for
 * another table or option.
 */
export function buildCircuit(table: ScoreTable, options: BuildCircuitOptions): Circuit {
  checkTable('buildCircuit', table);
  checkOptionNames('buildCircuit', options, selectionOptions);
  const graph = graphOf(table.shape);
  const { list, nodes } = circuitEdges(graph, graph.compact(table.scores), options);
  const inGraph = new Uint8Array(graph.nForward * graph.nBackward);
  for (let index = 0; index < list.edges.length; index++) {
    inGraph[list.sources[index] * graph.nBackward + list.destinations[index]] = 1;
  }
  return { ...table, inGraph, nodesInGraph: nodes };
}

/**
 * The edges of a circuit as a list; entries off the real edges are not looked at.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what is no circuit, _TENSOR_SHAPE.
 */
export function circuitEdgeList(circuit: Circuit): EdgeList {
  checkCircuit('circuitEdgeList', circuit);
  const graph = graphOf(circuit.shape);
  if (circuit.inGraph.length !== graph.nForward * graph.nBackward) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `circuit: inGraph has ${circuit.inGraph.length} entries, its graph has ` +
        `${graph.nForward} x ${graph.nBackward}`,
    );
  }
  const edges = new Uint32Array(graph.edgeCount);
  let count = 0;
  for (let source = 0; source < graph.nForward; source++) {
    const row = source * graph.nBackward;
    for (let column = graph.firstColumn[source]; column < graph.nBackward; column++) {
      if (circuit.inGraph[row + column]) edges[count++] = graph.edgeIndex(source, column);
    }
  }
  return edgeList(graph, edges.slice(0, count));
}

/** Number of edges of the circuit. */
export function countEdges(circuit: Circuit): number {
  return circuitEdgeList(circuit).edges.length;
}

/** Number of sources (input, heads, MLPs) of the circuit. */
export function countNodes(circuit: Circuit): number {
  checkCircuit('countNodes', circuit);
  return circuit.nodesInGraph.reduce((sum, inside) => sum + (inside ? 1 : 0), 0);
}

/**
 * [layers * heads] 1 where any edge of the head is in the list: an outgoing one or one into its
 * own q, k or v. A shared k/v input (grouped) alone does not bring in the heads that read it.
 */
export function headMask(graph: CircuitGraph, list: EdgeList): Uint8Array {
  checkGraph('headMask', graph);
  const touched = new Uint8Array(graph.nForward);
  for (let index = 0; index < list.edges.length; index++) {
    touched[list.sources[index]] = 1;
    const column = list.destinations[index];
    const owner = graph.ownerStart[column];
    if (graph.ownerEnd[column] - owner === 1) touched[owner] = 1;
  }
  return perHead(graph, touched, new Uint8Array(graph.shape.layers * graph.shape.heads));
}

/** Picks the head entries of a per-source array into [layers * heads]. */
function perHead<T extends Uint8Array | Float64Array>(graph: CircuitGraph, values: T, heads: T): T {
  const { layers, heads: width } = graph.shape;
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < width; head++) {
      heads[layer * width + head] = values[graph.headSource(layer, head)]!;
    }
  }
  return heads;
}

/**
 * [layers * heads] sum of |score| over each head's outgoing edges in the list, normalised to 1
 * over all heads (all 0 when no head has an outgoing edge).
 * @param scores [edgeCount], compact.
 */
export function headImportance(
  graph: CircuitGraph,
  list: EdgeList,
  scores: Float32Array,
): Float64Array {
  checkGraph('headImportance', graph);
  const outgoing = new Float64Array(graph.nForward);
  for (let index = 0; index < list.edges.length; index++) {
    outgoing[list.sources[index]] += Math.abs(scores[list.edges[index]]);
  }
  return headShares(graph, outgoing);
}

/**
 * [layers * heads] each head's share of all heads' outgoing |score|, of edges in a circuit or not
 * (all 0 when it is 0).
 * @param scores [edgeCount], compact.
 */
export function scoreShares(graph: CircuitGraph, scores: Float32Array): Float64Array {
  checkGraph('scoreShares', graph);
  const outgoing = new Float64Array(graph.nForward);
  for (let source = 0; source < graph.nForward; source++) {
    const end = graph.rowStart[source + 1];
    let sum = 0;
    for (let edge = graph.rowStart[source]; edge < end; edge++) sum += Math.abs(scores[edge]);
    outgoing[source] = sum;
  }
  return headShares(graph, outgoing);
}

/** The heads' part of [nForward] sums, normalised to 1 over all heads. */
function headShares(graph: CircuitGraph, outgoing: Float64Array): Float64Array {
  const { layers, heads } = graph.shape;
  const importance = perHead(graph, outgoing, new Float64Array(layers * heads));
  const total = importance.reduce((sum, value) => sum + value, 0);
  return total > 0 ? importance.map((value) => value / total) : importance;
}

/** Heads whose mask entry is set, in index order. */
export function headsOf(mask: ArrayLike<number>, headsPerLayer: number): HeadRef[] {
  const heads: HeadRef[] = [];
  for (let index = 0; index < mask.length; index++) {
    if (!mask[index]) continue;
    heads.push({ layer: Math.floor(index / headsPerLayer), head: index % headsPerLayer });
  }
  return heads;
}

/** The heads of a circuit: those with any edge in it. */
export function circuitHeads(circuit: Circuit): HeadRef[] {
  checkCircuit('circuitHeads', circuit);
  const graph = graphOf(circuit.shape);
  return headsOf(headMask(graph, circuitEdgeList(circuit)), circuit.shape.heads);
}
