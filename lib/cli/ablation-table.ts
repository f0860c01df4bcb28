// An ablation table as a person reads it, with the rows' intervals and corrected p-values.

import { controlMatchTexts, type AblationRow, type AblationTable } from '../ablation/types.js';
import type { Context } from './context.js';
import {
  formatBounds,
  formatNumber,
  formatP,
  formatPercent,
  formatPoints,
  formatSigned,
  plural,
  type TableColumn,
} from './output.js';

const right = (title: string): TableColumn => ({ title, align: 'right' });

function rowOf(row: AblationRow, title: string, context: Context): string[] {
  const p = row.permutation.adjusted;
  return [
    title,
    formatNumber(row.metric),
    formatSigned(row.change.estimate),
    formatBounds(row.change),
    p < 0.05 ? context.paint('green', formatP(p)) : formatP(p),
    formatP(row.permutation.qValue),
    formatPercent(row.accuracy),
    formatPoints(row.accuracyChange.estimate),
    `${row.lost}/${row.gained}`,
    formatP(row.mcnemar.adjusted),
  ];
}

function controlRow(row: AblationRow): string[] {
  const { controls } = row;
  if (!controls) return [];
  return [
    row.name,
    String(controls.sets),
    formatSigned(row.change.estimate),
    formatSigned(controls.change.mean),
    formatBounds({ low: controls.change.min, high: controls.change.max }),
    formatSigned(controls.difference.estimate),
    formatBounds(controls.difference),
    formatP(controls.rankPValue),
    formatP(controls.rankAdjusted),
    formatPoints(controls.accuracyDifference.estimate),
  ];
}

/** The name of a row; in a cumulative plan with the head that it adds to the set before. */
function titleOf(row: AblationRow, above: readonly AblationRow[]): string {
  if (row.kind !== 'top-k') return row.name;
  const before = above.filter(({ factor }) => factor === row.factor).at(-1);
  const added = row.heads.filter((head) => !before?.heads.includes(head));
  return `${row.name} (${before ? '+' : ''}${added.join(' ')})`;
}

/** Sets that are printed in the order of their plan; of more, as of single heads, the worst ones. */
const mostInOrder = 50;

/** Rows of single heads and of many sets are printed most harmful first, at most `top` of them. */
function shownRows({ settings, variants }: AblationTable, top: number): AblationRow[] {
  const isLong = settings.plan === 'sets' && variants.length > mostInOrder;
  if (settings.plan !== 'single' && !isLong) return variants;
  const sign = settings.worse === 'lower' ? 1 : -1;
  return [...variants].sort((a, b) => sign * (a.change.estimate - b.change.estimate)).slice(0, top);
}

/** All notes but those of rows that are not printed. */
function shownNotes({ variants, notes }: AblationTable, rows: readonly AblationRow[]): string[] {
  const hidden = new Set(variants.map(({ name }) => name));
  for (const { name } of rows) hidden.delete(name);
  const isHidden = (note: string): boolean => {
    for (let end = note.indexOf(': '); end >= 0; end = note.indexOf(': ', end + 1)) {
      if (hidden.has(note.slice(0, end))) return true;
    }
    return false;
  };
  return notes.filter((note) => !isHidden(note));
}

/** Prints the table, the comparison with controls, and the notes. */
export function printAblation(table: AblationTable, context: Context, top: number): void {
  const { settings, baseline } = table;
  const level = formatPercent(settings.confidence, 0);
  context.print(
    `  unablated: ${settings.metric} ${formatNumber(baseline.metric)}, ` +
      `accuracy ${formatPercent(baseline.accuracy)} on ${plural(settings.pairs, 'pair')}`,
  );
  const rows = shownRows(table, top);
  context.heading(
    `Against the unablated model (${level} intervals; p after Holm's correction, q of Benjamini and Hochberg)`,
  );
  context.table(
    [
      { title: 'ablated' },
      right(settings.metric),
      right('change'),
      { title: 'interval' },
      right('p'),
      right('q'),
      right('accuracy'),
      right('points'),
      right('lost/gained'),
      right('McNemar p'),
    ],
    rows.map((row, index) => rowOf(row, titleOf(row, rows.slice(0, index)), context)),
  );
  if (rows.length < table.variants.length) {
    context.print(
      `  … and ${table.variants.length - rows.length} more (--top, or --out and --csv)`,
    );
  }
  const compared = rows.filter((row) => row.controls);
  if (compared.length > 0) {
    context.heading(`Against matched random sets (${controlMatchTexts[settings.match]})`);
    context.table(
      [
        { title: 'ablated' },
        right('sets'),
        right('change'),
        right('random mean'),
        { title: 'min, max' },
        right('difference'),
        { title: 'interval' },
        right('rank p'),
        right('Holm'),
        right('points'),
      ],
      compared.map(controlRow),
    );
  }
  const notes = shownNotes(table, rows);
  if (notes.length > 0) context.print();
  for (const note of notes) context.print(`  - ${note}`);
}
