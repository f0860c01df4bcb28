// Heads gated while benchmarks are answered: what every set changes beside its matched random sets.

import { controlMatchTexts } from '../../ablation/types.js';
import type { EvaluationTable, RowResult } from '../../evaluation/types.js';
import { formatPoints } from '../../format-number.js';
import { withFactor } from '../../head-gate.js';
import type { BenchmarkAblationFile } from '../../study/stages/benchmark-ablation.js';
import { intervalCells, intervalColumns, percent, pValue } from '../data-table.js';
import type { Figure } from '../figure.js';
import type { RunData } from '../run-data.js';
import {
  changePicture,
  factorColumn,
  leastRankTexts,
  namedFactors,
  type ChangeRow,
} from './change-plot.js';

/** More rows than this are in the table only. */
const drawnRows = 60;

/** The files of one figure: a plan on a benchmark under a prompt form, with the heads of a task. */
export interface SolvingPlan {
  readonly id: string;
  readonly title: string;
  readonly files: readonly BenchmarkAblationFile[];
}

/** All plans, in the order of the study. */
export function plansOf(data: RunData): SolvingPlan[] {
  const plans = new Map<string, BenchmarkAblationFile[]>();
  const tasks = new Set(data.benchmarkAblations.map(({ task }) => task));
  const forms = new Set(data.benchmarkAblations.map(({ form }) => form));
  for (const file of data.benchmarkAblations) {
    const { name, benchmark, form, task } = file;
    const key = JSON.stringify([name, benchmark, form, task]);
    plans.set(key, [...(plans.get(key) ?? []), file]);
  }
  return [...plans.values()].map((files) => {
    const [{ name, benchmark, form, task }] = files;
    const parts = [name, benchmark, ...(task === null ? [] : [task]), form];
    return {
      id: parts.map((part) => part.replaceAll(' ', '-')).join('-'),
      title:
        `plan “${name}” on ${benchmark}` +
        (forms.size > 1 ? `, ${form}` : '') +
        (tasks.size > 1 && task !== null ? `, heads of ${task}` : ''),
      files,
    };
  });
}

/** Names a row of a plan, all of whose files are given. */
export function rowName(
  { checkpoint, factor }: Pick<BenchmarkAblationFile, 'checkpoint' | 'factor'>,
  set: string,
  files: readonly BenchmarkAblationFile[],
): string {
  return `${checkpoint} · ${withFactor(set, factor, namedFactors(files))}`;
}

interface Row {
  readonly y: string;
  readonly file: BenchmarkAblationFile;
  readonly table: EvaluationTable;
  readonly row: RowResult & { readonly change: NonNullable<RowResult['change']> };
}

const rowsOf = (files: readonly BenchmarkAblationFile[]): Row[] =>
  files.flatMap((file) =>
    (file.table?.rows ?? []).flatMap((row) => {
      const y = rowName(file, row.name, files);
      return row.change
        ? [{ y, file, table: file.table!, row: { ...row, change: row.change } }]
        : [];
    }),
  );

function changeOf({ y, table, row }: Row): ChangeRow {
  const before = table.rows[0].accuracy.estimate;
  const { estimate, low, high } = row.change.accuracy;
  return {
    y,
    estimate,
    low,
    high,
    text:
      `${y} (${row.heads.join(' ')}): ${percent(before)} solved become ${percent(row.accuracy.estimate)}; ` +
      `change ${formatPoints(estimate)} points [${formatPoints(low)}, ${formatPoints(high)}]` +
      (row.controls
        ? `; random sets ${formatPoints(row.controls.change.mean)} points, rank p = ${pValue(row.controls.rankAdjusted)} (Holm)`
        : ''),
    controls: table.controls
      .filter((control) => control.of === row.name)
      .map(({ name, heads, accuracy }) => ({
        y,
        change: accuracy.estimate - before,
        text: `${name} (${heads.join(' ')}): ${formatPoints(accuracy.estimate - before)} points`,
      })),
  };
}

