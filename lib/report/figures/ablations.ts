// Heads ablated and scaled: the change that every set makes beside that of its matched random sets.

import { controlMatchTexts } from '../../ablation/types.js';
import { formatFixed } from '../../format-number.js';
import { withFactor } from '../../head-gate.js';
import type { AblationStageFile } from '../../study/stages/ablation.js';
import { intervalCells, intervalColumns, pValue, type Column } from '../data-table.js';
import type { Figure } from '../figure.js';
import { pagePart } from '../page-rows.js';
import type { RunData, View } from '../run-data.js';
import {
  changePicture,
  factorColumn,
  leastRankTexts,
  namedFactors,
  type ChangeRow,
} from './change-plot.js';
import { singleCaption, singlePanels, singlePicture } from './single-heads.js';

/** More rows than this are in the table only. */
const drawnRows = 60;

interface Row {
  readonly y: string;
  readonly checkpoint: string;
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
      set: row.name,
      file,
      row,
    })),
  );
}

const three = (value: number): string => formatFixed(value, 3);

/** A row as the picture has it. */
function changeOf({ y, file, set, row }: Row, metric: string): ChangeRow {
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
        ? `; random sets ${three(row.controls.change.mean)}, rank p = ${pValue(row.controls.rankPValue)}`
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
  { key: 'rank', title: 'rank p (Holm)', kind: 'p-value' },
];

const fileOnly = (isIt: boolean | undefined): { fileOnly?: true } =>
  isIt ? { fileOnly: true } : {};

function tableOf(rows: readonly Row[], metric: string): Figure['table'] {
  const isNamedByHead = rows.every(({ row }) => row.name === row.heads.join(' '));
  const hasControls = rows.some(({ row }) => row.controls);
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text', ...fileOnly(isNamedByHead) },
      factorColumn(rows.map(({ file }) => file.factor)),
      ...intervalColumns('change', `change of ${metric}`, 'number', ['low', 'high']),
      { key: 'permutation', title: 'its p (Holm)', kind: 'p-value' },
      { key: 'permutation_q', title: 'its q', kind: 'p-value' },
      ...controlColumns.map((column) => ({
        ...column,
        ...fileOnly(!hasControls || column.fileOnly),
      })),
      ...intervalColumns('accuracy_change', 'right answers (points)', 'points'),
      { key: 'mcnemar', title: 'McNemar p (Holm)', kind: 'p-value' },
      { key: 'mcnemar_q', title: 'McNemar q', kind: 'p-value', fileOnly: true },
    ],
    rows: rows.map(({ checkpoint, set, file, row }) => ({
      checkpoint,
      set,
      members: row.heads.join(' '),
      factor: file.factor,
      ...intervalCells('change', row.change, ['low', 'high']),
      permutation: row.permutation.adjusted,
      permutation_q: row.permutation.qValue,
      ...intervalCells('accuracy_change', row.accuracyChange),
      mcnemar: row.mcnemar.adjusted,
      mcnemar_q: row.mcnemar.qValue,
      controls: row.controls?.sets ?? 0,
      control_mean: row.controls?.change.mean ?? null,
      ...intervalCells('difference', row.controls?.difference),
      rank: row.controls?.rankAdjusted ?? null,
    })),
  };
}

const strongestFirst = (rows: Figure['table']['rows']): Figure['table']['rows'] =>
  [...rows].sort((a, b) => Math.abs(Number(b['change'])) - Math.abs(Number(a['change'])));

/** What limits the tables, each remark once. */
const notesOf = (files: readonly AblationStageFile[]): string[] => [
  ...files
    .filter(({ table }) => table === null)
    .map(({ checkpoint }) => `${checkpoint} has no such heads`),
  ...new Set(
    files
      .flatMap(({ table }) => table?.notes ?? [])
      .filter((note) => /bias|kl is 0|cannot be below|share/.test(note)),
  ),
];

/** What the p-values of the table are. */
const testsText =
  'p-values: a paired permutation test of the metric, McNemar’s of right answers, the rank among ' +
  'random sets, each corrected by Holm over the sets of a checkpoint.';

function setsFigure(files: readonly AblationStageFile[], rows: readonly Row[]): Drawn {
  const settings = files.find(({ table }) => table)?.table?.settings;
  const metric = settings?.metric ?? 'metric';
  const drawn = rows.slice(0, drawnRows);
  const more = rows.length > drawn.length ? ` The first ${drawn.length} rows are drawn.` : '';
  return {
    caption:
      'Change of the mean metric when the heads are gated, with bootstrap intervals over pairs; ' +
      `open dots have intervals that hold 0. Ticks: random sets ` +
      `(${controlMatchTexts[settings?.match ?? 'layer']}).${more} ${testsText}`,
    ...(drawn.length === 0
      ? {}
      : {
          picture: changePicture(
            drawn.map((row) => changeOf(row, metric)),
            { label: `change of ${metric}` },
          ),
        }),
  };
}

type Drawn = Pick<Figure, 'caption' | 'picture'>;

function singlesFigure(
  { manifest }: RunData,
  files: readonly AblationStageFile[],
  metric: string,
): Drawn {
  const panels = singlePanels(files, manifest.checkpoints);
  return { caption: singleCaption(panels, metric), picture: singlePicture(panels) };
}

/** One figure for each plan of a view. */
export function ablationFigures(data: RunData, view: View): Figure[] {
  const own = data.ablations.filter(({ task, form }) => task === view.task && form === view.form);
  const names = [...new Set(own.map(({ name }) => name))];
  return names.map((name) => {
    const files = own.filter((file) => file.name === name);
    const rows = rowsOf(files);
    const settings = files.find(({ table }) => table)?.table?.settings;
    const metric = settings?.metric ?? 'metric';
    const notes = [...notesOf(files), ...leastRankTexts(files.map(({ table }) => table?.variants))];
    const isSingle = settings?.plan === 'single';
    const table = tableOf(rows, metric);
    const { note, shown } = pagePart(table, strongestFirst(table.rows), 'of the largest changes');
    const { caption, ...drawn } = isSingle
      ? singlesFigure(data, files, metric)
      : setsFigure(files, rows);
    return {
      id: `ablation-${name.replaceAll(' ', '-')}-${view.slug}`,
      title: `Ablation plan “${name}”: ${view.title}`,
      caption: caption + (notes.length === 0 ? '' : ` Notes: ${notes.join('; ')}.`) + note,
      ...drawn,
      // Hundreds of single heads are what the map is for.
      tableFirst: !isSingle,
      table,
      ...shown,
    };
  });
}
