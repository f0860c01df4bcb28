// Columns of a test: the p-value by itself, corrected by Holm, and as a q-value. Readers see Holm's.

import { correctedOver, type Corrected } from '../ablation/corrected-rows.js';
import type { Cell, Column } from './data-table.js';

/** A p-value and what it is among those that it is corrected with. */
export interface CorrectedTest extends Corrected {
  readonly pValue: number;
}

/** `mcnemar_p`, `mcnemar_p_holm` and `mcnemar_q`, as in the tables of the commands. */
export function testColumns(
  key: string,
  title: string,
  { showsQ = false, fileOnly = false }: { showsQ?: boolean; fileOnly?: boolean } = {},
): Column[] {
  const column = (end: string, words: string, isShown: boolean): Column => ({
    key: `${key}_${end}`,
    title: `${title} ${words}`,
    kind: 'p-value',
    ...(isShown && !fileOnly ? {} : { fileOnly: true }),
  });
  return [column('p', 'p', false), column('p_holm', 'p (Holm)', true), column('q', 'q', showsQ)];
}

/** The cells of such columns; missing where nothing was tested. */
export const testCells = (key: string, test: CorrectedTest | undefined): Record<string, Cell> => ({
  [`${key}_p`]: test?.pValue ?? null,
  [`${key}_p_holm`]: test?.adjusted ?? null,
  [`${key}_q`]: test?.qValue ?? null,
});

interface GatedRow {
  readonly checkpoint: string;
  readonly factor: number;
}

/**
 * One kind of test, corrected over all rows that a figure has of a checkpoint. The tables of a run
 * cannot do that: a plan with several factors has one for each.
 */
export function correctedByCheckpoint<Row extends GatedRow>(
  rows: readonly Row[],
  pValueOf: (row: Row) => number | undefined,
): (row: Row) => CorrectedTest | undefined {
  const names = [...new Set(rows.map(({ checkpoint }) => checkpoint))];
  const corrections = new Map(
    names.map((name) => {
      const own = rows.filter(({ checkpoint }) => checkpoint === name);
      return [name, correctedOver(own, pValueOf)] as const;
    }),
  );
  return (row) => {
    const pValue = pValueOf(row);
    return pValue === undefined ? undefined : { pValue, ...corrections.get(row.checkpoint)!(row) };
  };
}
