// Do the numbers of heads move with the reward? Rank correlations of what tracking counts with a
// training log's values at the checkpoints, corrected for their number (Holm).

import { holmAdjust } from '../stats/several-tests.js';
import { spearmanSeries, type SpearmanOptions, type SpearmanResult } from '../stats/spearman.js';
import type { SeriesTracking, TrackedStep } from './cohorts.js';

/** Values of one log at the checkpoints; null where the log says nothing. */
export interface LogAtCheckpoints {
  readonly name: string;
  /** [checkpoints] */
  readonly values: readonly (number | null)[];
}

/** What is counted at every checkpoint. */
export const trackedQuantities = {
  'emergent heads': (step: TrackedStep) => step.emergent.length,
  'new heads': (step: TrackedStep) => step.fresh.length,
  'retained base heads': (step: TrackedStep) => step.retained,
  'circuit heads': (step: TrackedStep) => step.heads,
} as const;

export type TrackedQuantity = keyof typeof trackedQuantities;

export interface LogCorrelation {
  readonly log: string;
  readonly quantity: TrackedQuantity;
  /** Checkpoints with a value. */
  readonly points: number;
  /** Null where one side does not vary or fewer than 3 checkpoints have a value. */
  readonly result: SpearmanResult | null;
  /** The p-value after Holm's correction over the correlations of the series; null without one. */
  readonly adjusted: number | null;
}

function correlate(
  tracking: SeriesTracking,
  log: LogAtCheckpoints,
  quantity: TrackedQuantity,
  options: SpearmanOptions,
): Omit<LogCorrelation, 'adjusted'> {
  const counts: number[] = [];
  const values: number[] = [];
  tracking.steps.forEach((step, index) => {
    const value = log.values[index];
    if (value === null || value === undefined) return;
    counts.push(trackedQuantities[quantity](step));
    values.push(value);
  });
  const head = { log: log.name, quantity, points: counts.length };
  const varies = new Set(counts).size > 1 && new Set(values).size > 1;
  if (counts.length < 3 || !varies) return { ...head, result: null };
  const wanted = options.blockLength;
  const limited = wanted === undefined ? {} : { blockLength: Math.min(wanted, counts.length) };
  return { ...head, result: spearmanSeries(counts, values, { ...options, ...limited }) };
}

/** Every tracked quantity against every log. */
export function correlateWithLogs(
  tracking: SeriesTracking,
  logs: readonly LogAtCheckpoints[],
  options: SpearmanOptions = {},
): LogCorrelation[] {
  const quantities = Object.keys(trackedQuantities) as TrackedQuantity[];
  const rows = logs.flatMap((log) =>
    quantities.map((quantity) => correlate(tracking, log, quantity, options)),
  );
  const tested = rows.filter(({ result }) => result !== null);
  const adjusted = holmAdjust(tested.map(({ result }) => result!.pValue));
  const byRow = new Map(tested.map((row, index) => [row, adjusted[index]]));
  return rows.map((row) => ({ ...row, adjusted: byRow.get(row) ?? null }));
}
