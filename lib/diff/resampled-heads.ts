// The heads of circuits of mean scores under many weightings of pairs: the inner loop of the
// bootstrap and of the null diff.

import {
  circuitEdges,
  headImportance,
  headMask,
  type BuildCircuitOptions,
} from '../circuit/circuit.js';
import type { CircuitGraph } from '../circuit/graph.js';
import { weightedMeans, type MeansRequest } from './weighted-means.js';

/** The heads of one circuit. */
export interface HeadView {
  /** [layers * heads] 1 for heads in the circuit. */
  readonly mask: Uint8Array;
  /** [layers * heads], normalised to 1. */
  readonly importance: Float64Array;
}

/** Weightings of pair scores ([pairs, edges]) and how a circuit of their means is made. */
export interface ResampledHeadsRequest extends MeansRequest {
  readonly graph: CircuitGraph;
  /** How every circuit is selected and pruned. */
  readonly selection: BuildCircuitOptions;
}

/**
 * A view for every row of weights, of the circuit of its weighted means. Every implementation gives
 * the same bits. Throws as selectEdges does.
 */
export type ResampledHeads = (request: ResampledHeadsRequest) => HeadView[];

/** The implementation that works without the addon. */
export const resampledHeads: ResampledHeads = ({ graph, selection, ...request }) => {
  const { rows, means } = request;
  const { edgeCount } = graph;
  weightedMeans(request);
  return Array.from({ length: rows }, (_, row) =>
    headView(graph, means.subarray(row * edgeCount, (row + 1) * edgeCount), selection),
  );
};

/** The heads of the circuit of compact scores. */
export function headView(
  graph: CircuitGraph,
  scores: Float32Array,
  selection: BuildCircuitOptions,
): HeadView {
  const { list } = circuitEdges(graph, scores, selection);
  return { mask: headMask(graph, list), importance: headImportance(graph, list, scores) };
}
