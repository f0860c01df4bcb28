// An evaluation as a person reads it: accuracy, the change against the unablated model, the
// comparison with control sets, failure modes, and what a run of this size could show.

import { controlMatchTexts } from '../ablation/types.js';
import { failureModes } from '../failures/summary.js';
import type { EvaluationTable, RowResult } from '../evaluation/types.js';
import { formatFixed } from '../format-number.js';
import type { Interval } from '../stats/quantile.js';
import type { Context } from './context.js';
import {
  formatBounds,
  formatNumber,
  formatP,
  formatPercent,
  formatPoints,
  plural,
  type TableColumn,
} from './output.js';

const right = (title: string): TableColumn => ({ title, align: 'right' });

const percentBounds = ({ low, high }: Pick<Interval, 'low' | 'high'>): string =>
  `[${formatFixed(100 * low, 1)}, ${formatFixed(100 * high, 1)}]`;

const pointBounds = ({ low, high }: Pick<Interval, 'low' | 'high'>): string =>
  `[${formatPoints(low)}, ${formatPoints(high)}]`;

function headingOf({ settings, problems }: EvaluationTable): string {
  const { sampling, samples, prompt } = settings;
  const drawn =
    sampling.temperature === 0
      ? 'greedy'
      : `temperature ${sampling.temperature}, top-p ${sampling.topP}`;
  const thinking = prompt.thinking === 'default' ? '' : `, thinking ${prompt.thinking}`;
  return (
    `${plural(problems.length, 'problem')} × ${plural(samples, 'sample')}, ${drawn}${thinking}, ` +
    `at most ${settings.maxNewTokens} tokens`
  );
}

/** `heads scaled by 0.5, plus 0.5 of the mean over 32 reference runs`; empty without gates. */
function gatesOf({ settings, rows }: EvaluationTable): string {
  if (rows.length < 2) return '';
  const { factors, ablation, references, positions } = settings;
  const what = {
    zero: 'zero',
    mean: `the mean over ${references.length} reference runs`,
    'mean-per-position': `the mean by position over ${references.length} reference runs`,
    resample: `the same position of another of ${references.length} runs`,
  }[ablation];
  const where = positions === 'all' ? '' : `, at ${positions} positions`;
  const [factor] = factors;
  if (factors.length === 1 && factor === 0) {
    return `heads ablated: ${what} in place of their output${where}`;
  }
  const rest = factors.length > 1 ? '(1 - factor)' : Number((1 - factor).toPrecision(6));
  const plus = ablation === 'zero' ? '' : `, plus ${rest} of ${what}`;
  return `heads scaled by ${factors.join(', ')}${plus}${where}`;
}

function tokensToAnswer({ failures: { answerTokens } }: RowResult): [string, string] {
  if (answerTokens === null) return ['–', '–'];
  return [formatNumber(answerTokens.estimate, 1), formatBounds(answerTokens, 1)];
}

function answerRow(row: RowResult, many: boolean, greedy: boolean): string[] {
  const most = row.passAt.at(-1)!;
  const success = row.successAt.at(-1)!;
  return [
    row.name,
    formatPercent(row.accuracy.estimate),
    percentBounds(row.accuracy),
    ...(many
      ? [
          formatPercent(most.value.estimate),
          percentBounds(most.value),
          formatPercent(success.value.estimate),
          formatPercent(row.majority.estimate),
        ]
      : []),
    formatNumber(row.meanTokens, 1),
    ...tokensToAnswer(row),
    `${row.sources.boxed}/${row.sources.none}`,
    ...(greedy ? [String(row.nearTies)] : []),
  ];
}

function printAnswers({ rows, settings, nearTies }: EvaluationTable, context: Context): void {
  const { samples } = settings;
  const greedy = nearTies !== null;
  const many = samples > 1;
  context.table(
    [
      { title: 'variant' },
      right('accuracy'),
      { title: 'interval' },
      ...(many
        ? [
            right(`pass@${samples}`),
            { title: 'interval' },
            right(`success@${samples}`),
            right('majority'),
          ]
        : []),
      right('tokens'),
      right('to answer'),
      { title: 'interval' },
      right('boxed/none'),
      ...(greedy ? [right('near-ties')] : []),
    ],
    rows.map((row) => answerRow(row, many, greedy)),
  );
  if (!many) return;
  const curve = rows[0].passAt.map(({ k, value }) => `${k}: ${formatPercent(value.estimate)}`);
  context.print(`  unablated pass@k  ${curve.join('  ')}`);
}

