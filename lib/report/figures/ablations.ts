// Heads ablated and scaled: the change that every set makes beside that of its matched random sets.

import { controlMatchTexts } from '../../ablation/types.js';
import type { AblationStageFile } from '../../study/stages/ablation.js';
import { pValue } from '../data-table.js';
import type { Figure } from '../figure.js';
import type { RunData, View } from '../run-data.js';
import { changePicture, type ChangeRow } from './change-plot.js';

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
      { key: 'factor', title: 'factor', kind: 'number' },
      { key: 'change', title: `change of ${metric}`, kind: 'number' },
      { key: 'low', title: 'low', kind: 'number' },
      { key: 'high', title: 'high', kind: 'number' },
      { key: 'accuracy_change', title: 'change of right answers', kind: 'percent' },
      { key: 'mcnemar', title: 'McNemar p (Holm)', kind: 'p-value' },
      { key: 'controls', title: 'random sets', kind: 'number' },
      { key: 'control_mean', title: 'their mean', kind: 'number' },
      { key: 'difference_low', title: 'difference, low', kind: 'number' },
      { key: 'difference_high', title: 'high', kind: 'number' },
      { key: 'rank', title: 'rank p (Holm)', kind: 'p-value' },
    ],
    rows: rows.map(({ checkpoint, set, file, row }) => ({
      checkpoint,
      set,
      members: row.heads.join(' '),
      factor: file.factor,
      change: row.change.estimate,
      low: row.change.low,
      high: row.change.high,
      accuracy_change: row.accuracyChange.estimate,
      mcnemar: row.mcnemar.adjusted,
      controls: row.controls?.sets ?? 0,
      control_mean: row.controls?.change.mean ?? null,
      difference_low: row.controls?.difference.low ?? null,
      difference_high: row.controls?.difference.high ?? null,
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
