// One kind of test over the rows of a table of gated heads, corrected for their number.

import { benjaminiHochberg, holmAdjust } from '../stats/several-tests.js';

/** What a p-value is among those of the other rows. */
export interface Corrected {
  /** After Holm's correction. */
  readonly adjusted: number;
  /** Benjamini and Hochberg's q-value. */
  readonly qValue: number;
}

/** A comparison with random sets whose rank is corrected. */
export const withRank = <Comparison>(
  comparison: Comparison,
  { adjusted, qValue }: Corrected,
): Comparison & { rankAdjusted: number; rankQValue: number } => ({
  ...comparison,
  rankAdjusted: adjusted,
  rankQValue: qValue,
});

/**
 * The corrected p-value of each row that has one. Heads at factor 1 change nothing, so they are no
 * hypothesis: they keep their own p-value and take nothing from the others.
 */
export function correctedOver<Row extends { readonly factor: number }>(
  rows: readonly Row[],
  pValueOf: (row: Row) => number | undefined,
): (row: Row) => Corrected {
  const tested = rows.filter((row) => row.factor !== 1 && pValueOf(row) !== undefined);
  const values = tested.map((row) => pValueOf(row)!);
  const [adjusted, qValues] = [holmAdjust(values), benjaminiHochberg(values)];
  const corrected = new Map(
    tested.map((row, index) => [row, { adjusted: adjusted[index], qValue: qValues[index] }]),
  );
  return (row) => {
    const own = pValueOf(row)!;
    return corrected.get(row) ?? { adjusted: own, qValue: own };
  };
}
