// Rebuilding a circuit from weighted pairs: the inner loop of the bootstrap and of the null diff.

import { setImmediate } from 'node:timers/promises';
import { HeadsparkError } from '../errors.js';
import {
  circuitEdges,
  headImportance,
  headMask,
  type BuildCircuitOptions,
} from '../circuit/circuit.js';
import { graphOf, type CircuitGraph } from '../circuit/graph.js';
import { pairCountOf, type ScoreTable } from '../circuit/score-table.js';

/** Edges summed at a time: the double accumulators stay in the first-level cache. */
const BLOCK_EDGES = 1024;

/**
 * Weighted mean over pairs: out[e] = sum_p weights[p] * pairScores[p, e] / sum_p weights[p].
 * @param pairScores [pairs, edges]; @param weights [pairs] whole numbers, not all 0.
 */
export function weightedMean(
  pairScores: Float32Array,
  weights: Uint32Array,
  out: Float32Array,
): void {
  const edges = out.length;
  const used = Array.from(weights.keys()).filter((pair) => weights[pair] > 0);
  const scale = 1 / weights.reduce((sum, weight) => sum + weight, 0);
  // Four pairs per sweep; what is left of the last four gets weight 0 (on a row that exists).
  const padded = Math.ceil(used.length / 4) * 4;
  const rows = Array.from({ length: padded }, (_, index) => (used[index] ?? used[0]) * edges);
  const factors = Float64Array.from(rows, (_, index) =>
    index < used.length ? weights[used[index]] * scale : 0,
  );
  const sums = new Float64Array(BLOCK_EDGES);
  for (let start = 0; start < edges; start += BLOCK_EDGES) {
    const count = Math.min(BLOCK_EDGES, edges - start);
    sums.fill(0);
    for (let index = 0; index < padded; index += 4) {
      addFourRows(pairScores, { rows, factors, index, start, count }, sums);
    }
    for (let edge = 0; edge < count; edge++) out[start + edge] = sums[edge]!;
  }
}

interface FourRows {
  readonly rows: readonly number[];
  readonly factors: Float64Array;
  readonly index: number;
  readonly start: number;
  readonly count: number;
}

function addFourRows(values: Float32Array, part: FourRows, sums: Float64Array): void {
  const { rows, factors, index, start, count } = part;
  const factor0 = factors[index];
  const factor1 = factors[index + 1];
  const factor2 = factors[index + 2];
  const factor3 = factors[index + 3];
  const row0 = rows[index] + start;
  const row1 = rows[index + 1] + start;
  const row2 = rows[index + 2] + start;
  const row3 = rows[index + 3] + start;
  for (let edge = 0; edge < count; edge++) {
    sums[edge] +=
      factor0 * values[row0 + edge] +
      factor1 * values[row1 + edge] +
      factor2 * values[row2 + edge] +
      factor3 * values[row3 + edge];
  }
}

/** The heads of one rebuilt circuit. */
export interface HeadView {
  /** [layers * heads] 1 for heads in the circuit. */
  readonly mask: Uint8Array;
  /** [layers * heads], normalised to 1. */
  readonly importance: Float64Array;
}

/** Rebuilds circuits of one table from weights over its pairs, always by the same selection. */
export class CircuitResampler {
  readonly pairs: number;
  readonly graph: CircuitGraph;
  readonly #pairScores: Float32Array;
  readonly #selection: BuildCircuitOptions;
  readonly #scores: Float32Array;

  /** Throws ERR_HEADSPARK_INVALID_ARGUMENT when the table has no per-pair scores. */
  constructor(table: ScoreTable, name: string, selection: BuildCircuitOptions) {
    if (!table.pairScores) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_INVALID_ARGUMENT',
        `${name} has no per-pair scores, which intervals need; run the attribution again`,
      );
    }
    this.graph = graphOf(table.shape);
    this.pairs = pairCountOf(table);
    this.#pairScores = table.pairScores;
    this.#selection = selection;
    this.#scores = new Float32Array(this.graph.edgeCount);
  }

  /** The heads of the circuit of weighted pairs. @param weights [pairs], not all 0. */
  heads(weights: Uint32Array): HeadView {
    weightedMean(this.#pairScores, weights, this.#scores);
    return headView(this.graph, this.#scores, this.#selection);
  }
}

/** The heads of the circuit of compact scores. */
export function headView(
  graph: CircuitGraph,
  scores: Float32Array,
  selection: BuildCircuitOptions,
): HeadView {
  const { list } = circuitEdges(graph, scores, selection);
  return { mask: headMask(graph, list), importance: headImportance(graph, list, scores) };
}

export interface LoopOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const TURN_MS = 40;

/**
 * Runs `step(0 … total-1)`, giving the event loop a turn every 40 ms.
 * Throws ERR_HEADSPARK_CANCELLED when the signal fires.
 */
export async function runLoop(
  total: number,
  step: (index: number) => void,
  { signal, onProgress }: LoopOptions,
): Promise<void> {
  let turnEnds = performance.now() + TURN_MS;
  for (let index = 0; index < total; index++) {
    if (performance.now() >= turnEnds) {
      onProgress?.(index, total);
      await setImmediate();
      turnEnds = performance.now() + TURN_MS;
    }
    if (signal?.aborted) {
      throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the comparison was cancelled', {
        cause: signal.reason,
      });
    }
    step(index);
  }
  onProgress?.(total, total);
}
