// A name in a study file that refers to nothing.

import { nearest } from '../nearest-word.js';
import type { Problem, ValuePath } from './source.js';

/** The problem with a name that is not among the known ones; none where it is. */
export function unknownName(
  what: string,
  name: string,
  place: { known: readonly string[]; path: ValuePath; atKey?: true },
): Problem[] {
  const { known, path, atKey } = place;
  if (known.includes(name)) return [];
  const near = nearest(name, known);
  const advice = near === undefined ? `there are ${known.join(', ')}` : `did you mean "${near}"`;
  return [
    { path, ...(atKey ? { atKey } : {}), message: `there is no ${what} "${name}"; ${advice}` },
  ];
}
