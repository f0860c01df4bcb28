// What can be said of pairs without a model: every pair as a person reads it, and of all of them
// their tokens, what they share, the metrics that they have answers for, and their hash.
import { checkPairs, checkTokenizer } from '../argument-checks.js';
import { pairsHash, repeatedPairs } from '../pairs.js';
import type { Tokenizer } from '../tokenizer.js';
import { hasSamePrompts } from './same-prompts.js';
import { lackOf, singleAnswer } from './tokenize-pair.js';
import type { PairMetric, TokenizedPair } from './types.js';

/** A pair as a person reads it. Places of tokens count from 1. */
export interface PairDescription {
  readonly line: number;
  /** Of the clean prompt, and of the corrupted one. */
  readonly tokens: number;
  /** Tokens before the first difference. */
  readonly sharedPrefix: number;
  /** Null where the prompts are the same. */
  readonly firstDifference: number | null;
  readonly lastDifference: number | null;
  /** What the tokens spell, special ones included; the ids where there is no tokenizer. */
  readonly clean: string;
  readonly corrupted: string;
  readonly correct: readonly string[];
  readonly incorrect: readonly string[];
  readonly continuation: string | null;
}

/** How many pairs a metric can be measured on. */
export interface MetricSupport {
  readonly metric: PairMetric;
  readonly pairs: number;
  /** The first pair without what the metric reads; null where there is none. */
  readonly lack: { readonly line: number; readonly reason: string } | null;
}

/** Pairs whose text says something else than their tokens, which are what is computed on. */
export interface TextMismatch {
  readonly pairs: number;
  /** The first of them. */
  readonly line: number;
}

/** Pairs in figures. */
export interface PairsReport {
  readonly pairs: number;
  /** Of all clean prompts; the corrupted ones have as many. */
  readonly tokens: number;
  readonly shortest: number;
  readonly longest: number;
  /** Of `tokens`, those before a pair's first difference. */
  readonly sharedTokens: number;
  /** SHA-256 as of `pairsHash`; attribution has the same in its results. Null without pairs. */
  readonly hash: string | null;
  readonly metrics: readonly MetricSupport[];
  /** Pairs that repeat an earlier one. */
  readonly repeated: number;
  /** Pairs whose two prompts are the same. */
  readonly samePrompts: number;
  readonly textMismatch: TextMismatch | null;
}

const pairMetrics = ['logit-diff', 'prob-diff', 'kl', 'nll'] as const;

function speller(tokenizer: Tokenizer | undefined): (ids: ArrayLike<number>) => string {
  return (ids) => tokenizer?.decode(ids, { skipSpecialTokens: false }) ?? Array.from(ids).join(' ');
}

/** One pair; with the tokenizer as text, else as ids. */
export function describePair(pair: TokenizedPair, tokenizer?: Tokenizer): PairDescription {
  checkPairs('describePair', [pair]);
  if (tokenizer !== undefined) checkTokenizer('describePair', tokenizer);
  const { clean, corrupted, line } = pair;
  const spell = speller(tokenizer);
  const differs = (id: number, place: number): boolean => id !== corrupted[place];
  const first = clean.findIndex(differs);
  return {
    line,
    tokens: clean.length,
    sharedPrefix: first < 0 ? clean.length : first,
    firstDifference: first < 0 ? null : first + 1,
    lastDifference: first < 0 ? null : clean.findLastIndex(differs) + 1,
    clean: spell(clean),
    corrupted: spell(corrupted),
    correct: pair.correct.map((id) => spell([id])),
    incorrect: pair.incorrect.map((id) => spell([id])),
    continuation: pair.continuation ? spell(pair.continuation) : null,
  };
}

function supportOf(metric: PairMetric, pairs: readonly TokenizedPair[]): MetricSupport {
  const lacks = pairs.flatMap((pair) => {
    const continuation = pair.continuation ?? singleAnswer(pair);
    const { correct, incorrect } = pair;
    const reason = lackOf({ correct, incorrect, ...(continuation && { continuation }) }, metric);
    return reason === undefined ? [] : [{ line: pair.line, reason }];
  });
  return { metric, pairs: pairs.length - lacks.length, lack: lacks.at(0) ?? null };
}

/** Spaces at the ends do not count: some tokenizers add one, and special tokens may stand there. */
function saysOtherwise(tokenizer: Tokenizer, ids: Int32Array, text: string | undefined): boolean {
  if (text === undefined) return false;
  return ![false, true].some(
    (skipSpecialTokens) => tokenizer.decode(ids, { skipSpecialTokens }).trim() === text.trim(),
  );
}

function mismatchOf(pairs: readonly TokenizedPair[], tokenizer: Tokenizer): TextMismatch | null {
  const found = pairs.filter(
    ({ clean, corrupted, text, corruptedText }) =>
      saysOtherwise(tokenizer, clean, text) || saysOtherwise(tokenizer, corrupted, corruptedText),
  );
  return found.length === 0 ? null : { pairs: found.length, line: found[0].line };
}

/** All pairs in figures; without the tokenizer, texts are not compared with tokens. */
export function reportPairs(pairs: readonly TokenizedPair[], tokenizer?: Tokenizer): PairsReport {
  checkPairs('reportPairs', pairs);
  if (tokenizer !== undefined) checkTokenizer('reportPairs', tokenizer);
  const lengths = pairs.map(({ clean }) => clean.length);
  const shared = pairs.map(({ clean, corrupted }) => {
    const first = clean.findIndex((id, place) => id !== corrupted[place]);
    return first < 0 ? clean.length : first;
  });
  const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
  return {
    pairs: pairs.length,
    tokens: sum(lengths),
    shortest: lengths.reduce((least, one) => Math.min(least, one), lengths.at(0) ?? 0),
    longest: lengths.reduce((most, one) => Math.max(most, one), 0),
    sharedTokens: sum(shared),
    hash: pairs.length === 0 ? null : pairsHash(pairs),
    metrics: pairMetrics.map((metric) => supportOf(metric, pairs)),
    repeated: repeatedPairs(pairs).length,
    samePrompts: pairs.filter(hasSamePrompts).length,
    textMismatch: tokenizer ? mismatchOf(pairs, tokenizer) : null,
  };
}
