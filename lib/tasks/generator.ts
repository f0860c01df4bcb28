// What the pair generators share: seeded choices, rejection sampling without duplicates, and the
// tokens that a text adds after a prompt.
import { HeadsparkError } from '../errors.js';
import { tokenizePair } from '../pairs/tokenize-pair.js';
import type { RawPair, TokenizedPair } from '../pairs/types.js';
import { Random } from '../stats/random.js';
import type { Tokenizer } from '../tokenizer.js';

export interface GenerateOptions {
  /** How many pairs to make. */
  count: number;
  /** Decides everything random; the same seed gives the same pairs. Default 0. */
  seed?: number | undefined;
  /** The model's vocabulary size, when it is smaller than the tokenizer's. */
  vocabSize?: number | undefined;
}

/** Pairs in the making: how many there are so far, and in the end all of them. */
export type PairSteps = Generator<number, TokenizedPair[], void>;

/** Ids of `suffix` when it follows `prefix`; undefined when the two merge at the seam. */
export function continuationTokens(
  tokenizer: Tokenizer,
  prefix: string,
  suffix: string,
): number[] | undefined {
  const start = tokenizer.encode(prefix);
  const whole = tokenizer.encode(prefix + suffix);
  const rest = Array.from(whole.subarray(start.length));
  return start.every((id, index) => id === whole[index]) && rest.length > 0 ? rest : undefined;
}

/** One item, uniformly. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)];
}

/** Throws ERR_HEADSPARK_TOKENIZER: this tokenizer cannot make the task's pairs. */
export function cannotMake(task: string, tokenizer: Tokenizer, reason: string): HeadsparkError {
  return new HeadsparkError(
    'ERR_HEADSPARK_TOKENIZER',
    `the ${task} task cannot be made with the tokenizer of ${tokenizer.folder}: ${reason}.`,
  );
}

/** Draws candidates (undefined means: does not fit, draw again) until `count` differ. */
export function* collectPairs(
  task: string,
  tokenizer: Tokenizer,
  options: GenerateOptions,
  draw: (random: Random) => RawPair | undefined,
): PairSteps {
  const { count, seed = 0, vocabSize } = options;
  if (!Number.isInteger(count) || count < 1 || count > 1_000_000) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the number of ${task} pairs must be a whole number from 1 to 1,000,000, not ${count}.`,
    );
  }
  const random = new Random(seed);
  const seen = new Set<string>();
  const pairs: TokenizedPair[] = [];
  const settings = vocabSize === undefined ? { tokenizer } : { tokenizer, vocabSize };
  for (let attempt = 0; pairs.length < count && attempt < 1000 + 200 * count; attempt++) {
    yield pairs.length;
    const raw = draw(random);
    if (!raw) continue;
    const key = JSON.stringify(
      [raw['clean'], raw['corrupted']].map((ids) => Array.from(ids as number[])),
    );
    if (seen.has(key)) continue;
    seen.add(key);
    const index = pairs.length;
    pairs.push(tokenizePair(raw, { file: `${task} generator`, line: index + 1, index }, settings));
  }
  if (pairs.length < count) {
    const reason = `only ${pairs.length} of ${count} distinct pairs of equal token length were found`;
    throw cannotMake(task, tokenizer, reason);
  }
  return pairs;
}
