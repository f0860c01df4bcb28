// What `attribute` says of a score table: its top heads with bootstrap intervals, its top edges,
// and the completeness of integrated gradients.

import type { AttributionResult } from '../attribution.js';
import { scoreShares } from '../circuit/circuit.js';
import { graphOf } from '../circuit/graph.js';
import { edgeName } from '../circuit/names.js';
import { pairCountOf, type ScoreTable } from '../circuit/score-table.js';
import { selectEdges } from '../circuit/select.js';
import { resampledWeights, runResamples, type LoopOptions } from '../diff/resample.js';
import { compareHeads, formatHead, type HeadRef } from '../head-gate.js';
import { fastestMeans } from '../native-resampling.js';
import { mean, percentileBounds } from '../stats/quantile.js';
import { Random } from '../stats/random.js';

/** A head by its share of all heads' outgoing |score|. */
export interface RankedHead extends HeadRef {
  readonly name: string;
  /** From 0 to 1; sums to 1 over heads. */
  readonly scoreShare: number;
  readonly low?: number;
  readonly high?: number;
}

export interface RankedEdge {
  readonly name: string;
  readonly score: number;
}

/** Multiply-adds that a printed interval may cost: one or two seconds. */
const WORK_BUDGET = 2e10;

/** [resamples][heads] shares of resampled pairs; undefined without pair scores. */
async function resampled(
  table: ScoreTable,
  options: LoopOptions & { seed: number },
): Promise<Float32Array[] | undefined> {
  const { pairScores } = table;
  if (!pairScores) return undefined;
  const pairs = pairCountOf(table);
  if (pairs < 2) return undefined;
  const graph = graphOf(table.shape);
  const { edgeCount } = graph;
  const affordable = Math.floor(WORK_BUDGET / (edgeCount * (pairs + 16)));
  const resamples = Math.max(100, Math.min(1000, affordable));
  const averages = fastestMeans();
  const samples: Float32Array[] = [];
  const step = (begin: number, end: number): void => {
    const rows = end - begin;
    const means = new Float32Array(rows * edgeCount);
    const weights = resampledWeights(
      { begin, end, pairs },
      (resample) => new Random(options.seed, resample),
    );
    averages({ values: pairScores, weights, rows, means });
    for (let row = 0; row < rows; row++) {
      const scores = means.subarray(row * edgeCount, (row + 1) * edgeCount);
      samples.push(Float32Array.from(scoreShares(graph, scores)));
    }
  };
  await runResamples({ total: resamples, edges: edgeCount }, step, options);
  return samples;
}

/** All heads, largest share first, with 95 % bootstrap intervals where pair scores were kept. */
export async function rankHeads(
  table: ScoreTable,
  options: LoopOptions & { seed: number },
): Promise<RankedHead[]> {
  const graph = graphOf(table.shape);
  const shares = scoreShares(graph, graph.compact(table.scores));
  const samples = await resampled(table, options);
  return Array.from(shares, (value, index): RankedHead => {
    const layer = Math.floor(index / table.shape.heads);
    const head = index % table.shape.heads;
    const bounds = samples
      ? percentileBounds(
          samples.map((sample) => sample[index]),
          0.95,
        )
      : {};
    return { name: formatHead({ layer, head }), layer, head, scoreShare: value, ...bounds };
  }).sort((a, b) => b.scoreShare - a.scoreShare || compareHeads(a, b));
}

/** The n edges with the highest |score|, highest first. */
export function rankEdges(table: ScoreTable, n: number): RankedEdge[] {
  const graph = graphOf(table.shape);
  const scores = graph.compact(table.scores);
  const count = Math.min(n, graph.edgeCount);
  const edges = Array.from(selectEdges(graph, scores, { rule: 'top-n', n: count }));
  edges.sort((a, b) => Math.abs(scores[b]) - Math.abs(scores[a]) || a - b);
  return edges.map((edge) => {
    const source = graph.edgeSource(edge);
    return {
      name: edgeName(graph, source, graph.edgeDestination(edge, source)),
      score: scores[edge],
    };
  });
}

export interface Completeness {
  /** Sum of the scores of all edges out of `input`. */
  readonly inputScores: number;
  /** What it tends to with more steps: the loss of the corrupted minus that of the clean run. */
  readonly expected: number;
}

/** The sanity check of integrated gradients; undefined for the other methods. */
export function completenessOf(result: AttributionResult): Completeness | undefined {
  if (result.meta.method !== 'eap-ig') return undefined;
  const { nBackward } = graphOf(result.shape);
  let inputScores = 0;
  for (let column = 0; column < nBackward; column++) inputScores += result.scores[column];
  const { clean, corrupted } = result.pairMetrics;
  const lossSign = result.meta.metric === 'kl' || result.meta.metric === 'nll' ? 1 : -1;
  return { inputScores, expected: lossSign * (mean(corrupted) - mean(clean)) };
}
