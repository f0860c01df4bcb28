// Random numbers that are drawn once and read by many statistics: the rows of a table are resampled
// by the same seed, so that they would draw the same numbers one after the other.

import { Random } from './random.js';

/** Of all that is kept. */
const MOST_BYTES = 1 << 26;
/** By what was asked for, the oldest first. */
const kept = new Map<string, Uint32Array>();

const sizeOf = (length: number): number => length * Uint32Array.BYTES_PER_ELEMENT;

/** Writes the next numbers of a stream. */
export type Fill = (numbers: Uint32Array) => void;

function drawInto(numbers: Uint32Array, draw: () => number): void {
  for (let index = 0; index < numbers.length; index++) numbers[index] = draw();
}

function keep(key: string, drawn: Uint32Array): void {
  kept.delete(key);
  kept.set(key, drawn);
  let bytes = [...kept.values()].reduce((sum, numbers) => sum + sizeOf(numbers.length), 0);
  for (const [oldest, numbers] of kept) {
    if (bytes <= MOST_BYTES) break;
    bytes -= sizeOf(numbers.length);
    kept.delete(oldest);
  }
}

/** `length` numbers of `draw`, kept under `key` unless they are too many. */
function shared(key: string, length: number, draw: () => number): Fill {
  if (sizeOf(length) > MOST_BYTES) {
    return (numbers) => {
      drawInto(numbers, draw);
    };
  }
  let drawn = kept.get(key);
  if (!drawn) {
    drawn = new Uint32Array(length);
    drawInto(drawn, draw);
  }
  keep(key, drawn);
  const all = drawn;
  let next = 0;
  return (numbers) => {
    numbers.set(all.subarray(next, next + numbers.length));
    next += numbers.length;
  };
}

/** Whole numbers in [0, limit) of `new Random(seed)`, `length` in all. */
export function sharedIndexes(seed: number, limit: number, length: number): Fill {
  const random = new Random(seed);
  return shared(`${seed} below ${limit} x ${length}`, length, () => random.below(limit));
}

/** Words of `new Random(seed)`, `length` in all. */
export function sharedWords(seed: number, length: number): Fill {
  const random = new Random(seed);
  return shared(`${seed} words x ${length}`, length, () => random.uint32());
}
