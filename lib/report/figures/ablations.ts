// Heads ablated and scaled: the change that every set makes beside that of its matched random sets.

import { controlMatchTexts } from '../../ablation/types.js';
import type { AblationStageFile } from '../../study/stages/ablation.js';
import { intervalCells, intervalColumns, pValue } from '../data-table.js';
import type { Figure } from '../figure.js';
import type { RunData, View } from '../run-data.js';
import { changePicture, factorColumn, type ChangeRow } from './change-plot.js';

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
  return files.flatMap((file) =>
    (file.table?.variants ?? []).map((row) => ({
      y: `${file.checkpoint} · ${row.name}${file.factor === 0 ? '' : ` × ${file.factor}`}`,
      checkpoint: file.checkpoint,
      set: row.name,
      file,
      row,
    })),
  );
}

/** A row as the picture has it. */
function changeOf({ y, file, set, row }: Row, metric: string): ChangeRow {
  const { estimate, low, high } = row.change;
  return {
    y,
    estimate,
    low,
    high,
    text:
      `${y}: ${metric} changes by ${estimate.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]` +
      (row.controls
        ? `; random sets ${row.controls.change.mean.toFixed(3)}, rank p = ${pValue(row.controls.rankPValue)}`
        : ''),
    controls: file
      .table!.controls.filter((control) => control.of === set)
      .map(({ change, name, heads }) => ({
        y,
        change,
        text: `${name} (${heads.join(' ')}): ${change.toFixed(3)}`,
      })),
  };
}

function tableOf(rows: readonly Row[], metric: string): Figure['table'] {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text' },
      factorColumn(rows.map(({ file }) => file.factor)),
      ...intervalColumns('change', `change of ${metric}`, 'number', ['low', 'high']),
      ...intervalColumns('accuracy_change', 'right answers (points)', 'points'),
      { key: 'mcnemar', title: 'McNemar p (Holm)', kind: 'p-value' },
      { key: 'controls', title: 'random sets', kind: 'number' },
      { key: 'control_mean', title: 'their mean', kind: 'number' },
      ...intervalColumns('difference', 'difference', 'number'),
      { key: 'rank', title: 'rank p (Holm)', kind: 'p-value' },
    ],
    rows: rows.map(({ checkpoint, set, file, row }) => ({
      checkpoint,
      set,
      members: row.heads.join(' '),
      factor: file.factor,
      ...intervalCells('change', row.change, ['low', 'high']),
      ...intervalCells('accuracy_change', row.accuracyChange),
      mcnemar: row.mcnemar.adjusted,
      controls: row.controls?.sets ?? 0,
      control_mean: row.controls?.change.mean ?? null,
      ...intervalCells('difference', row.controls?.difference),
      rank: row.controls?.rankAdjusted ?? null,
    })),
  };
}

/** Verdicts and remarks of the tables, each once. */
const notesOf = (files: readonly AblationStageFile[]): string[] => [
  ...files
    .filter(({ table }) => table === null)
    .map(({ checkpoint }) => `${checkpoint} has no such heads`),
  ...new Set(
    files
      .flatMap(({ table }) => table?.notes ?? [])
      .filter((note) => /bias|cannot be below|share/.test(note)),
  ),
];

/** One figure for each plan of a view. */
export function ablationFigures(data: RunData, view: View): Figure[] {
  const own = data.ablations.filter(({ task, form }) => task === view.task && form === view.form);
  const names = [...new Set(own.map(({ name }) => name))];
  return names.map((name) => {
    const files = own.filter((file) => file.name === name);
    const rows = rowsOf(files);
    const settings = files.find(({ table }) => table)?.table?.settings;
    const metric = settings?.metric ?? 'metric';
    const notes = notesOf(files);
    const drawn = rows.slice(0, drawnRows);
    return {
      id: `ablation-${name.replaceAll(' ', '-')}-${view.slug}`,
      title: `Ablation plan “${name}”: ${view.title}`,
      caption:
        'Change of the mean metric when the heads are gated, with bootstrap intervals over pairs; ' +
        `open dots have intervals that hold 0. Ticks: random sets ` +
        `(${controlMatchTexts[settings?.match ?? 'layer']}).` +
        (notes.length === 0 ? '' : ` Notes: ${notes.join('; ')}.`),
      ...(drawn.length === 0
        ? {}
        : {
            picture: changePicture(
              drawn.map((row) => changeOf(row, metric)),
              { label: `change of ${metric}` },
            ),
          }),
      tableFirst: true,
      table: tableOf(rows, metric),
    };
  });
}
