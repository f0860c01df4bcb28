// What happened in one sample: its answer, whether it is right, and every failure mode.
import { checkAnswer } from '../answers/check.js';
import { choiceLetter } from '../answers/choice.js';
import { extractAnswer, statedAnswers, type AnswerSource } from '../answers/extract.js';
import { checkArithmetic, type ArithmeticSpan } from './arithmetic.js';
import { formProblemsOf, type FormProblem } from './form.js';
import { findLoop, type TokenLoop } from './loops.js';

/** Why a generation ended. */
export type Finish = 'stop-token' | 'stop-string' | 'length' | 'context';

export interface SampleInput {
  /** Generated text without its end token. */
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finish: Finish;
  readonly answer: string;
  readonly choices?: readonly string[] | undefined;
  /** Text of the first tokens, for counting tokens up to a place in the text. */
  readonly decode: (tokens: readonly number[]) => string;
}

export interface AnalysisOptions {
  /** Ways of giving an answer that count; default all. */
  readonly sources?: readonly AnswerSource[] | undefined;
  readonly modulus?: number | undefined;
}

/** Plain JSON. */
export interface SampleAnalysis {
  readonly answer: string | null;
  readonly source: AnswerSource | null;
  readonly correct: boolean;
  /** Tokens up to the end of the final answer. */
  readonly answerTokens: number | null;
  /** Tokens up to the first right answer that the text states, thoughts included. */
  readonly firstCorrectTokens: number | null;
  /** A right answer was stated, and another one given in the end. */
  readonly lost: boolean;
  readonly truncated: boolean;
  readonly loop: TokenLoop | null;
  /** Equations judged, and those that are false (at most 20 are kept). */
  readonly equations: number;
  readonly falseEquations: number;
  readonly falseSpans: readonly ArithmeticSpan[];
  readonly form: readonly FormProblem[];
}

const keptSpans = 20;

/** The fewest tokens whose text reaches `end` characters, by bisection. */
export function tokensUntil(
  end: number,
  tokens: readonly number[],
  decode: (tokens: readonly number[]) => string,
): number {
  let [low, high] = [0, tokens.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (decode(tokens.slice(0, middle)).length >= end) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Analyses one sample; see the fields of `SampleAnalysis`. */
export function analyzeSample(input: SampleInput, options: AnalysisOptions = {}): SampleAnalysis {
  const { text, tokens, choices, finish, decode } = input;
  const { sources, modulus } = options;
  const choice = choices !== undefined;
  const isRight = (answer: string): boolean =>
    checkAnswer(answer, input.answer, choices ? { choices } : {});
  const extraction = { choice, ...(sources ? { sources } : {}) };
  const final = extractAnswer(text, extraction);
  const correct = final !== undefined && isRight(final.text);
  const verdicts = new Map<string, boolean>();
  const firstRight = statedAnswers(text).find(({ text: stated }) => {
    if (!verdicts.has(stated)) verdicts.set(stated, isRight(stated));
    return verdicts.get(stated)!;
  });
  const firstEnd = firstRight?.end ?? (correct ? final.end : undefined);
  const arithmetic = checkArithmetic(text, modulus);
  // The letter alone, so that "B", "(b)" and "B) 12 m" are one vote.
  const letter = final && choices && choiceLetter(final.text, choices.length);
  return {
    answer: letter ?? final?.text.slice(0, 2_000) ?? null,
    source: final?.source ?? null,
    correct,
    answerTokens: final ? tokensUntil(final.end, tokens, decode) : null,
    firstCorrectTokens: firstEnd === undefined ? null : tokensUntil(firstEnd, tokens, decode),
    lost: firstRight !== undefined && !correct,
    truncated: finish === 'length' || finish === 'context',
    loop: findLoop(tokens) ?? null,
    equations: arithmetic.checked,
    falseEquations: arithmetic.wrong.length,
    falseSpans: arithmetic.wrong.slice(0, keptSpans),
    form: formProblemsOf(text, extraction),
  };
}
