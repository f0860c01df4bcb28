// Heads gated while benchmarks are answered: what every set changes beside its matched random sets.

import { controlMatchTexts } from '../../ablation/types.js';
import { powerLine } from '../../evaluation/power.js';
import type { EvaluationTable, RowResult } from '../../evaluation/types.js';
import { formatPoints, plural } from '../../format-number.js';
import { withFactor } from '../../head-gate.js';
import type { BenchmarkAblationFile } from '../../study/stages/benchmark-ablation.js';
import { intervalCells, intervalColumns, percent, pValue } from '../data-table.js';
import type { Figure } from '../figure.js';
import { confidenceText, type RunData } from '../run-data.js';
import { correctedByCheckpoint, testCells, testColumns } from '../test-columns.js';
import {
  changePicture,
  factorColumn,
  leastRankTexts,
  namedFactors,
  type ChangeRow,
} from './change-plot.js';
import {
  gatingColumns,
  gatingText,
  headlessRemarks,
  remarksByCheckpoint,
  remarksOf,
} from './gating.js';

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
  readonly checkpoint: string;
  readonly factor: number;
  readonly table: EvaluationTable;
  readonly row: RowResult & { readonly change: NonNullable<RowResult['change']> };
}

const rowsOf = (files: readonly BenchmarkAblationFile[]): Row[] =>
  files.flatMap((file) => {
    const { checkpoint, factor, table } = file;
    return (table?.rows ?? []).flatMap((row): Row[] => {
      const { change } = row;
      const y = rowName(file, row.name, files);
      return change ? [{ y, checkpoint, factor, table: table!, row: { ...row, change } }] : [];
    });
  });

type Tests = ReturnType<typeof testsOf>;

/** Each kind of test over the rows of a checkpoint, whatever their factor. */
const testsOf = (rows: readonly Row[]) => ({
  mcnemar: correctedByCheckpoint(rows, ({ row }) => row.change.mcnemar.pValue),
  permutation: correctedByCheckpoint(rows, ({ row }) => row.change.permutation.pValue),
  rank: correctedByCheckpoint(rows, ({ row }) => row.controls?.rankPValue),
});

function changeOf(drawn: Row, tests: Tests): ChangeRow {
  const { y, table, row } = drawn;
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
        ? `; random sets ${formatPoints(row.controls.change.mean)} points, rank p = ${pValue(tests.rank(drawn)!.adjusted)} (Holm)`
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

function tableOf(rows: readonly Row[], tests: Tests): Figure['table'] {
  const hasOneAnswer = rows.every(({ table }) => table.settings.samples === 1);
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text' },
      factorColumn(rows.map(({ factor }) => factor)),
      { key: 'unablated', title: 'unablated', kind: 'percent' },
      { key: 'solved', title: 'solved', kind: 'percent' },
      ...intervalColumns('change', 'change (points)', 'points', ['low', 'high']),
      { key: 'lost', title: 'problems lost', kind: 'number' },
      { key: 'gained', title: 'problems gained', kind: 'number' },
      ...testColumns('mcnemar', 'McNemar'),
      // Of one answer each both tests are the same.
      ...testColumns('permutation', 'permutation', { fileOnly: hasOneAnswer }),
      { key: 'controls', title: 'random sets', kind: 'number' },
      { key: 'control_mean', title: 'their mean', kind: 'points' },
      ...intervalColumns('difference', 'difference', 'points'),
      ...testColumns('rank', 'rank'),
      { key: 'tokens', title: 'tokens', kind: 'number' },
      ...intervalColumns('answer_tokens', 'to the answer', 'number'),
      ...gatingColumns(['problems', 'samples']),
    ],
    rows: rows.map((row) => cellsOf(row, tests)),
  };
}

function cellsOf(one: Row, tests: Tests): Figure['table']['rows'][number] {
  const { checkpoint, factor, table, row } = one;
  return {
    checkpoint,
    set: row.name,
    members: row.heads.join(' '),
    factor,
    unablated: table.rows[0].accuracy.estimate,
    solved: row.accuracy.estimate,
    ...intervalCells('change', row.change.accuracy, ['low', 'high']),
    lost: row.change.lost,
    gained: row.change.gained,
    ...testCells('mcnemar', tests.mcnemar(one)),
    ...testCells('permutation', tests.permutation(one)),
    controls: row.controls?.sets ?? 0,
    control_mean: row.controls?.change.mean ?? null,
    ...intervalCells('difference', row.controls?.difference),
    ...testCells('rank', tests.rank(one)),
    tokens: row.meanTokens,
    ...intervalCells('answer_tokens', row.failures.answerTokens),
    ablation: table.settings.ablation,
    problems: table.problems.length,
    samples: table.settings.samples,
    confidence: table.confidence,
  };
}

/** What a reader has to know: missing heads, remarks of the tables, and what could be shown at all. */
function notesOf(files: readonly BenchmarkAblationFile[], rows: readonly Row[]): string[] {
  const tables = files.flatMap(({ checkpoint, factor, table }) =>
    table ? [{ checkpoint, factor, remarks: table.notes }] : [],
  );
  const whole = remarksByCheckpoint(rows, (own) => {
    const { rows: all, settings } = own[0].table;
    const tested = own.map(({ row }) => row);
    const power = powerLine(all[0], settings.samples, tested.length).text;
    return [...leastRankTexts([tested]), power];
  });
  return [...headlessRemarks(files), ...remarksOf(tables), ...remarksOf(whole)];
}

/** How to read the table: how much was answered, how the heads were gated, what columns count. */
function captionOf(files: readonly BenchmarkAblationFile[], confidence: string): string {
  const table = files.find((file) => file.table)?.table;
  if (!table) return '';
  const { ablation, samples, match } = table.settings;
  const factors = files.map(({ factor }) => factor);
  const outcome = samples > 1 ? ' by the majority of its answers' : '';
  return (
    `Change of the share of right answers to ${plural(table.problems.length, 'problem')}, ` +
    `${plural(samples, 'answer')} each, problems paired, with ${confidence} intervals over problems; ` +
    `open dots have intervals that hold 0. ${gatingText(ablation, factors, 'problems')} Ticks: random ` +
    `sets (${controlMatchTexts[match]}). A problem is lost where it comes out right${outcome} without ` +
    'the gate and wrong with it, and gained the other way round; McNemar’s test is of these, the ' +
    'permutation test of shares of right answers. p-values are corrected by Holm over all rows of a ' +
    'checkpoint.'
  );
}

/** One figure for each plan. */
export function benchmarkAblationFigures(data: RunData): Figure[] {
  return plansOf(data).map(({ id, title, files }) => {
    const rows = rowsOf(files);
    const tests = testsOf(rows);
    const drawn = rows.slice(0, drawnRows).map((row) => changeOf(row, tests));
    return {
      id: `solving-${id}`,
      title: `Solving with heads gated: ${title}`,
      caption: captionOf(files, confidenceText(data.manifest)),
      notes: notesOf(files, rows),
      ...(drawn.length === 0
        ? {}
        : {
            picture: changePicture(drawn, {
              label: 'change of right answers (percentage points)',
              percent: true,
            }),
          }),
      tableFirst: true,
      table: tableOf(rows, tests),
    };
  });
}
