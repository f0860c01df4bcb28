// Seeded random numbers: Philox4x32-10, a counter-based generator (Salmon et al., SC 2011).
// Counter-based means: (seed, stream, position) names a number, so results never depend on the
// order in which streams are used, and a run can be repeated from any point.

import { HeadsparkError } from '../errors.js';

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the product of two unsigned 32-bit integers: every sum here is below 2^32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) >>> 0;
  const cross = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

type Words = readonly [number, number, number, number];

/** Turns the counter in `words` ([4]) into its random words, under a key. */
function scramble(words: Uint32Array, key0: number, key1: number): void {
  let c0 = words[0];
  let c1 = words[1];
  let c2 = words[2];
  let c3 = words[3];
  let k0 = key0;
  let k1 = key1;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) | 0;
    k1 = (k1 + KEY_STEP_1) | 0;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

/** Philox4x32-10: the four random words of a counter under a key. All words are uint32. */
export function philox4x32(counter: Words, key: readonly [number, number]): Words {
  const words = Uint32Array.from(counter);
  scramble(words, key[0], key[1]);
  return [words[0], words[1], words[2], words[3]];
}

function checkWord(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${name} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got ${value}`,
    );
  }
}

/** One stream of random numbers. Key = seed; counter = (position, stream), both 64 bits. */
export class Random {
  readonly #key: readonly [number, number];
  readonly #stream: readonly [number, number];
  readonly #block = new Uint32Array(4);
  #position = 0;
  #next = 4;

  /** @param seed, stream whole numbers from 0 to 2^53 - 1. */
  constructor(seed: number, stream = 0) {
    checkWord(seed, 'seed');
    checkWord(stream, 'stream');
    this.#key = [seed >>> 0, Math.floor(seed / 0x100000000)];
    this.#stream = [stream >>> 0, Math.floor(stream / 0x100000000)];
  }

  /** A uniform unsigned 32-bit integer. */
  uint32(): number {
    if (this.#next === 4) this.#refill();
    return this.#block[this.#next++];
  }

  #refill(): void {
    const position = this.#position++;
    this.#block[0] = position;
    this.#block[1] = Math.floor(position / 0x100000000);
    this.#block[2] = this.#stream[0];
    this.#block[3] = this.#stream[1];
    scramble(this.#block, this.#key[0], this.#key[1]);
    this.#next = 0;
  }

  /** A uniform number in [0, 1) with 53 bits. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  /** A uniform whole number in [0, limit), unbiased by rejection. 1 <= limit <= 2^32. */
  below(limit: number): number {
    let word = this.uint32();
    // Words from the last whole multiple of the limit on are drawn again; only the highest can be.
    if (word >= 0x100000000 - limit) {
      const usable = 0x100000000 - (0x100000000 % limit);
      while (word >= usable) word = this.uint32();
    }
    return word % limit;
  }

  /** Shuffles in place (Fisher-Yates) and returns its argument. */
  shuffle<T>(items: T[]): T[] {
    for (let index = items.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      const held = items[index];
      items[index] = items[other]!;
      items[other] = held;
    }
    return items;
  }

  /** `count` different items in random order. 0 <= count <= items.length. */
  sample<T>(items: readonly T[], count: number): T[] {
    return this.shuffle([...items]).slice(0, count);
  }
}
