// Index arithmetic of the computational graph: sources (rows), destinations (columns), edges.
// The one fact to know: the real edges of a row are a suffix of it, so an edge has two indexes:
// dense = source * nBackward + destination, and compact = its place among the real edges.

import { checkRecord } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import {
  backwardCount,
  checkShape,
  columnsPerLayer,
  edgeCount,
  forwardCount,
  type GraphShape,
} from './shape.js';

export type QkvLetter = 'q' | 'k' | 'v';

/**
 * The graph of one shape. Sources: input 0; a_l.h -> 1 + l(H+1) + h; m_l -> 1 + l(H+1) + H.
 * Destinations of layer l start at l * columnsPerLayer: all q, all k, all v, then the MLP;
 * `logits` is the last column. Source: hannamw/EAP-IG, class Graph.
 */
export class CircuitGraph {
  readonly shape: GraphShape;
  /** Number of sources (rows). */
  readonly nForward: number;
  /** Number of destinations (columns). */
  readonly nBackward: number;
  /** Number of real edges. */
  readonly edgeCount: number;
  readonly columnsPerLayer: number;
  /** [nForward] first real destination of every source; the real ones run on to `logits`. */
  readonly firstColumn: Uint32Array;
  /** [nForward + 1] compact index of every source's first edge. */
  readonly rowStart: Uint32Array;
  /** [nForward, 3] the columns that feed a source's node (q, k, v or m, -1, -1); -1 pads. */
  readonly nodeColumns: Int32Array;
  /** [nBackward] first source whose node reads this column; `logits` has none. */
  readonly ownerStart: Uint32Array;
  /** [nBackward] one past the last such source. */
  readonly ownerEnd: Uint32Array;

  constructor(shape: GraphShape) {
    checkShape(shape);
    this.shape = Object.freeze({ ...shape });
    this.nForward = forwardCount(shape);
    this.nBackward = backwardCount(shape);
    this.edgeCount = edgeCount(shape);
    this.columnsPerLayer = columnsPerLayer(shape);
    this.firstColumn = new Uint32Array(this.nForward);
    this.rowStart = new Uint32Array(this.nForward + 1);
    this.nodeColumns = new Int32Array(this.nForward * 3).fill(-1);
    this.ownerStart = new Uint32Array(this.nBackward);
    this.ownerEnd = new Uint32Array(this.nBackward);
    for (let layer = 0; layer < shape.layers; layer++) this.#indexLayer(layer);
    for (let source = 0; source < this.nForward; source++) {
      const columns = this.nBackward - this.firstColumn[source];
      this.rowStart[source + 1] = this.rowStart[source] + columns;
    }
  }

