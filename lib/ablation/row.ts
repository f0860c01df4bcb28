// The statistics of one row: a variant against the unablated model, and against its controls.
// Everything is paired: the same pairs, in the same order, in every variant.

import { meanSteps, pairedDifferences } from '../stats/bootstrap.js';
import { shareChangeSteps } from '../stats/shares.js';
import { mcnemarExact } from '../stats/binomial.js';
import { permutationSteps } from '../stats/permutation.js';
import { mean } from '../stats/quantile.js';
import { formatHead, uniqueHeads } from '../head-gate.js';
import type { Steps } from '../turns.js';
import { shortFloat32, type GatedHeads, type VariantResults } from './run.js';
import type {
  AblationRow,
  ControlComparison,
  ControlRow,
  VariantMeans,
  PairResults,
} from './types.js';

export interface RowOptions {
  readonly worse: 'lower' | 'higher';
  readonly confidence: number;
  readonly resamples: number;
  readonly permutations: number;
  readonly seed: number;
}

/** Means and pair results of one variant, as they stand in the output. */
export function variantMeans(
  { name, heads, factor }: GatedHeads & { readonly name: string },
  { values, correct }: VariantResults,
): VariantMeans & PairResults {
  return {
    name,
    heads: uniqueHeads(heads).map(formatHead),
    factor,
    metric: mean(values),
    accuracy: mean(correct),
    values: Array.from(values, shortFloat32),
    correct: Array.from(correct),
  };
}

const spread = (values: readonly number[]) => ({
  mean: mean(values),
  min: Math.min(...values),
  max: Math.max(...values),
});

/**
 * Drops that differ by less are equal: 3 problems of 100 are 0.03 as a mean of differences and
 * 0.69 - 0.66 = 0.02999999999999992 as a difference of means.
 */
const rounding = 1e-9;

/** (1 + controls with at least as large a drop) / (controls + 1). */
export function rankPValue(drop: number, controlDrops: readonly number[]): number {
  const atLeast = controlDrops.filter((other) => other >= drop - rounding).length;
  return (1 + atLeast) / (controlDrops.length + 1);
}

/** [pairs] mean of each pair's value over the controls. */
function pairMeans(rows: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from(rows[0], (_, pair) => {
    let sum = 0;
    for (const row of rows) sum += row[pair];
    return sum / rows.length;
  });
}

/** A set against its controls; the correction of the rank test comes later, over the table. */
export function* compareWithControls(
  row: { change: number; accuracyChange: number } & PairResults,
  controls: readonly ControlRow[],
  options: RowOptions,
): Steps<ControlComparison> {
  const sign = options.worse === 'lower' ? -1 : 1;
  const rank = rankPValue(
    sign * row.change,
    controls.map(({ change }) => sign * change),
  );
  const values = pairMeans(controls.map((control) => control.values));
  const correct = pairMeans(controls.map((control) => control.correct));
  return {
    sets: controls.length,
    change: spread(controls.map(({ change }) => change)),
    accuracyChange: spread(controls.map(({ accuracyChange }) => accuracyChange)),
    rankPValue: rank,
    rankAdjusted: rank,
    rankQValue: rank,
    difference: yield* meanSteps(pairedDifferences(values, row.values), options),
    accuracyRankPValue: rankPValue(
      -row.accuracyChange,
      controls.map(({ accuracyChange }) => -accuracyChange),
    ),
    accuracyDifference: yield* shareChangeSteps(correct, row.correct, options),
  };
}

/** One row without its controls; p-values are not yet corrected. */
export function* ablationRow(
  planned: GatedHeads & { readonly name: string; readonly kind: AblationRow['kind'] },
  results: { baseline: VariantResults; variant: VariantResults },
  options: RowOptions,
): Steps<AblationRow> {
  const { baseline, variant } = results;
  const { lost, gained, pValue } = mcnemarExact(baseline.correct, variant.correct);
  const permuted = yield* permutationSteps(baseline.values, variant.values, options);
  return {
    ...variantMeans(planned, variant),
    kind: planned.kind,
    change: yield* meanSteps(pairedDifferences(baseline.values, variant.values), options),
    accuracyChange: yield* shareChangeSteps(baseline.correct, variant.correct, options),
    lost,
    gained,
    mcnemar: { pValue, adjusted: pValue, qValue: pValue },
    permutation: {
      pValue: permuted.pValue,
      adjusted: permuted.pValue,
      qValue: permuted.pValue,
      exact: permuted.exact,
    },
  };
}
