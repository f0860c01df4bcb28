// Results as files: the table as CSV, and every sample as Parquet.
import { csvText } from '../ablation/csv.js';
import { keyText, sampleKeys } from './plan.js';
import type { Samples } from './run.js';
import type { EvaluationSettings, EvaluationTable, RowResult, SampleRecord } from './types.js';

const columns = [
  'name',
  'kind',
  'of',
  'heads',
  'factor',
  'accuracy',
  'accuracy_low',
  'accuracy_high',
  'change',
  'change_low',
  'change_high',
  'lost',
  'gained',
  'mcnemar_p',
  'mcnemar_p_holm',
  'mcnemar_q',
  'permutation_p',
  'permutation_p_holm',
  'permutation_q',
  'majority',
  'pass_k',
  'pass_at_k',
  'pass_at_k_low',
  'pass_at_k_high',
  'success_at_k',
  'mean_tokens',
  'answer_tokens',
  'answer_tokens_low',
  'answer_tokens_high',
  'near_ties',
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
  'truncated',
  'loop',
  'false_arithmetic',
  'lost_right_answer',
  'no_answer',
  'malformed',
] as const;

type Line = Partial<Record<(typeof columns)[number], string | number>>;

function testsOf({ change, controls }: RowResult): Line {
  return {
    ...(change && {
      change: change.accuracy.estimate,
      change_low: change.accuracy.low,
      change_high: change.accuracy.high,
      lost: change.lost,
      gained: change.gained,
      mcnemar_p: change.mcnemar.pValue,
      mcnemar_p_holm: change.mcnemar.adjusted,
      mcnemar_q: change.mcnemar.qValue,
      permutation_p: change.permutation.pValue,
      permutation_p_holm: change.permutation.adjusted,
      permutation_q: change.permutation.qValue,
    }),
    ...(controls && {
      controls: controls.sets,
      controls_change_mean: controls.change.mean,
      controls_change_min: controls.change.min,
      controls_change_max: controls.change.max,
      control_difference: controls.difference.estimate,
      control_difference_low: controls.difference.low,
      control_difference_high: controls.difference.high,
      rank_p: controls.rankPValue,
      rank_p_holm: controls.rankAdjusted,
      rank_q: controls.rankQValue,
    }),
  };
}

function lineOf(row: RowResult): Line {
  const { modes, answerTokens } = row.failures;
  const most = row.passAt.at(-1)!;
  return {
    name: row.name,
    kind: row.kind,
    heads: row.heads.join(' '),
    factor: row.factor,
    accuracy: row.accuracy.estimate,
    accuracy_low: row.accuracy.low,
    accuracy_high: row.accuracy.high,
    ...testsOf(row),
    majority: row.majority.estimate,
    pass_k: most.k,
    pass_at_k: most.value.estimate,
    pass_at_k_low: most.value.low,
    pass_at_k_high: most.value.high,
    success_at_k: row.successAt.at(-1)!.value.estimate,
    mean_tokens: row.meanTokens,
    ...(answerTokens && {
      answer_tokens: answerTokens.estimate,
      answer_tokens_low: answerTokens.low,
      answer_tokens_high: answerTokens.high,
    }),
    near_ties: row.nearTies,
    truncated: modes.truncated.rate.estimate,
    loop: modes.loop.rate.estimate,
    false_arithmetic: modes['false-arithmetic'].rate.estimate,
    lost_right_answer: modes.lost.rate.estimate,
    no_answer: modes['no-answer'].rate.estimate,
    malformed: modes.malformed.rate.estimate,
  };
}

/** The table as CSV: the unablated model, the sets, then the control sets. */
export function evaluationCsv(table: EvaluationTable): string {
  return csvText(columns, [
    ...table.rows.map(lineOf),
    ...table.controls.map((row): Line => ({
      name: row.name,
      kind: row.kind,
      of: row.of ?? '',
      heads: row.heads.join(' '),
      factor: row.factor,
      accuracy: row.accuracy.estimate,
      accuracy_low: row.accuracy.low,
      accuracy_high: row.accuracy.high,
      change: row.accuracy.estimate - table.rows[0].accuracy.estimate,
      mean_tokens: row.meanTokens,
      near_ties: row.nearTies,
    })),
  ]);
}

interface SampleRow extends SampleRecord {
  readonly problem: string;
  readonly variant: EvaluationSettings['variants'][number];
  readonly sample: number;
}

type Cell = string | number | boolean | null;
type ColumnType = 'STRING' | 'INT32' | 'BOOLEAN' | 'DOUBLE';

const sampleColumns: readonly (readonly [string, ColumnType, (row: SampleRow) => Cell])[] = [
  ['problem', 'STRING', (row) => row.problem],
  ['variant', 'STRING', (row) => row.variant.name],
  ['kind', 'STRING', (row) => row.variant.kind],
  ['of', 'STRING', (row) => row.variant.of ?? null],
  ['heads', 'STRING', (row) => row.variant.heads.join(' ')],
  ['factor', 'DOUBLE', (row) => row.variant.factor],
  ['sample', 'INT32', (row) => row.sample],
  ['correct', 'BOOLEAN', (row) => row.correct],
  ['answer', 'STRING', (row) => row.answer],
  ['source', 'STRING', (row) => row.source],
  ['finish', 'STRING', (row) => row.finish],
  ['prompt_tokens', 'INT32', (row) => row.promptTokens],
  ['tokens', 'INT32', (row) => row.tokens.length],
  ['nearest_tie', 'DOUBLE', (row) => row.nearestTie?.margin ?? null],
  ['nearest_tie_token', 'INT32', (row) => row.nearestTie?.token ?? null],
  ['answer_tokens', 'INT32', (row) => row.answerTokens],
  ['first_correct_tokens', 'INT32', (row) => row.firstCorrectTokens],
  ['lost', 'BOOLEAN', (row) => row.lost],
  ['loop', 'BOOLEAN', (row) => row.loop !== null],
  ['equations', 'INT32', (row) => row.equations],
  ['false_equations', 'INT32', (row) => row.falseEquations],
  ['form', 'STRING', (row) => row.form.join(' ')],
  ['text', 'STRING', (row) => row.text],
];

/** Every sample as one row of a Parquet file, in the order problem, variant, sample. */
export async function samplesParquet(
  settings: EvaluationSettings,
  own: readonly number[],
  samples: Samples,
): Promise<Uint8Array> {
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const rows: SampleRow[] = [];
  for (const key of sampleKeys(own, settings.variants.length, settings.samples)) {
    const problem = settings.problems[key.problem];
    const variant = settings.variants[key.variant];
    rows.push({ ...samples.get(keyText(key))!, problem, variant, sample: key.sample });
  }
  const columnData = sampleColumns.map(([name, type, cellOf]) => ({
    name,
    type,
    nullable: true,
    data: rows.map(cellOf),
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}
