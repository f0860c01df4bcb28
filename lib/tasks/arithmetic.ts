// Arithmetic: "47 + 38 =" -> the token at which the answers of the clean and the corrupted problem
// first differ; what the two answers share before it is part of both prompts. Works for digit
// tokenizers and for those that group digits, since everything is compared as tokens.
import { HeadsparkError } from '../errors.js';
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

export type Operator = '+' | '-' | '*';

export interface ArithmeticOptions extends GenerateOptions {
  /** Operands in each problem. Default 2. */
  terms?: number;
  /** Operators to draw from; both problems of a pair have the same ones. Default + and -. */
  operators?: readonly Operator[];
  /** Smallest and largest operand. Default 10 and 99. */
  minOperand?: number;
  maxOperand?: number;
  /** Pad answers with zeros to this many digits, for models trained so. */
  answerDigits?: number;
  /**
   * Text with `{expression}` and then `{answer}`. Default `{expression} = {answer}`, or without
   * spaces where the tokenizer has none.
   */
  template?: string;
  /** Spaces round the operators. Default: as the tokenizer allows. */
  spaces?: boolean;
}

interface Problem {
  operands: number[];
  operators: Operator[];
}

/** The value of a problem, products first; undefined when a partial sum is negative. */
export function evaluateProblem({ operands, operators }: Problem): number | undefined {
  const sums: number[] = [];
  operands.forEach((operand, index) => {
    const operator = operators[index - 1];
    if (operator === '*') sums.push(sums.pop()! * operand);
    else sums.push(operator === '-' ? -operand : operand);
  });
  let total = 0;
  for (const part of sums) {
    total += part;
    if (total < 0) return undefined;
  }
  return total;
}

interface Form {
  template: string;
  spaces: boolean;
  answerDigits: number;
}

function render(problem: Problem, form: Form): { prompt: string; answer: string } | undefined {
  const value = evaluateProblem(problem);
  if (value === undefined) return undefined;
  const gap = form.spaces ? ' ' : '';
  const expression = problem.operands
    .map((operand, i) =>
      i === 0 ? `${operand}` : `${gap}${problem.operators[i - 1]}${gap}${operand}`,
    )
    .join('');
  const [before, after] = form.template.split('{answer}') as [string, string];
  // A space before the answer belongs to its first token in many vocabularies.
  const prompt = before.replace(/ $/, '').replace('{expression}', expression);
  const space = before.endsWith(' ') ? ' ' : '';
  return { prompt, answer: `${space}${String(value).padStart(form.answerDigits, '0')}${after}` };
}

/** The pair of two rendered problems, or undefined when their tokens do not line up. */
function alignPair(
  tokenizer: Tokenizer,
  clean: { prompt: string; answer: string },
  corrupted: { prompt: string; answer: string },
): RawPair | undefined {
  if (clean.answer === corrupted.answer) return undefined;
  const prompts = [tokenizer.encode(clean.prompt), tokenizer.encode(corrupted.prompt)] as const;
  const right = continuationTokens(tokenizer, clean.prompt, clean.answer);
  const wrong = continuationTokens(tokenizer, corrupted.prompt, corrupted.answer);
  if (!right || !wrong || prompts[0].length !== prompts[1].length) return undefined;
  const at = right.findIndex((id, index) => id !== wrong[index]);
  if (at < 0 || at >= wrong.length) return undefined;
  const shared = right.slice(0, at);
  const [cleanIds, corruptedIds] = prompts.map((ids) => [...ids, ...shared]) as [
    number[],
    number[],
  ];
  const text = (ids: number[]): string => tokenizer.decode(ids, { skipSpecialTokens: false });
  return {
    clean: cleanIds,
    corrupted: corruptedIds,
    correct: right[at],
    incorrect: wrong[at],
    text: text(cleanIds),
    corrupted_text: text(corruptedIds),
  };
}

function formOf(tokenizer: Tokenizer, options: ArithmeticOptions): Form {
  // A tokenizer without a space token spells "1 + 1" with stand-ins, or not at all.
  const spaces = options.spaces ?? tokenizer.represents('1 + 1 = 2');
  const template =
    options.template ?? (spaces ? '{expression} = {answer}' : '{expression}={answer}');
  const parts = template.split(/(\{expression\}|\{answer\})/).filter((_, i) => i % 2 === 1);
  if (parts.join() !== '{expression},{answer}') {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the arithmetic template ${JSON.stringify(template)} must have {expression} and then {answer}, once each.`,
    );
  }
  const sample = `${template.replace('{expression}', spaces ? '12 + 3' : '12+3').replace('{answer}', '15')}`;
  if (!tokenizer.represents(sample)) {
    throw cannotMake('arithmetic', tokenizer, `it cannot spell ${JSON.stringify(sample)}`);
  }
  return { template, spaces, answerDigits: options.answerDigits ?? 0 };
}

function checkNumbers(options: ArithmeticOptions): void {
  const { terms = 2, operators = ['+', '-'], minOperand = 10, maxOperand = 99 } = options;
  const whole = (value: number, from: number, to: number): boolean =>
    Number.isInteger(value) && value >= from && value <= to;
  const problem = !whole(terms, 2, 8)
    ? `terms must be 2 to 8, not ${terms}`
    : operators.length === 0 || !operators.every((operator) => ['+', '-', '*'].includes(operator))
      ? `operators must be among + - *, not "${operators.join(' ')}"`
      : !whole(minOperand, 0, maxOperand) || !whole(maxOperand, minOperand, 9999)
        ? `operands must run from a smaller to a larger whole number up to 9999`
        : !whole(options.answerDigits ?? 0, 0, 12)
          ? `answer digits must be 0 to 12, not ${options.answerDigits}`
          : undefined;
  if (problem !== undefined) {
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', `arithmetic task: ${problem}.`);
  }
}

/**
 * Pairs of problems with the same operators and other numbers, of equal token length.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for options out of range, ERR_HEADSPARK_TOKENIZER when
 *   the tokenizer cannot spell the problems or make `count` distinct pairs.
 */
export function generateArithmetic(
  tokenizer: Tokenizer,
  options: ArithmeticOptions,
): TokenizedPair[] {
  return atOnce(arithmeticPairs(tokenizer, options));
}

/** `generateArithmetic`, pair by pair. */
export function* arithmeticPairs(tokenizer: Tokenizer, options: ArithmeticOptions): PairSteps {
  checkNumbers(options);
  const { terms = 2, operators = ['+', '-'], minOperand = 10, maxOperand = 99 } = options;
  const form = formOf(tokenizer, options);
  const operand = (random: Random): number =>
    minOperand + random.below(maxOperand - minOperand + 1);
  return yield* collectPairs('arithmetic', tokenizer, options, (random) => {
    const chosen = Array.from({ length: terms - 1 }, () => pick(random, operators));
    const [clean, corrupted] = [0, 1].map(() =>
      render(
        { operands: Array.from({ length: terms }, () => operand(random)), operators: chosen },
        form,
      ),
    );
    return clean && corrupted ? alignPair(tokenizer, clean, corrupted) : undefined;
  });
}
