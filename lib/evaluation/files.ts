// Results as files: the table as CSV, and every sample as Parquet.
import { parquetWriteBuffer } from 'hyparquet-writer';
import { csvText } from '../ablation/csv.js';
import { keyText } from './plan.js';
import type { Samples } from './run.js';
import type { EvaluationSettings, EvaluationTable, RowResult } from './types.js';

const columns = [
  'name',
  'kind',
  'of',
  'heads',
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
  'permutation_p',
  'permutation_p_holm',
  'majority',
  'pass_k',
  'pass_at_k',
  'pass_at_k_low',
  'pass_at_k_high',
  'success_at_k',
  'mean_tokens',
  'answer_tokens',
  'controls',
  'controls_change_mean',
  'controls_change_min',
  'controls_change_max',
  'control_difference',
  'control_difference_low',
  'control_difference_high',
  'rank_p',
  'rank_p_holm',
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
      permutation_p: change.permutation.pValue,
      permutation_p_holm: change.permutation.adjusted,
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
    ...(answerTokens === null ? {} : { answer_tokens: answerTokens }),
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
      accuracy: row.accuracy.estimate,
      accuracy_low: row.accuracy.low,
      accuracy_high: row.accuracy.high,
      change: row.accuracy.estimate - table.rows[0].accuracy.estimate,
      mean_tokens: row.meanTokens,
    })),
  ]);
}

/** Every sample as one row of a Parquet file, in the order problem, variant, sample. */
export function samplesParquet(
  settings: EvaluationSettings,
  own: readonly number[],
  samples: Samples,
): Uint8Array {
  const keys = own.flatMap((problem) =>
    settings.variants.flatMap((_, variant) =>
      Array.from({ length: settings.samples }, (__, sample) => ({ problem, variant, sample })),
    ),
  );
  const records = keys.map((key) => samples.get(keyText(key))!);
  const text = (name: string, data: (string | null)[]) => ({
    name,
    data,
    type: 'STRING' as const,
    nullable: true,
  });
  const whole = (name: string, data: (number | null)[]) => ({
    name,
    data,
    type: 'INT32' as const,
    nullable: true,
  });
  const yes = (name: string, data: boolean[]) => ({
    name,
    data,
    type: 'BOOLEAN' as const,
    nullable: true,
  });
  const variants = keys.map(({ variant }) => settings.variants[variant]);
  const buffer = parquetWriteBuffer({
    columnData: [
      text(
        'problem',
        keys.map(({ problem }) => settings.problems[problem]),
      ),
      text(
        'variant',
        variants.map(({ name }) => name),
      ),
      text(
        'kind',
        variants.map(({ kind }) => kind),
      ),
      text(
        'heads',
        variants.map(({ heads }) => heads.join(' ')),
      ),
      whole(
        'sample',
        keys.map(({ sample }) => sample),
      ),
      yes(
        'correct',
        records.map(({ correct }) => correct),
      ),
      text(
        'answer',
        records.map(({ answer }) => answer),
      ),
      text(
        'source',
        records.map(({ source }) => source),
      ),
      text(
        'finish',
        records.map(({ finish }) => finish),
      ),
      whole(
        'prompt_tokens',
        records.map(({ promptTokens }) => promptTokens),
      ),
      whole(
        'tokens',
        records.map(({ tokens }) => tokens.length),
      ),
      whole(
        'answer_tokens',
        records.map(({ answerTokens }) => answerTokens),
      ),
      whole(
        'first_correct_tokens',
        records.map(({ firstCorrectTokens }) => firstCorrectTokens),
      ),
      yes(
        'lost',
        records.map(({ lost }) => lost),
      ),
      yes(
        'loop',
        records.map(({ loop }) => loop !== null),
      ),
      whole(
        'equations',
        records.map(({ equations }) => equations),
      ),
      whole(
        'false_equations',
        records.map(({ falseEquations }) => falseEquations),
      ),
      text(
        'form',
        records.map(({ form }) => form.join(' ')),
      ),
      text(
        'text',
        records.map((record) => record.text),
      ),
    ],
  });
  return new Uint8Array(buffer);
}
