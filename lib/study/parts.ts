// The parts that one computation is cut into, for several machines: the problems of a benchmark, the
// variants of an ablation. What is in a part its stage knows.

import type { Shard } from '../shard.js';

/** One for every part; null for a computation in one piece. */
export function partsOf(count: number): (Shard | null)[] {
  if (count === 1) return [null];
  return Array.from({ length: count }, (_, index) => ({ index: index + 1, count }));
}

/** `1/4` */
export const partName = (part: Shard | null): string | null =>
  part && `${part.index}/${part.count}`;

/** The id of the stage that computes a part of what is called so. */
export const partId = (name: string, part: Shard | null): string =>
  name + (part ? `.${part.index}-of-${part.count}` : '');

/** The ids of all parts, in order. */
export const partIds = (name: string, count: number): string[] =>
  partsOf(count).map((part) => partId(name, part));
