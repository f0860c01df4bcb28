// The ablation table as CSV: one line per variant, then one per control set. Pair results are in
// the JSON only.

import type { AblationTable, VariantMeans } from './types.js';

const columns = [
  'name',
  'kind',
  'of',
  'heads',
  'factor',
  'metric',
  'change',
  'change_low',
  'change_high',
  'accuracy',
  'accuracy_change',
  'accuracy_change_low',
  'accuracy_change_high',
  'lost',
  'gained',
  'mcnemar_p',
  'mcnemar_p_holm',
  'mcnemar_q',
  'permutation_p',
  'permutation_p_holm',
  'permutation_q',
  'controls',
  'controls_change_mean',
  'controls_change_min',
  'controls_change_max',
  'control_difference',
  'control_difference_low',
  'control_difference_high',
  'rank_p',
  'rank_p_holm',
  'rank_q',
] as const;

type Line = Partial<Record<(typeof columns)[number], string | number>>;

/** Quotes a field where RFC 4180 asks for it; a number that there is none of (NaN) is empty. */
export function csvField(value: string | number | undefined): string {
  const text = value === undefined || Number.isNaN(value) ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Lines of a CSV file with a header; fields that a line lacks stay empty. */
export function csvText<Column extends string>(
  header: readonly Column[],
  lines: readonly Partial<Record<Column, string | number>>[],
): string {
  const rows = lines.map((line) => header.map((column) => csvField(line[column])).join(','));
  return `${[header.join(','), ...rows].join('\n')}\n`;
}

function linesOf({ baseline, variants, controls }: AblationTable): Line[] {
  const means = (row: VariantMeans): Line => ({
    heads: row.heads.join(' '),
    factor: row.factor,
    metric: row.metric,
    accuracy: row.accuracy,
  });
  return [
    { name: baseline.name, kind: 'unablated', ...means(baseline) },
    ...variants.map((row): Line => ({
      name: row.name,
      kind: row.kind,
      ...means(row),
      change: row.change.estimate,
      change_low: row.change.low,
      change_high: row.change.high,
      accuracy_change: row.accuracyChange.estimate,
      accuracy_change_low: row.accuracyChange.low,
      accuracy_change_high: row.accuracyChange.high,
      lost: row.lost,
      gained: row.gained,
      mcnemar_p: row.mcnemar.pValue,
      mcnemar_p_holm: row.mcnemar.adjusted,
      mcnemar_q: row.mcnemar.qValue,
      permutation_p: row.permutation.pValue,
      permutation_p_holm: row.permutation.adjusted,
      permutation_q: row.permutation.qValue,
      ...(row.controls && {
        controls: row.controls.sets,
        controls_change_mean: row.controls.change.mean,
        controls_change_min: row.controls.change.min,
        controls_change_max: row.controls.change.max,
        control_difference: row.controls.difference.estimate,
        control_difference_low: row.controls.difference.low,
        control_difference_high: row.controls.difference.high,
        rank_p: row.controls.rankPValue,
        rank_p_holm: row.controls.rankAdjusted,
        rank_q: row.controls.rankQValue,
      }),
    })),
    ...controls.map((row): Line => ({
      name: row.name,
      kind: 'control',
      of: row.of,
      ...means(row),
      change: row.change,
      accuracy_change: row.accuracyChange,
    })),
  ];
}

/** The table as CSV text with a header line. */
export function ablationCsv(table: AblationTable): string {
  return csvText(columns, linesOf(table));
}
