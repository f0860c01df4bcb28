// What a circuit graph is made of: layers, heads, and how key/value inputs are counted.
// Everything about indexes follows from these five numbers (method: hannamw/EAP-IG's graph).

import { checkRecord } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';

/**
 * `per-query-head`: k and v destinations exist per query head (the reference's graph).
 * `grouped`: one k and one v destination per key/value head.
 */
export type KvEdges = 'per-query-head' | 'grouped';

export interface GraphShape {
  readonly layers: number;
  /** Query heads per layer. */
  readonly heads: number;
  /** Key/value heads per layer; divides `heads`. Only matters when `kvEdges` is `grouped`. */
  readonly keyValueHeads: number;
  /** True where attention and MLP read the same input (GPT-NeoX): heads do not feed their MLP. */
  readonly parallelBlock: boolean;
  readonly kvEdges: KvEdges;
}

/** Far above any real model; keeps a hostile header from asking for the whole memory. */
const MAX_LAYERS = 1024;
const MAX_HEADS = 1024;
const MAX_DENSE_ENTRIES = 2 ** 28;

function checkCount(value: unknown, name: string, limit: number): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > limit) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `graph shape: ${name} must be a whole number from 1 to ${limit}, got ${String(value)}`,
    );
  }
}

/** Throws ERR_HEADSPARK_INVALID_ARGUMENT when the shape cannot be a model's. */
export function checkShape(shape: GraphShape): void {
  checkRecord('graph shape', 'layers and heads as an object', shape);
  checkCount(shape.layers, 'layers', MAX_LAYERS);
  checkCount(shape.heads, 'heads', MAX_HEADS);
  checkCount(shape.keyValueHeads, 'keyValueHeads', MAX_HEADS);
  if (shape.heads % shape.keyValueHeads !== 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `graph shape: keyValueHeads (${shape.keyValueHeads}) must divide heads (${shape.heads})`,
    );
  }
  if (forwardCount(shape) * backwardCount(shape) > MAX_DENSE_ENTRIES) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `graph shape: ${shape.layers} layers of ${shape.heads} heads make a dense table of more ` +
        `than ${MAX_DENSE_ENTRIES} entries; use kvEdges 'grouped' or a smaller model`,
    );
  }
}

/** Number of sources: `input`, every head, every MLP. */
export function forwardCount(shape: GraphShape): number {
  return 1 + shape.layers * (shape.heads + 1);
}

/** Destination columns of one layer: q, k, v and the MLP. */
export function columnsPerLayer(shape: GraphShape): number {
  const kv = shape.kvEdges === 'grouped' ? shape.keyValueHeads : shape.heads;
  return shape.heads + 2 * kv + 1;
}

/** Number of destinations: every layer's columns and `logits`. */
export function backwardCount(shape: GraphShape): number {
  return shape.layers * columnsPerLayer(shape) + 1;
}

/**
 * Number of real edges, by formula (nothing is allocated).
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT when the shape cannot be a model's.
 */
export function edgeCount(shape: GraphShape): number {
  checkShape(shape);
  const attentionColumns = columnsPerLayer(shape) - 1;
  const ownHeads = shape.parallelBlock ? 0 : shape.heads;
  let edges = forwardCount(shape);
  for (let layer = 0; layer < shape.layers; layer++) {
    const sources = 1 + layer * (shape.heads + 1);
    edges += attentionColumns * sources + sources + ownHeads;
  }
  return edges;
}

/** True when two shapes have the same nodes and edges, so that scores may be compared. */
export function sameGraph(a: GraphShape, b: GraphShape): boolean {
  return (
    a.layers === b.layers &&
    a.heads === b.heads &&
    a.parallelBlock === b.parallelBlock &&
    a.kvEdges === b.kvEdges &&
    (a.kvEdges !== 'grouped' || a.keyValueHeads === b.keyValueHeads)
  );
}

/** One line for messages: `24 layers x 14 heads, sequential, k/v per query head`. */
export function describeShape(shape: GraphShape): string {
  const block = shape.parallelBlock ? 'parallel' : 'sequential';
  const kv =
    shape.kvEdges === 'grouped'
      ? `k/v grouped over ${shape.keyValueHeads} heads`
      : 'k/v per query head';
  return `${shape.layers} layers x ${shape.heads} heads, ${block}, ${kv}`;
}
