// How answers fail: loops, truncation, false arithmetic, lost right answers, missing or malformed
// answers; of every checkpoint, and with heads gated.

import * as Plot from '@observablehq/plot';
import { failureModes, type FailureMode, type FailureRate } from '../../failures/summary.js';
import { formatPoints } from '../../format-number.js';
import type { EvaluationTable } from '../../evaluation/types.js';
import { withFactor } from '../../head-gate.js';
import type { BenchmarkAblationFile } from '../../study/stages/benchmark-ablation.js';
import { intervalCells, intervalColumns } from '../data-table.js';
import type { Figure } from '../figure.js';
import { colour } from '../palette.js';
import { finalCheckpoints, type RunData } from '../run-data.js';
import { dot, draw, withLegend, type Picture } from '../svg.js';
import { plansOf, rowName } from './benchmark-ablations.js';
import { namedFactors } from './change-plot.js';
import { benchmarksOf, formColumn, formsOf, overProblems, shown } from './benchmark-points.js';

const titles: Record<FailureMode, string> = {
  truncated: 'cut off',
  loop: 'loops',
  'false-arithmetic': 'false sums',
  lost: 'right, then lost',
  'no-answer': 'no answer',
  malformed: 'malformed',
};

/** One row of a picture: a checkpoint, or a set of heads in one. */
interface FailureRow {
  readonly y: string;
  readonly checkpoint: string;
  readonly form: string;
  readonly set: string;
  readonly isWhole: boolean;
  readonly modes: Record<FailureMode, FailureRate>;
}

interface Mark {
  readonly y: string;
  readonly mode: string;
  readonly rate: FailureRate;
  readonly look: 'whole' | 'changed' | 'unclear';
}

/** Failures that at least one answer of the rows has. */
const occurring = (rows: readonly FailureRow[]): FailureMode[] =>
  failureModes.filter((mode) => rows.some(({ modes }) => modes[mode].rate.estimate > 0));

/** The end of a caption: failures without a panel. */
function absentText(rows: readonly FailureRow[]): string {
  const seen = occurring(rows);
  const absent = failureModes.filter((mode) => !seen.includes(mode)).map((mode) => titles[mode]);
  return absent.length === 0 ? '' : ` In no answer: ${absent.join('; ')}.`;
}

function marksOf(rows: readonly FailureRow[], shownModes: readonly FailureMode[]): Mark[] {
  return rows.flatMap(({ y, modes, isWhole }) =>
    shownModes.map((mode): Mark => {
      const rate = modes[mode];
      const changed = rate.change && (rate.change.low > 0 || rate.change.high < 0);
      const look = isWhole ? 'whole' : changed ? 'changed' : 'unclear';
      return { y, mode: titles[mode], rate, look };
    }),
  );
}

const inks = { whole: colour('control'), changed: colour('emergent'), unclear: colour('emergent') };

/** A panel for every failure that occurs; none where no answer has any. */
function picture(rows: readonly FailureRow[]): Picture | undefined {
  const shownModes = occurring(rows);
  if (shownModes.length === 0) return undefined;
  const names = rows.map(({ y }) => y);
  const marks = marksOf(rows, shownModes);
  const marginLeft = Math.max(80, 14 + 6.1 * Math.max(...names.map((name) => name.length)));
  return draw({
    width: marginLeft + Math.max(280, shownModes.length * 112) + 24,
    height: 66 + 18 * rows.length,
    marginLeft,
    marginRight: 24,
    marginTop: 26,
    marginBottom: 34,
    fx: { domain: shownModes.map((mode) => titles[mode]), label: null, padding: 0.34 },
    x: { domain: [0, 100], ticks: [0, 50, 100], label: 'share of answers (%)', grid: true },
    y: { type: 'band', domain: names, label: null, tickSize: 0, padding: 0.2 },
    marks: [
      Plot.link(marks, {
        fx: 'mode',
        y1: 'y',
        y2: 'y',
        x1: ({ rate }: Mark) => 100 * rate.rate.low,
        x2: ({ rate }: Mark) => 100 * rate.rate.high,
        stroke: ({ look }: Mark) => inks[look],
        strokeOpacity: 0.7,
        strokeWidth: 2,
      }),
      Plot.dot(marks, {
        fx: 'mode',
        y: 'y',
        x: ({ rate }: Mark) => 100 * rate.rate.estimate,
        r: 3.6,
        fill: ({ look }: Mark) => (look === 'unclear' ? colour('page') : inks[look]),
        stroke: ({ look }: Mark) => inks[look],
        strokeWidth: 1.6,
        title: ({ y, mode, rate }: Mark) =>
          `${y}: ${mode} in ${shown(rate.rate)}` +
          (rate.change ? `; change ${formatPoints(rate.change.estimate)} points` : ''),
      }),
    ],
    color: { type: 'identity' },
  });
}

