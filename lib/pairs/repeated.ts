// What is said of pairs that repeat others: intervals and p-values take pairs for independent draws.
import { repeatedPairs } from '../pairs.js';
import type { TokenizedPair } from './types.js';

/** One sentence; undefined where no pair repeats another. */
export function repeatedPairsRemark(pairs: readonly TokenizedPair[]): string | undefined {
  const repeated = repeatedPairs(pairs);
  if (repeated.length === 0) return undefined;
  return (
    `${repeated.length} of ${pairs.length} pairs repeat an earlier one (the first on line ` +
    `${repeated[0].line}): intervals and p-values count them as new ones.`
  );
}
