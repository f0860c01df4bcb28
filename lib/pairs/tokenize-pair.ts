// One raw pair to a TokenizedPair: prompts, answers, continuation, and every check that makes the
// pair fit for attribution.
import { checkRecord, checkSomeOptions } from '../argument-checks.js';
import { resolveAnswers } from './answer-token.js';
import { checkKeys } from './known-keys.js';
import { pairError } from './pair-error.js';
import { promptSides, tokensOf, type PromptSides } from './prompts.js';
import type { PairMetric, PairOptions, PairPlace, RawPair, TokenizedPair } from './types.js';

/** Throws PAIR_LENGTH naming the place and both lengths, PAIR_FORMAT for an empty prompt. */
function checkLengths(sides: PromptSides, place: PairPlace): void {
  const [clean, corrupted] = [sides.clean.length, sides.corrupted.length];
  if (clean !== corrupted) {
    throw pairError(
      place,
      `the clean prompt has ${clean} tokens and the corrupted one ${corrupted}; ` +
        'both must have the same number of tokens.',
      { code: 'ERR_HEADSPARK_PAIR_LENGTH' },
    );
  }
  if (clean === 0) throw pairError(place, 'the prompts have no tokens.');
}

interface Answers {
  correct: number[];
  incorrect: number[];
}

function answersOf(
  raw: RawPair,
  sides: PromptSides,
  place: PairPlace,
  options: PairOptions,
): Answers {
  const read = (key: 'correct' | 'incorrect'): number[] => {
    const value = raw[key];
    return value === undefined ? [] : resolveAnswers(value, key, place, options);
  };
  const correct = sides.next ? [sides.next.correct] : read('correct');
  const incorrect =
    sides.next && raw['incorrect'] === undefined ? [sides.next.incorrect] : read('incorrect');
  const both = correct.find((id) => incorrect.includes(id));
  if (both !== undefined) {
    throw pairError(place, `token ${both} is in "correct" and in "incorrect".`);
  }
  return { correct, incorrect };
}

/** With metric nll a single right token is a continuation of one token. */
export const singleAnswer = ({ correct }: Answers): number[] | undefined =>
  correct.length === 1 ? [...correct] : undefined;

function continuationOf(
  raw: RawPair,
  answers: Answers,
  place: PairPlace,
  options: PairOptions,
): number[] | undefined {
  if (raw['continuation'] !== undefined) {
    const ids = tokensOf(raw['continuation'], 'continuation', place, {
      ...options,
      special: false,
    });
    if (ids.length === 0) throw pairError(place, '"continuation" has no tokens.');
    return Array.from(ids);
  }
  return options.metric === 'nll' ? singleAnswer(answers) : undefined;
}

/** As the core checks, which knows no file and line. */
function checkPositions(
  pair: TokenizedPair,
  place: PairPlace,
  { maxPositions }: PairOptions,
): void {
  const fed = pair.clean.length + (pair.continuation?.length ?? 0);
  if (maxPositions === undefined || fed <= maxPositions) return;
  throw pairError(place, `the pair has ${fed} tokens, but the model ${maxPositions} positions.`);
}

type ReadByMetric = Pick<TokenizedPair, 'correct' | 'incorrect' | 'continuation'>;

/** What a pair lacks for a metric, as a sentence. */
export function lackOf(pair: ReadByMetric, metric: PairMetric): string | undefined {
  if (metric === 'nll') {
    const needs = 'metric nll needs "continuation" (or one "correct" token).';
    return pair.continuation ? undefined : needs;
  }
  if (metric === 'kl') return undefined;
  const key = (['correct', 'incorrect'] as const).find((name) => pair[name].length === 0);
  return key && `metric ${metric} needs the key "${key}".`;
}

/**
 * Tokenizes and checks one pair.
 * @throws ERR_HEADSPARK_PAIR_LENGTH for prompts of unequal token length, else
 *   ERR_HEADSPARK_PAIR_FORMAT; the message begins with file:line.
 */
export function tokenizePair(
  raw: RawPair,
  place: PairPlace,
  options: PairOptions = {},
): TokenizedPair {
  checkRecord('tokenizePair', 'a pair as an object', raw);
  checkRecord('tokenizePair', 'the place as { file, line, index }', place);
  checkSomeOptions('tokenizePair', options);
  checkKeys(raw, place);
  const vocabSize = options.vocabSize ?? options.tokenizer?.vocabSize;
  const settings: PairOptions = vocabSize === undefined ? options : { ...options, vocabSize };
  const sides = promptSides(raw, { place, options: settings });
  checkLengths(sides, place);
  const answers = answersOf(raw, sides, place, settings);
  const continuation = continuationOf(raw, answers, place, settings);
  const pair: TokenizedPair = {
    index: place.index,
    line: place.line,
    clean: sides.clean,
    corrupted: sides.corrupted,
    ...answers,
    ...(continuation ? { continuation } : {}),
    ...(sides.text === undefined ? {} : { text: sides.text }),
    ...(sides.corruptedText === undefined ? {} : { corruptedText: sides.corruptedText }),
  };
  const lack = options.metric && lackOf(pair, options.metric);
  if (lack !== undefined) throw pairError(place, lack);
  checkPositions(pair, place, settings);
  return pair;
}