function tableOf(rows: readonly FailureRow[]): Figure['table'] {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      formColumn(rows),
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'failure', title: 'failure', kind: 'text' },
      ...intervalColumns('rate', 'share', 'percent', ['low', 'high']),
      ...intervalColumns('change', 'change (points)', 'points'),
    ],
    rows: rows.flatMap(({ checkpoint, form, set, modes }) =>
      failureModes.map((mode) => {
        const { rate, change } = modes[mode];
        return {
          checkpoint,
          form,
          set,
          failure: titles[mode],
          ...intervalCells('rate', rate, ['low', 'high']),
          ...intervalCells('change', change),
        };
      }),
    ),
  };
}

const captionOf = (data: RunData): string =>
  'Share of answers with each failure: cut off at the most tokens; n-gram loops; a sum “a op b = c” ' +
  'that is false; a right answer that was stated and then lost; no answer at all; an answer out of ' +
  `form. Intervals: ${overProblems(data)}.`;

/** Failures of the bases and of the last checkpoints. */
export function checkpointFailureFigures(data: RunData): Figure[] {
  return benchmarksOf(data).flatMap((benchmark) => {
    const files = data.benchmarks.filter((file) => file.benchmark === benchmark);
    const several = formsOf(files).length > 1;
    const rows = files.map(({ checkpoint, form, table }): FailureRow => ({
      y: several ? `${checkpoint} · ${form}` : checkpoint,
      checkpoint,
      form,
      set: 'none',
      isWhole: true,
      modes: table.rows[0].failures.modes,
    }));
    const ends = new Set([
      ...data.manifest.series.map(({ base }) => base),
      ...finalCheckpoints(data.manifest).map(({ name }) => name),
    ]);
    const drawn = rows.filter(({ checkpoint }) => ends.has(checkpoint));
    const drawing = picture(drawn);
    return [
      {
        id: `failures-${benchmark.replaceAll(' ', '-')}`,
        title: `How answers fail on ${benchmark}`,
        caption: `${captionOf(data)}${absentText(drawn)} Bases and the last checkpoints; the table has all.`,
        ...(drawing ? { picture: drawing } : {}),
        table: tableOf(rows),
      },
    ];
  });
}

function rowsOfTable(
  table: EvaluationTable,
  of: BenchmarkAblationFile,
  files: readonly BenchmarkAblationFile[],
): FailureRow[] {
  const beside = withFactor('', of.factor, namedFactors(files));
  return table.rows.map((row) => ({
    y:
      row.kind === 'unablated'
        ? `${of.checkpoint} · unablated${beside && ` (beside${beside})`}`
        : rowName(of, row.name, files),
    checkpoint: of.checkpoint,
    form: of.form,
    set: row.name,
    isWhole: row.kind === 'unablated',
    modes: row.failures.modes,
  }));
}

const gatedLegend = [
  { label: 'unablated', mark: dot(colour('control')) },
  { label: 'heads gated', mark: dot(colour('emergent')) },
  {
    label: 'no clear change',
    mark: dot('none', `stroke="${colour('emergent')}" stroke-width="1.6"`),
  },
];

/** Most rows of a picture; the table has all. */
const drawnRows = 60;

/** Failures with heads gated, one figure for each plan. */
export function gatedFailureFigures(data: RunData): Figure[] {
  return plansOf(data).flatMap(({ id, title, files }) => {
    const rows = files.flatMap((file) => (file.table ? rowsOfTable(file.table, file, files) : []));
    if (rows.length === 0) return [];
    const drawn = rows.slice(0, drawnRows);
    const drawing = picture(drawn);
    return [
      {
        id: `failures-${id}`,
        title: `How answers fail: ${title}`,
        caption:
          `${captionOf(data)}${absentText(drawn)} Open dots: the change against the unablated model has ` +
          'an interval that holds 0.',
        ...(drawing ? { picture: withLegend(drawing, gatedLegend) } : {}),
        table: tableOf(rows),
      },
    ];
  });
}
