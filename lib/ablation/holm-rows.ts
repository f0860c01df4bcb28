// Holm's correction of one kind of test over the rows of a table of gated heads.

import { holmAdjust } from '../stats/proportion.js';

/**
 * The adjusted p-value of each row that has one. Heads at factor 1 change nothing, so they are no
 * hypothesis: they keep their own p-value and take nothing from the others.
 */
export function adjustedOver<Row extends { readonly factor: number }>(
  rows: readonly Row[],
  pValueOf: (row: Row) => number | undefined,
): (row: Row) => number {
  const tested = rows.filter((row) => row.factor !== 1 && pValueOf(row) !== undefined);
  const values = holmAdjust(tested.map((row) => pValueOf(row)!));
  const adjusted = new Map(tested.map((row, index) => [row, values[index]]));
  return (row) => adjusted.get(row) ?? pValueOf(row)!;
}
