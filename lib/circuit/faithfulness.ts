// Faithfulness of a circuit and its two summaries over circuit sizes, CPR and CMD
// (the Mechanistic Interpretability Benchmark, arXiv 2504.13151).

import { HeadsparkError } from '../errors.js';

/** The fractions of edges at which CPR and CMD sample faithfulness. */
export const CURVE_FRACTIONS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1] as const;

/** Edges in a circuit of a given fraction: rounded down, as the benchmark does. */
export function edgesAtFraction(edgeCount: number, fraction: number): number {
  return Math.floor(fraction * edgeCount);
}

/**
 * (circuit - empty) / (full - empty): 0 for the empty circuit, 1 for the whole model.
 * Throws ERR_HEADSPARK_TENSOR_VALUE when full and empty are equal or a metric is not finite.
 */
export function faithfulness(metric: { circuit: number; empty: number; full: number }): number {
  const value = (metric.circuit - metric.empty) / (metric.full - metric.empty);
  if (!Number.isFinite(value)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_VALUE',
      `faithfulness is undefined: circuit ${metric.circuit}, empty ${metric.empty}, full ` +
        `${metric.full}; the full model and the empty circuit must differ on these pairs`,
    );
  }
  return value;
}

/** One point of a faithfulness curve. */
export interface CurvePoint {
  /** Share of the edges, in (0, 1]. */
  readonly fraction: number;
  readonly faithfulness: number;
}

function trapezoid(points: readonly CurvePoint[], height: (f: number) => number): number {
  if (points.length < 2) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `a faithfulness curve needs at least 2 points, got ${points.length}`,
    );
  }
  let area = 0;
  for (let index = 1; index < points.length; index++) {
    const left = points[index - 1];
    const right = points[index];
    const width = right.fraction - left.fraction;
    if (!(width > 0) || !Number.isFinite(left.faithfulness + right.faithfulness)) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_INVALID_ARGUMENT',
        `faithfulness curve: fractions must increase and values be finite (point ${index})`,
      );
    }
    area += (width * (height(left.faithfulness) + height(right.faithfulness))) / 2;
  }
  return area;
}

/** Circuit performance ratio: the area under f over the fraction (signed top-n circuits). */
export function circuitPerformanceRatio(points: readonly CurvePoint[]): number {
  return trapezoid(points, (f) => f);
}

/** Circuit-model distance: the area under |1 - f| over the fraction (absolute top-n circuits). */
export function circuitModelDistance(points: readonly CurvePoint[]): number {
  return trapezoid(points, (f) => Math.abs(1 - f));
}
