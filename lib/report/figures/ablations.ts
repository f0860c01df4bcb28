// Heads ablated and scaled: the change that every set makes beside that of its matched random sets.

import { pairNotes } from '../../ablation/pair-notes.js';
import { controlMatchTexts } from '../../ablation/types.js';
import { formatFixed, plural } from '../../format-number.js';
import { withFactor } from '../../head-gate.js';
import type { AblationStageFile } from '../../study/stages/ablation.js';
import { intervalCells, intervalColumns, pValue, type Column } from '../data-table.js';
import type { Figure } from '../figure.js';
import { pagePart } from '../page-rows.js';
import { confidenceText, type RunData, type View } from '../run-data.js';
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
import { singleCaption, singlePanels, singlePicture } from './single-heads.js';

/** More rows than this are in the table only. */
const drawnRows = 60;

interface Row {
  readonly y: string;
  readonly checkpoint: string;
  readonly factor: number;
  readonly set: string;
  readonly file: AblationStageFile;
  readonly row: NonNullable<AblationStageFile['table']>['variants'][number];
}

function rowsOf(files: readonly AblationStageFile[]): Row[] {
  const factors = namedFactors(files);
  return files.flatMap((file) =>
    (file.table?.variants ?? []).map((row) => ({
      y: `${file.checkpoint} · ${withFactor(row.name, file.factor, factors)}`,
      checkpoint: file.checkpoint,
      factor: file.factor,
      set: row.name,
      file,
      row,
    })),
  );
}

type Tests = ReturnType<typeof testsOf>;

/** Each kind of test over the rows of a checkpoint, whatever their factor. */
const testsOf = (rows: readonly Row[]) => ({
  permutation: correctedByCheckpoint(rows, ({ row }) => row.permutation.pValue),
  mcnemar: correctedByCheckpoint(rows, ({ row }) => row.mcnemar.pValue),
  rank: correctedByCheckpoint(rows, ({ row }) => row.controls?.rankPValue),
});

const three = (value: number): string => formatFixed(value, 3);

/** A row as the picture has it. */
function changeOf(drawn: Row, { metric, tests }: Pick<Plan, 'metric' | 'tests'>): ChangeRow {
  const { y, file, set, row } = drawn;
  const { estimate, low, high } = row.change;
  const interval = Number.isFinite(low) ? ` [${three(low)}, ${three(high)}]` : '';
  return {
    y,
    estimate,
    low,
    high,
    text:
      `${y}: ${metric} changes by ${three(estimate)}${interval}` +
      (row.controls
        ? `; random sets ${three(row.controls.change.mean)}, rank p = ${pValue(tests.rank(drawn)!.adjusted)} (Holm)`
        : ''),
    controls: file
      .table!.controls.filter((control) => control.of === set)
      .map(({ change, name, heads }) => ({
        y,
        change,
        text: `${name} (${heads.join(' ')}): ${three(change)}`,
      })),
  };
}

const controlColumns: readonly Column[] = [
  { key: 'controls', title: 'random sets', kind: 'number' },
  { key: 'control_mean', title: 'their mean', kind: 'number' },
  ...intervalColumns('difference', 'difference', 'number'),
  ...testColumns('rank', 'rank'),
];

const fileOnly = (isIt: boolean | undefined): { fileOnly?: true } =>
  isIt ? { fileOnly: true } : {};

function tableOf({ rows, metric, tests }: Plan): Figure['table'] {
  const isNamedByHeads = rows.every(
    ({ row }) => row.name.replaceAll(',', ' ') === row.heads.join(' '),
  );
  const hasControls = rows.some(({ row }) => row.controls);
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text', ...fileOnly(isNamedByHeads) },
      factorColumn(rows.map(({ file }) => file.factor)),
      ...intervalColumns('change', `change of ${metric}`, 'number', ['low', 'high']),
      ...testColumns('permutation', 'its', { showsQ: true }),
      ...controlColumns.map((column) => ({
        ...column,
        ...fileOnly(!hasControls || column.fileOnly),
      })),
      ...intervalColumns('accuracy_change', 'right answers (points)', 'points'),
      ...testColumns('mcnemar', 'McNemar'),
      ...gatingColumns(['pairs']),
    ],
    rows: rows.map((row) => cellsOf(row, tests)),
  };
}

function cellsOf(one: Row, tests: Tests): Figure['table']['rows'][number] {
  const { checkpoint, set, factor, file, row } = one;
  const { ablation, pairs, confidence } = file.table!.settings;
  return {
    checkpoint,
    set,
    members: row.heads.join(' '),
    factor,
    ...intervalCells('change', row.change, ['low', 'high']),
    ...testCells('permutation', tests.permutation(one)),
    ...intervalCells('accuracy_change', row.accuracyChange),
    ...testCells('mcnemar', tests.mcnemar(one)),
    controls: row.controls?.sets ?? 0,
    control_mean: row.controls?.change.mean ?? null,
    ...intervalCells('difference', row.controls?.difference),
    ...testCells('rank', tests.rank(one)),
    ablation,
    pairs,
    confidence,
  };
}

