// Pairs whose corrupted prompt is the clean one. Nothing is corrupted, so no edge gets a score.
import { HeadsparkError } from '../errors.js';
import type { TokenizedPair } from './types.js';

export const hasSamePrompts = ({ clean, corrupted }: TokenizedPair): boolean =>
  clean.length === corrupted.length && clean.every((id, place) => id === corrupted[place]);

/** @throws ERR_HEADSPARK_PAIR_FORMAT naming the first line where all pairs are such. */
export function checkCorrupted(pairs: readonly TokenizedPair[]): void {
  const same = pairs.filter(hasSamePrompts);
  if (same.length === 0 || same.length < pairs.length) return;
  const which = same.length === 1 ? '' : ` (and those of all ${same.length} pairs)`;
  throw new HeadsparkError(
    'ERR_HEADSPARK_PAIR_FORMAT',
    `the clean and the corrupted prompt of line ${same[0].line}${which} are the same, so that no ` +
      'edge has a score; corrupt what the answer depends on.',
  );
}