function tableOf(rows: readonly Row[]): Figure['table'] {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text' },
      factorColumn(rows.map(({ file }) => file.factor)),
      { key: 'unablated', title: 'unablated', kind: 'percent' },
      { key: 'solved', title: 'solved', kind: 'percent' },
      ...intervalColumns('change', 'change (points)', 'points', ['low', 'high']),
      { key: 'lost', title: 'lost', kind: 'number' },
      { key: 'gained', title: 'gained', kind: 'number' },
      { key: 'mcnemar', title: 'McNemar p (Holm)', kind: 'p-value' },
      { key: 'mcnemar_q', title: 'McNemar q', kind: 'p-value', fileOnly: true },
      {
        key: 'permutation',
        title: 'permutation p (Holm)',
        kind: 'p-value',
        // Of one answer each both tests are the same.
        ...(rows.some(({ table }) => table.settings.samples > 1) ? {} : { fileOnly: true }),
      },
      { key: 'permutation_q', title: 'permutation q', kind: 'p-value', fileOnly: true },
      { key: 'controls', title: 'random sets', kind: 'number' },
      { key: 'control_mean', title: 'their mean', kind: 'points' },
      ...intervalColumns('difference', 'difference', 'points'),
      { key: 'rank', title: 'rank p (Holm)', kind: 'p-value' },
      { key: 'tokens', title: 'tokens', kind: 'number' },
      ...intervalColumns('answer_tokens', 'to the answer', 'number'),
    ],
    rows: rows.map(({ file, table, row }) => ({
      checkpoint: file.checkpoint,
      set: row.name,
      members: row.heads.join(' '),
      factor: file.factor,
      unablated: table.rows[0].accuracy.estimate,
      solved: row.accuracy.estimate,
      ...intervalCells('change', row.change.accuracy, ['low', 'high']),
      lost: row.change.lost,
      gained: row.change.gained,
      mcnemar: row.change.mcnemar.adjusted,
      mcnemar_q: row.change.mcnemar.qValue,
      permutation: row.change.permutation.adjusted,
      permutation_q: row.change.permutation.qValue,
      controls: row.controls?.sets ?? 0,
      control_mean: row.controls?.change.mean ?? null,
      ...intervalCells('difference', row.controls?.difference),
      rank: row.controls?.rankAdjusted ?? null,
      tokens: row.meanTokens,
      ...intervalCells('answer_tokens', row.failures.answerTokens),
    })),
  };
}

/** What a reader has to know: missing heads, remarks of the tables, and what could be shown at all. */
function notesOf(files: readonly BenchmarkAblationFile[]): string {
  const missing = files
    .filter(({ table }) => table === null)
    .map(({ checkpoint }) => `${checkpoint} has no such heads`);
  const notes = [
    ...new Set([...missing, ...files.flatMap(({ table }) => table?.notes ?? [])]),
    ...leastRankTexts(files.map(({ table }) => table?.rows)),
  ];
  const powers = [...new Set(files.flatMap(({ table }) => (table ? [table.power.text] : [])))];
  return (
    (notes.length === 0 ? '' : ` Notes: ${notes.join('; ')}.`) +
    // Several checkpoints differ in a digit; the first says the size.
    (powers.length === 0 ? '' : ` Power: ${powers[0]}.`)
  );
}

/** One figure for each plan. */
export function benchmarkAblationFigures(data: RunData): Figure[] {
  return plansOf(data).map(({ id, title, files }) => {
    const rows = rowsOf(files);
    const drawn = rows.slice(0, drawnRows).map(changeOf);
    const match = files.find(({ table }) => table)?.table?.settings.match ?? 'layer';
    return {
      id: `solving-${id}`,
      title: `Solving with heads gated: ${title}`,
      caption:
        'Change of the share of right answers, problems paired, with intervals over problems; open dots ' +
        `have intervals that hold 0. Ticks: random sets (${controlMatchTexts[match]}). p-values ` +
        `are corrected by Holm over the sets of a checkpoint.${notesOf(files)}`,
      ...(drawn.length === 0
        ? {}
        : {
            picture: changePicture(drawn, {
              label: 'change of right answers (percentage points)',
              percent: true,
            }),
          }),
      tableFirst: true,
      table: tableOf(rows),
    };
  });
}