const strongestFirst = (rows: Figure['table']['rows']): Figure['table']['rows'] =>
  [...rows].sort((a, b) => Math.abs(Number(b['change'])) - Math.abs(Number(a['change'])));

/** What limits the tables, each remark once. */
function notesOf({ files, rows }: Plan): string[] {
  const tables = files.flatMap(({ checkpoint, factor, table }) => {
    if (!table) return [];
    // After a correction over all factors few pairs leave less than the table of one says.
    const few = new Set(pairNotes(table.settings, table.variants));
    return [{ checkpoint, factor, remarks: table.notes.filter((note) => !few.has(note)) }];
  });
  const whole = remarksByCheckpoint(rows, (own) => {
    const tested = own.map(({ row }) => row);
    const few = pairNotes(own[0].file.table!.settings, tested);
    return [...few, ...leastRankTexts([tested])];
  });
  return [...headlessRemarks(files), ...remarksOf(tables), ...remarksOf(whole)];
}

/** What the p-values of the table are. */
const testsText =
  'p-values: a paired permutation test of the metric, McNemar’s of right answers, the rank among ' +
  'random sets, each corrected by Holm over all rows of a checkpoint; those in the notes are not.';

type Drawn = Pick<Figure, 'caption' | 'picture'>;

/** The results of one plan in a view. */
interface Plan {
  readonly files: readonly AblationStageFile[];
  readonly rows: readonly Row[];
  readonly tests: Tests;
  readonly metric: string;
  /** Of the intervals, as a text. */
  readonly confidence: string;
}

type Settings = NonNullable<AblationStageFile['table']>['settings'];

/** Settings that all files of a plan share; undefined where no checkpoint has such heads. */
const settingsOf = (files: readonly AblationStageFile[]): Settings | undefined =>
  files.find(({ table }) => table)?.table?.settings;

const gatedText = (files: readonly AblationStageFile[], { ablation }: Settings): string =>
  gatingText(
    ablation,
    files.map(({ factor }) => factor),
    'pairs',
  );

function setsFigure(plan: Plan, settings: Settings | undefined): Drawn {
  const { files, rows, confidence } = plan;
  if (!settings) return { caption: '' };
  const drawn = rows.slice(0, drawnRows);
  const more = rows.length > drawn.length ? ` The first ${drawn.length} rows are drawn.` : '';
  return {
    caption:
      `Change of the mean metric over ${plural(settings.pairs, 'pair')} when the heads are gated, ` +
      `with ${confidence} bootstrap intervals; open dots have intervals that hold 0. ` +
      `${gatedText(files, settings)} Ticks: random sets (${controlMatchTexts[settings.match]}).` +
      `${more} ${testsText}`,
    picture: changePicture(
      drawn.map((row) => changeOf(row, plan)),
      { label: `change of ${plan.metric}` },
    ),
  };
}

function singlesFigure({ manifest }: RunData, plan: Plan, settings: Settings): Drawn {
  const panels = singlePanels(plan.files, manifest.checkpoints);
  const caption = singleCaption(panels, { ...plan, pairs: settings.pairs });
  return {
    caption: `${caption} ${gatedText(plan.files, settings)}`,
    picture: singlePicture(panels),
  };
}

/** One figure for each plan of a view. */
export function ablationFigures(data: RunData, view: View): Figure[] {
  const own = data.ablations.filter(({ task, form }) => task === view.task && form === view.form);
  const names = [...new Set(own.map(({ name }) => name))];
  return names.map((name) => {
    const files = own.filter((file) => file.name === name);
    const rows = rowsOf(files);
    const settings = settingsOf(files);
    const metric = settings?.metric ?? 'metric';
    const confidence = confidenceText(data.manifest);
    const plan: Plan = { files, rows, tests: testsOf(rows), metric, confidence };
    const isSingle = settings?.plan === 'single';
    const table = tableOf(plan);
    const { note, shown } = pagePart(table, strongestFirst(table.rows), 'of the largest changes');
    const { caption, ...drawn } = isSingle
      ? singlesFigure(data, plan, settings)
      : setsFigure(plan, settings);
    return {
      id: `ablation-${name.replaceAll(' ', '-')}-${view.slug}`,
      title: `Ablation plan “${name}”: ${view.title}`,
      caption: caption + note,
      notes: notesOf(plan),
      ...drawn,
      // Hundreds of single heads are what the map is for.
      tableFirst: !isSingle,
      table,
      ...shown,
    };
  });
}
