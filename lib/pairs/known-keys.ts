// The keys of a pairs line. Unknown keys are ignored, except those that look like a misspelling of
// a known one: silently ignoring "incorect" would change what is measured.
import { pairError } from './pair-error.js';
import type { PairPlace, RawPair } from './types.js';

/** Keys that decide what a pair is; those that end in `text` only describe it. */
export const pairKeys = [
  'clean',
  'corrupted',
  'correct',
  'incorrect',
  'continuation',
  'messages',
  'corrupted_messages',
  'opening',
  'corrupted_opening',
  'enable_thinking',
] as const;

const textKeys = [
  'text',
  'corrupted_text',
  'correct_text',
  'incorrect_text',
  'continuation_text',
] as const;

const knownKeys: ReadonlySet<string> = new Set([...pairKeys, ...textKeys]);

/** Edits (insert, delete, replace, swap of neighbours) between two words. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, beforeLast[j - 2] + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length];
}

/** Throws PAIR_FORMAT for a key that is one slip (two in a long key) from a known one. */
export function checkKeys(raw: RawPair, place: PairPlace): void {
  for (const key of Object.keys(raw)) {
    if (knownKeys.has(key) || key.length > 40) continue;
    const word = key.toLowerCase().replaceAll('-', '_');
    const near = pairKeys.find(
      (known) => editDistance(word, known) <= (Math.min(word.length, known.length) > 6 ? 2 : 1),
    );
    if (near) throw pairError(place, `unknown key "${key}": did you mean "${near}"?`);
  }
}
