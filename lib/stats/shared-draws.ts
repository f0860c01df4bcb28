// Random numbers that are drawn once and read by many statistics: the rows of a table are resampled
// by the same seed, so that they would draw the same numbers one after the other.

import { Random } from './random.js';

/** Of all that is kept. */
const MOST_BYTES = 1 << 26;
/** By what was asked for, the oldest first. */
const kept = new Map<string, Drawn>();

/** The numbers that anybody has read so far, and who draws the next. */
interface Drawn {
  readonly numbers: Uint32Array;
  readonly draw: () => number;
  filled: number;
}

const sizeOf = (length: number): number => length * Uint32Array.BYTES_PER_ELEMENT;

/** Writes the next numbers of a stream. */
export type Fill = (numbers: Uint32Array) => void;

function keep(key: string, drawn: Drawn): void {
  kept.delete(key);
  kept.set(key, drawn);
  let bytes = [...kept.values()].reduce((sum, { numbers }) => sum + sizeOf(numbers.length), 0);
  for (const [oldest, { numbers }] of kept) {
    if (bytes <= MOST_BYTES) break;
    bytes -= sizeOf(numbers.length);
    kept.delete(oldest);
  }
}

function drawUpTo(end: number, drawn: Drawn): void {
  const { numbers, draw } = drawn;
  for (let index = drawn.filled; index < end; index++) numbers[index] = draw();
  drawn.filled = Math.max(drawn.filled, end);
}

/** `length` numbers of `draw`, kept under `key` unless they are too many; drawn when they are read. */
function shared(key: string, length: number, draw: () => number): Fill {
  if (sizeOf(length) > MOST_BYTES) {
    return (numbers) => {
      for (let index = 0; index < numbers.length; index++) numbers[index] = draw();
    };
  }
  const drawn = kept.get(key) ?? { numbers: new Uint32Array(length), draw, filled: 0 };
  keep(key, drawn);
  let next = 0;
  return (numbers) => {
    const end = next + numbers.length;
    drawUpTo(end, drawn);
    numbers.set(drawn.numbers.subarray(next, end));
    next = end;
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
