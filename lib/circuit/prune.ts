// Pruning to the part of a circuit that connects the input to the logits.
// Works on lists of compact edge indexes: the cost follows the circuit, not the graph.

import type { CircuitGraph } from './graph.js';

/** A set of edges with the sources and destinations spelled out, all in edge order. */
export interface EdgeList {
  /** Compact edge indexes, ascending. */
  readonly edges: Uint32Array;
  readonly sources: Uint32Array;
  readonly destinations: Uint32Array;
}

/** Spells out the ends of ascending compact edge indexes. */
export function edgeList(graph: CircuitGraph, edges: Uint32Array): EdgeList {
  const sources = new Uint32Array(edges.length);
  const destinations = new Uint32Array(edges.length);
  let source = 0;
  for (let index = 0; index < edges.length; index++) {
    const edge = edges[index];
    while (graph.rowStart[source + 1] <= edge) source++;
    sources[index] = source;
    destinations[index] = edge - graph.rowStart[source] + graph.firstColumn[source];
  }
  return { edges, sources, destinations };
}

/**
 * Nodes [nForward] with an outgoing edge and an incoming one (`input` needs none).
 * A shared key/value column (grouped) is an incoming edge of every head that reads it.
 */
export function connectedNodes(graph: CircuitGraph, list: EdgeList): Uint8Array {
  const hasOutgoing = new Uint8Array(graph.nForward);
  const columnFed = new Uint8Array(graph.nBackward);
  for (let index = 0; index < list.edges.length; index++) {
    hasOutgoing[list.sources[index]] = 1;
    columnFed[list.destinations[index]] = 1;
  }
  for (let source = 1; source < graph.nForward; source++) {
    if (!hasOutgoing[source]) continue;
    let fed = 0;
    for (let slot = source * 3; slot < source * 3 + 3; slot++) {
      const column = graph.nodeColumns[slot];
      if (column >= 0) fed |= columnFed[column];
    }
    hasOutgoing[source] = fed;
  }
  return hasOutgoing;
}

/** Columns [nBackward] that a node of the circuit reads; `logits` always is one. */
function readColumns(graph: CircuitGraph, nodes: Uint8Array): Uint8Array {
  const read = new Uint8Array(graph.nBackward);
  for (let source = 1; source < graph.nForward; source++) {
    if (!nodes[source]) continue;
    for (let slot = source * 3; slot < source * 3 + 3; slot++) {
      const column = graph.nodeColumns[slot];
      if (column >= 0) read[column] = 1;
    }
  }
  read[graph.logitsDestination] = 1;
  return read;
}

function keepEdges(list: EdgeList, nodes: Uint8Array, columns: Uint8Array): EdgeList {
  const edges = new Uint32Array(list.edges.length);
  const sources = new Uint32Array(list.edges.length);
  const destinations = new Uint32Array(list.edges.length);
  let count = 0;
  for (let index = 0; index < list.edges.length; index++) {
    const source = list.sources[index];
    const destination = list.destinations[index];
    if (!nodes[source] || !columns[destination]) continue;
    edges[count] = list.edges[index]!;
    sources[count] = source;
    destinations[count++] = destination;
  }
  return {
    edges: edges.subarray(0, count),
    sources: sources.subarray(0, count),
    destinations: destinations.subarray(0, count),
  };
}

/**
 * Repeats until nothing changes: a node stays if it has an outgoing edge and an incoming one
 * (`input` needs none), an edge stays if both ends stay (`logits` always does).
 */
export function pruneEdges(
  graph: CircuitGraph,
  list: EdgeList,
): { list: EdgeList; nodes: Uint8Array } {
  let current = list;
  for (;;) {
    const nodes = connectedNodes(graph, current);
    const kept = keepEdges(current, nodes, readColumns(graph, nodes));
    if (kept.edges.length === current.edges.length) return { list: current, nodes };
    current = kept;
  }
}
