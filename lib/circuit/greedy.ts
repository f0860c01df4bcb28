// Greedy selection from the logits backwards: always take the best edge into a node that the
// circuit already holds. Best-first search, the semantics of hannamw/EAP-IG's apply_greedy.

import type { CircuitGraph } from './graph.js';

/** A binary max-heap of edges by rank key; equal keys come out in edge index order. */
class EdgeHeap {
  readonly #keys: Uint32Array;
  readonly #edges: Uint32Array;
  #size = 0;

  constructor(keys: Uint32Array) {
    this.#keys = keys;
    this.#edges = new Uint32Array(keys.length);
  }

  #before(a: number, b: number): boolean {
    const keyA = this.#keys[a];
    const keyB = this.#keys[b];
    return keyA !== keyB ? keyA > keyB : a < b;
  }

  push(edge: number): void {
    const heap = this.#edges;
    let hole = this.#size++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (!this.#before(edge, heap[parent])) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = edge;
  }

  pop(): number {
    const heap = this.#edges;
    const top = heap[0];
    const moved = heap[--this.#size];
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#before(heap[child + 1], heap[child])) child++;
      if (!this.#before(heap[child], moved)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = moved;
    return top;
  }
}

/**
 * Compact indexes, ascending, of n edges: starting with the edges into `logits`, take the one
 * with the highest key, and when its source is new, add the edges into that source's node.
 * n must not exceed the number of edges; every edge is reachable from the logits.
 */
export function greedyEdges(graph: CircuitGraph, keys: Uint32Array, n: number): Uint32Array {
  const heap = new EdgeHeap(keys);
  const columnOpen = new Uint8Array(graph.nBackward);
  const nodeKnown = new Uint8Array(graph.nForward);
  const open = (column: number): void => {
    if (columnOpen[column]) return;
    columnOpen[column] = 1;
    for (let source = 0; source < graph.nForward; source++) {
      if (graph.firstColumn[source] > column) continue;
      heap.push(graph.edgeIndex(source, column));
    }
  };
  open(graph.logitsDestination);
  const selected = new Uint32Array(n);
  for (let count = 0; count < n; count++) {
    const edge = heap.pop();
    selected[count] = edge;
    const source = graph.edgeSource(edge);
    if (nodeKnown[source]) continue;
    nodeKnown[source] = 1;
    for (let slot = source * 3; slot < source * 3 + 3; slot++) {
      const column = graph.nodeColumns[slot];
      if (column >= 0) open(column);
    }
  }
  return selected.sort();
}