function printChanges(rows: readonly RowResult[], context: Context): void {
  context.heading("Against the unablated model (p-values after Holm's correction)");
  context.table(
    [
      { title: 'variant' },
      right('points'),
      { title: 'interval' },
      right('lost/gained'),
      right('McNemar p'),
      right('permutation p'),
      right('flips →wrong/→right'),
    ],
    rows.map(({ name, change, flipCounts }) => {
      const p = formatP(change!.permutation.adjusted);
      return [
        name,
        formatPoints(change!.accuracy.estimate),
        pointBounds(change!.accuracy),
        `${change!.lost}/${change!.gained}`,
        formatP(change!.mcnemar.adjusted),
        change!.permutation.adjusted < 0.05 ? context.paint('green', p) : p,
        `${flipCounts!.rightToWrong}/${flipCounts!.wrongToRight}`,
      ];
    }),
  );
}

function printControls(
  rows: readonly RowResult[],
  { match }: EvaluationTable['settings'],
  context: Context,
): void {
  const compared = rows.filter(({ controls }) => controls);
  if (compared.length === 0) return;
  context.heading(`Against matched random sets (${controlMatchTexts[match]})`);
  context.table(
    [
      { title: 'variant' },
      right('sets'),
      right('points'),
      right('random mean'),
      { title: 'min, max' },
      right('difference'),
      { title: 'interval' },
      right('rank p'),
      right('Holm'),
    ],
    compared.map(({ name, change, controls }) => [
      name,
      String(controls!.sets),
      formatPoints(change!.accuracy.estimate),
      formatPoints(controls!.change.mean),
      pointBounds({ low: controls!.change.min, high: controls!.change.max }),
      formatPoints(controls!.difference.estimate),
      pointBounds(controls!.difference),
      formatP(controls!.rankPValue),
      formatP(controls!.rankAdjusted),
    ]),
  );
}

function printFailures(rows: readonly RowResult[], context: Context): void {
  const isMoved = (change: Interval | undefined): boolean =>
    change !== undefined && (change.low > 0 || change.high < 0);
  const moved = rows.some(({ failures }) =>
    failureModes.some((mode) => isMoved(failures.modes[mode].change)),
  );
  context.heading(
    `How answers fail (share of samples${moved ? '; change against the unablated model' : ''})`,
  );
  context.table(
    [{ title: 'variant' }, ...failureModes.map((mode) => right(mode))],
    rows.map(({ name, failures }) => [
      name,
      ...failureModes.map((mode) => {
        const { rate, change } = failures.modes[mode];
        const text = formatPercent(rate.estimate);
        return isMoved(change) ? `${text} (${formatPoints(change!.estimate)}*)` : text;
      }),
    ]),
  );
  if (moved) context.print('  * the interval of the change leaves out 0');
  else if (rows.length > 1) context.print('  every interval of a change holds 0');
}

const shownNearTies = 10;

/** Samples that another implementation may answer differently. */
function printNearTies({ nearTies }: EvaluationTable, context: Context): void {
  if (nearTies === null || nearTies.count === 0) return;
  const { below, count, samples } = nearTies;
  context.heading(
    `Near-ties: ${plural(count, 'sample')} with two logits less than ${below} apart, whose answer ` +
      'another processor or library may turn',
  );
  context.table(
    [
      { title: 'variant' },
      { title: 'problem' },
      right('sample'),
      right('token'),
      right('margin'),
      { title: 'answer' },
    ],
    samples
      .slice(0, shownNearTies)
      .map(({ variant, problem, sample, token, margin, answer, correct }) => [
        variant,
        problem,
        String(sample),
        String(token + 1),
        margin.toExponential(1),
        `${(answer ?? 'none').slice(0, 30)} (${correct ? 'right' : 'wrong'})`,
      ]),
  );
  if (count > shownNearTies) {
    context.print(`  … and ${count - shownNearTies} more (--out)`);
  }
}

/** Prints the table; of more than `top` sets the first ones, with the rest in --out and --csv. */
export function printEvaluation(table: EvaluationTable, context: Context, top: number): void {
  context.print(`  ${headingOf(table)}`);
  const gates = gatesOf(table);
  if (gates !== '') context.print(`  ${gates}`);
  const shown = { ...table, rows: table.rows.slice(0, top + 1) };
  const sets = shown.rows.slice(1);
  context.heading(`Right answers (${formatPercent(table.confidence, 0)} intervals over problems)`);
  printAnswers(shown, context);
  if (sets.length > 0) {
    printChanges(sets, context);
    printControls(sets, table.settings, context);
  }
  printFailures(shown.rows, context);
  printNearTies(table, context);
  if (shown.rows.length < table.rows.length) {
    context.print(`  … and ${table.rows.length - shown.rows.length} more (--top, --out or --csv)`);
  }
  context.print();
  if (table.rows.length > 1) context.print(`  - ${table.power.text}`);
  for (const note of table.notes) context.print(`  - ${note}`);
}
