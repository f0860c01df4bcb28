// Greater-than (Hanna et al. 2023): "The war lasted from the year 1732 to the year 17" -> a number
// above 32. The corrupted prompt begins in year 01, after which every number is right.
import type { RawPair, TokenizedPair } from '../pairs/types.js';
import type { Random } from '../stats/random.js';
import type { Tokenizer } from '../tokenizer.js';
import { atOnce } from '../turns.js';
import {
  cannotMake,
  collectPairs,
  continuationTokens,
  pick,
  type GenerateOptions,
  type PairSteps,
} from './generator.js';
import { greaterThanAnswers, yearTokens, type YearTokens } from './year-tokens.js';

export interface GreaterThanOptions extends GenerateOptions {
  /** First two digits of the years. Default 11 to 17. */
  centuries?: readonly number[];
}

const nouns: readonly string[] = (
  'affair alliance assault battle blockade boom campaign case challenge competition conflict ' +
  'conquest construction contract crisis debate dialogue dispute drought dynasty effort empire ' +
  'exhibition expansion expedition famine feud friendship illness journey marriage mission ' +
  'negotiation operation partnership peace plan plague program progress project reign ' +
  'relationship research revolt scandal siege strike struggle study tour tradition trial voyage war'
).split(' ');

const two = (value: number): string => String(value).padStart(2, '0');

function drawPair(
  random: Random,
  tokenizer: Tokenizer,
  tokens: YearTokens,
  centuries: readonly number[],
): RawPair | undefined {
  const noun = pick(random, nouns);
  const century = two(pick(random, centuries));
  const year = 2 + random.below(97);
  const prompt = (start: string): string =>
    `The ${noun} lasted from the year ${century}${start} to the year ${century}`;
  const [text, corruptedText] = [prompt(two(year)), prompt('01')];
  const answers = greaterThanAnswers(tokenizer, year);
  if (!answers) return undefined;
  // The year must continue the prompt as the tokenizer itself would split it.
  const next = continuationTokens(tokenizer, text, two(year));
  const expected = tokens.form === 'two-digit' ? year : Math.floor(year / 10);
  if (next?.[0] !== tokens.ids[expected]) return undefined;
  const [clean, corrupted] = [tokenizer.encode(text), tokenizer.encode(corruptedText)];
  if (clean.length !== corrupted.length) return undefined;
  return {
    clean: Array.from(clean),
    corrupted: Array.from(corrupted),
    ...answers,
    text,
    corrupted_text: corruptedText,
  };
}

/**
 * Greater-than pairs; answers are sets of tokens (see `greaterThanAnswers`), for metric prob-diff.
 * @throws ERR_HEADSPARK_TOKENIZER when the tokenizer does not split years after two digits.
 */
export function generateGreaterThan(
  tokenizer: Tokenizer,
  options: GreaterThanOptions,
): TokenizedPair[] {
  return atOnce(greaterThanPairs(tokenizer, options));
}

/** `generateGreaterThan`, pair by pair. */
export function* greaterThanPairs(tokenizer: Tokenizer, options: GreaterThanOptions): PairSteps {
  const { centuries = [11, 12, 13, 14, 15, 16, 17] } = options;
  const tokens = yearTokens(tokenizer);
  if (!tokens) {
    throw cannotMake('greater-than', tokenizer, 'it has no tokens for the digits of years');
  }
  if (!tokenizer.represents('The war lasted from the year')) {
    throw cannotMake('greater-than', tokenizer, 'it cannot spell the prompt');
  }
  const splits = centuries.some((century) =>
    Array.from({ length: 97 }, (_, index) => two(index + 2)).some(
      (year) =>
        continuationTokens(tokenizer, `The war lasted to the year ${century}`, year) !== undefined,
    ),
  );
  if (!splits) {
    throw cannotMake('greater-than', tokenizer, 'it does not split a year after its century');
  }
  return yield* collectPairs('greater-than', tokenizer, options, (random) =>
    drawPair(random, tokenizer, tokens, centuries),
  );
}
