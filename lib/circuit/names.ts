// Names of nodes and edges, as the reference writes them: `a0.h0->m0`, `input->a0.h0<q>`.
// With grouped k/v edges a key/value input is called `a0.kv0<k>`: it belongs to several heads.

import { checkAnyText, checkGraph } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import type { CircuitGraph } from './graph.js';

/** Name of a source index: `input`, `a0.h3`, `m2`. */
export function sourceName(graph: CircuitGraph, source: number): string {
  if (source === 0) return 'input';
  const stride = graph.shape.heads + 1;
  const layer = Math.floor((source - 1) / stride);
  const slot = (source - 1) % stride;
  return slot === graph.shape.heads ? `m${layer}` : `a${layer}.h${slot}`;
}

/** Name of a destination index: `a0.h3<q>`, `a0.kv1<k>` (grouped), `m2`, `logits`. */
export function destinationName(graph: CircuitGraph, destination: number): string {
  if (destination === graph.logitsDestination) return 'logits';
  const layer = Math.floor(destination / graph.columnsPerLayer);
  const column = destination % graph.columnsPerLayer;
  if (column === graph.columnsPerLayer - 1) return `m${layer}`;
  const { heads, kvEdges } = graph.shape;
  if (column < heads) return `a${layer}.h${column}<q>`;
  const kvColumns = (graph.columnsPerLayer - 1 - heads) / 2;
  const letter = column < heads + kvColumns ? 'k' : 'v';
  const kv = (column - heads) % kvColumns;
  return `a${layer}.${kvEdges === 'grouped' ? 'kv' : 'h'}${kv}<${letter}>`;
}

/** Name of the edge between a source and a destination index. */
export function edgeName(graph: CircuitGraph, source: number, destination: number): string {
  return `${sourceName(graph, source)}->${destinationName(graph, destination)}`;
}

/** All source names in index order. */
export function sourceNames(graph: CircuitGraph): string[] {
  return Array.from({ length: graph.nForward }, (_, source) => sourceName(graph, source));
}

/** All destination names in index order. */
export function destinationNames(graph: CircuitGraph): string[] {
  return Array.from({ length: graph.nBackward }, (_, column) => destinationName(graph, column));
}

interface NameIndex {
  readonly sources: ReadonlyMap<string, number>;
  readonly destinations: ReadonlyMap<string, number>;
}

const nameIndexes = new WeakMap<CircuitGraph, NameIndex>();

function nameIndex(graph: CircuitGraph): NameIndex {
  const known = nameIndexes.get(graph);
  if (known) return known;
  const built = {
    sources: new Map(sourceNames(graph).map((name, index) => [name, index])),
    destinations: new Map(destinationNames(graph).map((name, index) => [name, index])),
  };
  nameIndexes.set(graph, built);
  return built;
}

/** Source index of a name (`input`, `a0.h3`, `m2`), or -1 when this graph has no such source. */
export function parseSource(graph: CircuitGraph, name: string): number {
  return nameIndex(graph).sources.get(name) ?? -1;
}

/** Destination index of a name (`a0.h3<q>`, `m2`, `logits`), or -1. */
export function parseDestination(graph: CircuitGraph, name: string): number {
  return nameIndex(graph).destinations.get(name) ?? -1;
}

/**
 * Source and destination of an edge name such as `a0.h0->m0`.
 * Throws ERR_HEADSPARK_CIRCUIT_FORMAT when the graph has no such edge.
 */
export function parseEdge(
  graph: CircuitGraph,
  name: string,
): { source: number; destination: number } {
  checkGraph('parseEdge', graph);
  checkAnyText('parseEdge', name);
  const arrow = name.indexOf('->');
  const source = arrow < 0 ? -1 : parseSource(graph, name.slice(0, arrow));
  const destination = arrow < 0 ? -1 : parseDestination(graph, name.slice(arrow + 2));
  if (source < 0 || destination < 0 || !graph.isRealEdge(source, destination)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_CIRCUIT_FORMAT',
      `no edge '${name.slice(0, 60)}' in a graph of ${graph.shape.layers} layers and ` +
        `${graph.shape.heads} heads; edges look like 'input->a0.h0<q>' or 'a0.h0->m0'`,
    );
  }
  return { source, destination };
}