  #indexLayer(layer: number): void {
    const { heads, parallelBlock } = this.shape;
    const nextLayer = (layer + 1) * this.columnsPerLayer;
    const mlpColumn = nextLayer - 1;
    for (let head = 0; head < heads; head++) {
      const source = this.headSource(layer, head);
      this.firstColumn[source] = parallelBlock ? nextLayer : mlpColumn;
      (['q', 'k', 'v'] as const).forEach((letter, slot) => {
        this.#own(source, this.headDestination(layer, head, letter), slot);
      });
    }
    const mlp = this.mlpSource(layer);
    this.firstColumn[mlp] = nextLayer;
    this.#own(mlp, mlpColumn, 0);
  }

  #own(source: number, column: number, slot: number): void {
    this.nodeColumns[source * 3 + slot] = column;
    if (this.ownerEnd[column] === 0) this.ownerStart[column] = source;
    this.ownerEnd[column] = source + 1;
  }

  /** Source index of query head `head` of `layer`. */
  headSource(layer: number, head: number): number {
    return 1 + layer * (this.shape.heads + 1) + head;
  }

  /** Source index of the MLP of `layer`. */
  mlpSource(layer: number): number {
    return 1 + layer * (this.shape.heads + 1) + this.shape.heads;
  }

  /** Destination index of the q, k or v input that query head `head` of `layer` reads. */
  headDestination(layer: number, head: number, letter: QkvLetter): number {
    const { heads, keyValueHeads, kvEdges } = this.shape;
    const start = layer * this.columnsPerLayer;
    if (letter === 'q') return start + head;
    const grouped = kvEdges === 'grouped';
    const kv = grouped ? Math.floor(head / (heads / keyValueHeads)) : head;
    const kvColumns = grouped ? keyValueHeads : heads;
    return start + heads + (letter === 'k' ? 0 : kvColumns) + kv;
  }

  /** Destination index of the MLP of `layer`. */
  mlpDestination(layer: number): number {
    return (layer + 1) * this.columnsPerLayer - 1;
  }

  get logitsDestination(): number {
    return this.nBackward - 1;
  }

  isRealEdge(source: number, destination: number): boolean {
    return (
      source >= 0 &&
      source < this.nForward &&
      destination < this.nBackward &&
      destination >= this.firstColumn[source]
    );
  }

  /** [nBackward] real edges into every destination. */
  edgesInto(): Uint32Array {
    const counts = new Uint32Array(this.nBackward);
    for (const first of this.firstColumn) counts[first]++;
    for (let column = 1; column < this.nBackward; column++) counts[column] += counts[column - 1];
    return counts;
  }

  /** Compact index of a real edge (unchecked). */
  edgeIndex(source: number, destination: number): number {
    return this.rowStart[source] + destination - this.firstColumn[source];
  }

  /** Source of a compact edge index, by bisection. */
  edgeSource(edge: number): number {
    let low = 0;
    let high = this.nForward - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rowStart[middle] <= edge) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Destination of a compact edge index, given its source. */
  edgeDestination(edge: number, source: number): number {
    return edge - this.rowStart[source] + this.firstColumn[source];
  }

  /** Dense [nForward, nBackward] row-major mask, 1 where the edge exists. */
  realEdgeMask(): Uint8Array {
    const mask = new Uint8Array(this.nForward * this.nBackward);
    for (let source = 0; source < this.nForward; source++) {
      const row = source * this.nBackward;
      mask.fill(1, row + this.firstColumn[source], row + this.nBackward);
    }
    return mask;
  }

  /** Dense [nForward, nBackward] to compact [edgeCount]; values off the real edges are dropped. */
  compact(dense: Float32Array): Float32Array {
    if (dense.length !== this.nForward * this.nBackward) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_TENSOR_SHAPE',
        `${dense.length} scores are not those of a graph of ${this.nForward} x ${this.nBackward}.`,
      );
    }
    const values = new Float32Array(this.edgeCount);
    for (let source = 0; source < this.nForward; source++) {
      const row = source * this.nBackward;
      const real = dense.subarray(row + this.firstColumn[source], row + this.nBackward);
      values.set(real, this.rowStart[source]);
    }
    return values;
  }

  /** Compact [edgeCount] to dense [nForward, nBackward]; 0 where there is no edge. */
  expand(values: Float32Array): Float32Array {
    const dense = new Float32Array(this.nForward * this.nBackward);
    for (let source = 0; source < this.nForward; source++) {
      const row = source * this.nBackward;
      const real = values.subarray(this.rowStart[source], this.rowStart[source + 1]);
      dense.set(real, row + this.firstColumn[source]);
    }
    return dense;
  }
}

const recentGraphs: CircuitGraph[] = [];

/** The graph of a shape. The last few are kept: a diff asks for the same one many times. */
export function graphOf(shape: GraphShape): CircuitGraph {
  checkRecord('graphOf', "a model's shape", shape);
  const found = recentGraphs.find(
    ({ shape: known }) =>
      known.layers === shape.layers &&
      known.heads === shape.heads &&
      known.keyValueHeads === shape.keyValueHeads &&
      known.parallelBlock === shape.parallelBlock &&
      known.kvEdges === shape.kvEdges,
  );
  if (found) return found;
  const graph = new CircuitGraph(shape);
  recentGraphs.unshift(graph);
  recentGraphs.length = Math.min(recentGraphs.length, 8);
  return graph;
}
