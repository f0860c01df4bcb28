// Rebuilding a circuit from weighted pairs: the inner loop of the bootstrap and of the null diff.

import { setImmediate } from 'node:timers/promises';
import { withCallbacks } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { graphOf, type CircuitGraph } from '../circuit/graph.js';
import { pairCountOf, type ScoreTable } from '../circuit/score-table.js';
import { resampleWeights } from '../stats/bootstrap.js';
import type { Random } from '../stats/random.js';
import { resampledHeads, type HeadView, type ResampledHeads } from './resampled-heads.js';

/** Rebuilds circuits of one table from weights over its pairs, always by the same selection. */
export class CircuitResampler {
  readonly pairs: number;
  readonly graph: CircuitGraph;
  readonly #pairScores: Float32Array;
  readonly #options: ResamplerOptions;
  #means = new Float32Array(0);

  /** Throws ERR_HEADSPARK_INVALID_ARGUMENT when the table has no per-pair scores. */
  constructor(table: ScoreTable, name: string, options: ResamplerOptions) {
    if (!table.pairScores) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_INVALID_ARGUMENT',
        `${name} has no per-pair scores, which intervals need; run the attribution again`,
      );
    }
    this.graph = graphOf(table.shape);
    this.pairs = pairCountOf(table);
    this.#pairScores = table.pairScores;
    this.#options = options;
  }

  /** The heads of the circuit of every weighting. @param weights [count, pairs], no row all 0. */
  heads(weights: Uint32Array): HeadView[] {
    const { selection, resampledHeads: heads = resampledHeads } = this.#options;
    const { graph, pairs } = this;
    const rows = weights.length / pairs;
    const size = rows * graph.edgeCount;
    if (this.#means.length < size) this.#means = new Float32Array(size);
    const means = this.#means.subarray(0, size);
    return heads({ graph, selection, values: this.#pairScores, weights, rows, means });
  }
}

export interface LoopOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ResamplingOptions extends LoopOptions {
  /** How circuits are rebuilt; default in JavaScript, fastestResampledHeads() gives the same bits sooner. */
  readonly resampledHeads?: ResampledHeads | undefined;
}

export interface ResamplerOptions {
  /** How every circuit is selected and pruned. */
  readonly selection: BuildCircuitOptions;
  readonly resampledHeads?: ResampledHeads | undefined;
}

/**
 * What one resample of a table costs by the addon, about in nanoseconds on two cores: selecting a
 * circuit looks at every edge several times, averaging once per pair.
 */
export const resamplingWork = (edges: number, pairs: number): number => edges * (2 + pairs / 32);

const TURN_MS = 40;
/**
 * [end - begin, pairs] weights of the resamples begin … end - 1, each drawn from a stream of its own,
 * so that any order of work gives the same draws.
 */
export function resampledWeights(
  { begin, end, pairs }: { begin: number; end: number; pairs: number },
  streamOf: (resample: number) => Random,
): Uint32Array {
  const weights = new Uint32Array((end - begin) * pairs);
  for (let resample = begin; resample < end; resample++) {
    const row = (resample - begin) * pairs;
    resampleWeights(streamOf(resample), pairs, weights.subarray(row, row + pairs));
  }
  return weights;
}

/** Bytes of the means of one block of resamples. */
const BLOCK_BYTES = 1 << 25;

/** Resamples at a time: pair scores are read from memory once for all of them. */
const blockOf = (edges: number): number =>
  Math.max(2, Math.min(16, Math.floor(BLOCK_BYTES / (4 * edges))));

/**
 * Runs `step(begin, end)` over blocks of the resamples 0 … total-1 of a graph with so many edges,
 * giving the event loop a turn every 40 ms. Throws ERR_HEADSPARK_CANCELLED when the signal fires.
 */
export async function runResamples(
  { total, edges }: { total: number; edges: number },
  step: (begin: number, end: number) => void,
  { signal, onProgress }: LoopOptions,
): Promise<void> {
  return withCallbacks({ signal, onProgress }, (watched) =>
    runWatched({ total, edges }, step, watched),
  );
}

async function runWatched(
  { total, edges }: { total: number; edges: number },
  step: (begin: number, end: number) => void,
  { signal, onProgress }: LoopOptions,
): Promise<void> {
  let turnEnds = performance.now() + TURN_MS;
  const block = blockOf(edges);
  for (let begin = 0; begin < total; begin += block) {
    if (performance.now() >= turnEnds) {
      onProgress?.(begin, total);
      await setImmediate();
      turnEnds = performance.now() + TURN_MS;
    }
    if (signal?.aborted) {
      throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the comparison was cancelled', {
        cause: signal.reason,
      });
    }
    step(begin, Math.min(begin + block, total));
  }
  onProgress?.(total, total);
}
