// What few pairs can show: exact tests of n pairs never give a p-value below 2 / 2^n, and Holm's
// correction multiplies the smallest one by the number of rows.

import type { AblationRow, AblationSettings } from './types.js';
import { rounding, short } from './verdict.js';

type Settings = Pick<AblationSettings, 'pairs' | 'permutations' | 'confidence'>;
type TestedRow = Pick<AblationRow, 'factor' | 'permutation'>;

/** Up to so many pairs the permutation test looks at every pattern of signs. */
const mostExactPairs = 20;

const exactFloor = (pairs: number): number => 2 ** (1 - pairs);

/** Fewest pairs whose exact tests reach `level` after the correction over so many rows. */
function enoughPairs(rows: number, level: number): number {
  let pairs = 1;
  while (rows * exactFloor(pairs) > level) pairs++;
  return pairs;
}

/** What a table's tests never go below, and of what that is. Undefined where there is no such bound. */
function floorOf(
  { pairs, permutations }: Settings,
  tested: readonly TestedRow[],
): { floor: number; tests: string } | undefined {
  if (pairs <= mostExactPairs) {
    const noun = pairs === 1 ? 'pair' : 'pairs';
    const tests = `with ${pairs} ${noun} McNemar and permutation p-values`;
    return { floor: exactFloor(pairs), tests };
  }
  // Few pairs that differ are enumerated all the same.
  if (tested.some(({ permutation }) => permutation.exact)) return undefined;
  const tests = `with ${permutations} sign patterns drawn of ${pairs} pairs permutation p-values`;
  return { floor: 1 / (permutations + 1), tests };
}

/** A note where no row can reach 1 - confidence after Holm's correction, however large its effect. */
export function pairNotes(settings: Settings, rows: readonly TestedRow[]): string[] {
  const tested = rows.filter(({ factor }) => factor !== 1);
  const found = floorOf(settings, tested);
  const level = 1 - settings.confidence + rounding;
  if (!found || tested.length * found.floor <= level) return [];
  const { floor, tests } = found;
  const after = `${short(Math.min(1, tested.length * floor))} after Holm's over ${tested.length} rows`;
  const enough = enoughPairs(tested.length, level);
  const advice =
    settings.pairs < enough && enough <= mostExactPairs
      ? `use at least ${enough} pairs`
      : 'ablate fewer sets';
  return [
    `${tests} cannot be below ${short(floor)}${tested.length === 1 ? '' : ` (${after})`}; ` +
      `${advice} to reach ${short(1 - settings.confidence)}`,
  ];
}
