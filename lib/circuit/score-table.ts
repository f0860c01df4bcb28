// A table of edge scores and where it came from. Scores are dense; per-pair scores are compact
// (real edges only, in index order), because they are what a bootstrap reads over and over.

import { HeadsparkError } from '../errors.js';
import { graphOf } from './graph.js';
import { describeShape, sameGraph, type GraphShape } from './shape.js';

/** How scores were made. Everything is optional: the reference's files say none of it. */
export interface ScoreMeta {
  readonly model?: string;
  readonly adapter?: string;
  /** Name of the task or of the pairs file. */
  readonly task?: string;
  /** `eap`, `eap-ig`, `clean-corrupted`, `eap-ig-activations`, … */
  readonly method?: string;
  readonly metric?: string;
  readonly igSteps?: number;
  readonly igGrid?: string;
  readonly pairCount?: number;
  /** What the model ran on: `cpu`, the level of its kernels, `exact` or `fast`. */
  readonly device?: string;
  readonly isa?: string;
  readonly precision?: string;
  /** Whether what clean and corrupted share was computed once, which changes last bits. */
  readonly sharePrefix?: boolean;
  /** Width of the residual stream; the reference's files carry it as `d_model`. */
  readonly hiddenSize?: number;
  /** File name of the per-pair scores, beside the score file. */
  readonly pairScoresFile?: string;
  readonly [extra: string]: string | number | boolean | null | undefined;
}

/**
 * Scores of all edges of one graph: what `attribute` and `readScoreFile` give, and `buildCircuit`,
 * `diff` and `circuitCurve` take. A score estimates how much the loss rises when the edge carries
 * the corrupted run's value, in units of the metric; the loss is minus a metric that is better when
 * higher (`logit-diff`, `prob-diff`). Those of
 * `information-flow-routes` are L1 proximities instead.
 */
export interface ScoreTable {
  readonly shape: GraphShape;
  /** [nForward, nBackward] row-major; 0 where there is no edge. */
  readonly scores: Float32Array;
  /** [pairCount, edgeCount] over the real edges in index order; the mean over pairs is `scores`. */
  readonly pairScores?: Float32Array;
  readonly meta: ScoreMeta;
}

/** Number of pairs in `pairScores`, 0 without them. Throws ERR_HEADSPARK_TENSOR_SHAPE. */
export function pairCountOf(table: ScoreTable): number {
  const values = table.pairScores;
  if (!values) return 0;
  const { edgeCount } = graphOf(table.shape);
  if (values.length === 0 || values.length % edgeCount !== 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `pair scores: ${values.length} values are not a whole number of rows of ${edgeCount} edges`,
    );
  }
  return values.length / edgeCount;
}

/** Throws when lengths do not fit the shape or a real edge's score is not finite. */
export function checkScoreTable(table: ScoreTable, name: string): void {
  const graph = graphOf(table.shape);
  if (table.scores.length !== graph.nForward * graph.nBackward) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `${name}: ${table.scores.length} scores, but a graph of ${describeShape(table.shape)} has ` +
        `${graph.nForward} x ${graph.nBackward}`,
    );
  }
  const bad = table.scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_VALUE',
      `${name}: the score at source ${Math.floor(bad / graph.nBackward)}, destination ` +
        `${bad % graph.nBackward} is ${table.scores[bad]}; all scores must be finite`,
    );
  }
  pairCountOf(table);
}

/** Settings that two tables must share before a difference of them means anything. */
const SHARED_SETTINGS = ['method', 'metric', 'igSteps', 'igGrid'] as const;

/**
 * Throws ERR_HEADSPARK_SETTINGS_MISMATCH when two tables have different graphs, or both state a
 * method, metric, number of steps or grid and these differ.
 */
export function checkComparable(
  base: Pick<ScoreTable, 'shape' | 'meta'>,
  other: Pick<ScoreTable, 'shape' | 'meta'>,
  names: { base: string; other: string },
): void {
  if (!sameGraph(base.shape, other.shape)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_SETTINGS_MISMATCH',
      `${names.base} (${describeShape(base.shape)}) and ${names.other} ` +
        `(${describeShape(other.shape)}) have different graphs and cannot be compared`,
    );
  }
  for (const key of SHARED_SETTINGS) {
    const [a, b] = [base.meta[key], other.meta[key]];
    if (a !== undefined && b !== undefined && a !== b) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_SETTINGS_MISMATCH',
        `${names.base} was made with ${key} ${a}, ${names.other} with ${b}; ` +
          `attribute both with the same settings`,
      );
    }
  }
}
