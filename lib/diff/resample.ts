// Rebuilding a circuit from weighted pairs: the inner loop of the bootstrap and of the null diff.

import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { graphOf, type CircuitGraph } from '../circuit/graph.js';
import { pairCountOf, type ScoreTable } from '../circuit/score-table.js';
import { resampleWeights } from '../stats/bootstrap.js';
import type { Random } from '../stats/random.js';
import { Turns } from '../turns.js';
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
  readonly onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
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

const PROGRESS_MS = 40;

/** Bytes of the means of one block of resamples. */
const BLOCK_BYTES = 1 << 25;

/** Rows of weights at a time: pair scores are read from memory once for all of them. */
const blockOf = (edges: number): number =>
  Math.max(2, Math.min(16, Math.floor(BLOCK_BYTES / (4 * edges))));

/** Does the resamples begin … end - 1; several tables one after the other, with turns between. */
export type ResampleStep = (begin: number, end: number, turns: Turns) => void | Promise<void>;

interface Resamples {
  readonly total: number;
  readonly edges: number;
  /** Rows of weights of one resample; default 1. */
  readonly rows?: number;
}

/**
 * Runs `step(begin, end)` over blocks of the resamples 0 … total-1 of a graph with so many edges,
 * giving the event loop a turn every 40 ms. Throws ERR_HEADSPARK_CANCELLED when the signal fires.
 */
export async function runResamples(
  resamples: Resamples,
  step: ResampleStep,
  { signal, onProgress }: LoopOptions,
): Promise<void> {
  return withCallbacks({ signal, onProgress }, (watched) => runWatched(resamples, step, watched));
}

async function runWatched(
  { total, edges, rows = 1 }: Resamples,
  step: ResampleStep,
  { signal, onProgress }: LoopOptions,
): Promise<void> {
  const block = Math.max(1, Math.floor(blockOf(edges) / rows));
  const turns = new Turns('the comparison', signal);
  let reported = performance.now();
  for (let begin = 0; begin < total; begin += block) {
    if (performance.now() - reported >= PROGRESS_MS) {
      onProgress?.({ done: begin, total, phase: 'resamples' });
      reported = performance.now();
    }
    await turns.give();
    await step(begin, Math.min(begin + block, total), turns);
  }
  onProgress?.({ done: total, total, phase: 'resamples' });
}
