// Is an answer right? Both sides are brought to one spelling and taken apart (sets, tuples,
// intervals, equations, matrices); what is left are numbers, compared exactly, and formulas,
// compared by the compute engine.
import { checkAnyText, checkTexts } from '../argument-checks.js';
import { checkOptionNames, optionNames } from '../option-checks.js';
import { isOneGroup, splitTopLevel } from './braces.js';
import { choiceLetter, choiceLetters } from './choice.js';
import { normalizeLatex } from './normalize.js';
import {
  compareRationals,
  divideRationals,
  equalRationals,
  formatRational,
  multiplyRationals,
  parseRational,
  rational,
  type Rational,
} from './rational.js';
import { parseStructure, type Structure } from './structure.js';
import { equalFormulas, proportionalFormulas } from './symbolic.js';
import { splitUnit, type Measured } from './units.js';

export interface CheckOptions {
  /** Contents of the options of a multiple-choice problem, in order; the right answer is a letter. */
  readonly choices?: readonly string[];
}

const hundred = rational(100n)!;
const one = rational(1n)!;

const magnitude = (value: Rational): Rational =>
  value.numerator < 0n ? { ...value, numerator: -value.numerator } : value;

/** A percentage against a bare number: 50 % is 1/2, and also the 50 of "how many percent". */
function equalPercent(percent: Rational, bare: Rational, percentIsGold: boolean): boolean {
  if (equalRationals(divideRationals(percent, hundred)!, bare)) return true;
  // "0.5 %" for 0.5 is a wrong answer that looks right; for 5, "5 %" only names the unit.
  const names = percentIsGold || compareRationals(magnitude(bare), one) > 0;
  return names && equalRationals(percent, bare);
}

function equalNumbers(answer: Measured, gold: Measured): boolean | undefined {
  const [left, right] = [parseRational(answer.value), parseRational(gold.value)];
  if (!left || !right) return undefined;
  if (answer.percent !== gold.percent) {
    return gold.percent ? equalPercent(right, left, true) : equalPercent(left, right, false);
  }
  // Gold answers set units apart, so that their `4s` is four times s, and no 4.
  if (gold.attached && !answer.unit) return false;
  if (!answer.unit || !gold.unit) return equalRationals(left, right);
  if (answer.unit.dimension !== gold.unit.dimension) return false;
  return equalRationals(
    multiplyRationals(left, answer.unit.factor),
    multiplyRationals(right, gold.unit.factor),
  );
}

const words = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\b(?:the|a|an)\s+/g, '')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();

/** Three letters in a row make a word: `x-1` and `ab-c` are formulas, whose signs count. */
const isWords = (text: string): boolean =>
  /^[\p{L}][\p{L}\p{N} '.-]{2,}$/u.test(text.trim()) && /\p{L}{3}/u.test(text);

/** Signs that a comparison of words would drop. */
const hasOperators = (text: string): boolean => /[+*/=^_|<>\\]/.test(text);

/** `52_8`, `52_{8}`: digits and base. */
function baseNumber(text: string): { digits: string; base: string | undefined } | undefined {
  const match = /^([0-9A-Fa-f]+)\s*(?:_\s*\{?\s*(\d{1,2})\s*\}?)?$/.exec(text);
  return match ? { digits: match[1].toUpperCase(), base: match[2] } : undefined;
}

function equalInBase(answer: string, gold: string): boolean | undefined {
  const [left, right] = [baseNumber(answer), baseNumber(gold)];
  if (!right || !left || (right.base ?? left.base) === undefined) return undefined;
  // A problem that asks for base 8 is also answered by the bare digits.
  return left.digits === right.digits && (left.base ?? right.base) === (right.base ?? left.base);
}

/** `7:30`, `07:30 p.m.`: a time of the day. */
const clock = /^(\d{1,2}):(\d\d)\s*(?:([ap])\.?\s?m\.?)?$/i;

/** Times of the day; which half of it is no difference where one side leaves it out. */
function equalTimes(answer: string, gold: string): boolean | undefined {
  const [left, right] = [clock.exec(answer.trim()), clock.exec(gold.trim())];
  if (!left || !right || (left[3] === undefined && right[3] === undefined)) return undefined;
  const half = (match: RegExpExecArray): string | undefined => match[3]?.toLowerCase();
  const sameHalf = (half(left) ?? half(right)) === (half(right) ?? half(left));
  return Number(left[1]) === Number(right[1]) && left[2] === right[2] && sameHalf;
}

/** Degrees against radians: both as degrees. */
function equalAngles(answer: Measured, gold: Measured): boolean | undefined {
  const inDegrees = (side: Measured): boolean => side.unit?.dimension === 'angle';
  const inRadians = (side: Measured): boolean =>
    side.unit?.dimension === 'radian' || side.value.includes('\\pi');
  const pair = inDegrees(answer) ? [answer, gold] : [gold, answer];
  if (!inDegrees(pair[0]) || inDegrees(pair[1]) || !inRadians(pair[1])) return undefined;
  return equalFormulas(`\\frac{(${pair[0].value})\\pi}{180}`, pair[1].value);
}

/** Products by juxtaposition that the engine would read as a mixed number or a function. */
function engineLatex(text: string): string {
  return text
    .replace(/(?<=[a-zA-Z\d)}])\s*\*\s*(?=[a-zA-Z\d(\\])/g, '\\cdot ')
    .replace(/(?<![\\a-zA-Z])pi(?![a-zA-Z])/g, '\\pi ');
}

/** Without spaces, except between digits, where one may stand for anything; `+\infty` is `\infty`. */
const compact = (text: string): string =>
  text.replace(/(?<!\d)\s+|\s+(?!\d)/g, '').replace(/^\+/, '');

function equalScalars(answerText: string, goldText: string): boolean {
  if (compact(answerText) === compact(goldText)) return true;
  if (/^[+-]?\\infty$/.test(compact(goldText))) return false;
  if (isWords(goldText) || isWords(answerText)) {
    const areWords = !hasOperators(answerText) && !hasOperators(goldText);
    if (areWords && words(answerText) === words(goldText)) return true;
    if (isWords(goldText)) return false;
  }
  const times = equalTimes(answerText, goldText);
  if (times !== undefined) return times;
  const inBase = equalInBase(answerText, goldText);
  if (inBase !== undefined) return inBase;
  const [answer, gold] = [splitUnit(answerText), splitUnit(goldText)];
  const numbers = equalNumbers(answer, gold);
  if (numbers !== undefined) return numbers;
  const angles = equalAngles(answer, gold);
  if (angles !== undefined) return angles;
  if (answer.unit && gold.unit && answer.unit.dimension !== gold.unit.dimension) return false;
  const both = answer.unit !== undefined && gold.unit !== undefined;
  const [left, right] = [answer, gold].map((side) => (both ? withFactor(side) : side.value));
  if (answer.percent !== gold.percent) {
    return equalFormulas(engineLatex(answer.value), engineLatex(gold.value)) === true;
  }
  return equalFormulas(engineLatex(left), engineLatex(right)) === true;
}

/** Both units there: the value in base units, so that 2\pi m and 200\pi cm are equal. */
function withFactor({ value, unit }: Measured): string {
  if (!unit || formatRational(unit.factor) === '1') return value;
  const { numerator, denominator } = unit.factor;
  return `\\frac{${numerator}}{${denominator}}\\cdot(${value})`;
}

function sameOrder(answer: readonly Structure[], gold: readonly Structure[]): boolean {
  return (
    answer.length === gold.length &&
    answer.every((item, index) => equalStructures(item, gold[index]))
  );
}

/** Equal as sets: every item has its own partner. */
function sameItems(answer: readonly Structure[], gold: readonly Structure[]): boolean {
  if (answer.length !== gold.length) return false;
  const left = [...gold];
  for (const item of answer) {
    const at = left.findIndex((other) => equalStructures(item, other));
    if (at < 0) return false;
    left.splice(at, 1);
  }
  return true;
}

const bracketsOf = (structure: Extract<Structure, { kind: 'tuple' }>): string =>
  structure.open + structure.close;

function equalTuples(
  answer: Extract<Structure, { kind: 'tuple' }>,
  gold: Extract<Structure, { kind: 'tuple' }>,
): boolean {
  return bracketsOf(answer) === bracketsOf(gold) && sameOrder(answer.items, gold.items);
}

/** `y = 2x + 3` has one letter on its left: then a bare `2x + 3` says the same. */
const isNamed = ({ left }: Extract<Structure, { kind: 'equation' }>): boolean =>
  /^(?:\\?[a-zA-Z]+(?:_\{?\w+\}?)?|[a-zA-Z]\s*\([a-zA-Z]\)|\([a-zA-Z](?:\s*,\s*[a-zA-Z])+\))$/.test(
    left.trim(),
  );

function equalEquations(
  answer: Extract<Structure, { kind: 'equation' }>,
  gold: Extract<Structure, { kind: 'equation' }>,
): boolean {
  const sides = (equation: { left: string; right: string }): string =>
    `(${engineLatex(equation.left)})-(${engineLatex(equation.right)})`;
  if (isNamed(answer) && isNamed(gold) && answer.left.trim() === gold.left.trim()) {
    return equalStructures(parseStructure(answer.right), parseStructure(gold.right));
  }
  return proportionalFormulas(sides(answer), sides(gold)) === true;
}

/**
 * What an answer calls its value: `m + n`, `f(2)`, `\\angle ABC`, `|AB|`. Letters only, so that an
 * equation that was not solved (`2x = 10`) does not pass for the answer 10.
 */
function callsValue(left: string): boolean {
  const plain = left
    .replace(/_\s*(?:\{[^{}]*\}|\w)/g, '')
    .replace(/(?<![\\a-zA-Z])[a-zA-Z]\s*\(\s*-?\d+\s*\)/g, 'f');
  return plain.length <= 60 && /[a-zA-Z]/.test(plain) && !/\d|\^|,/.test(plain);
}

/** A number (also with roots, \\pi or a unit) rather than a formula of letters. */
const isNumber = (structure: Structure): boolean =>
  structure.kind === 'scalar' &&
  /^[-+]?\s*(?:[$€£]?[\d.]|\\(?:frac|sqrt|pi)(?![a-z]))/.test(structure.text);

const asItems = (structure: Structure): readonly Structure[] =>
  structure.kind === 'set' || structure.kind === 'list' ? structure.items : [structure];

function equalMatrices(answer: readonly Structure[][], gold: readonly Structure[][]): boolean {
  return answer.length === gold.length && answer.every((row, index) => sameOrder(row, gold[index]));
}

function equalStructures(answer: Structure, gold: Structure): boolean {
  if (answer.kind === 'equation' && gold.kind === 'equation') return equalEquations(answer, gold);
  if (answer.kind === 'equation' && isNamed(answer)) {
    return equalStructures(parseStructure(answer.right), gold);
  }
  if (gold.kind === 'equation' && isNamed(gold)) {
    return equalStructures(answer, parseStructure(gold.right));
  }
  if (answer.kind === 'equation') {
    if (isNumber(gold) && callsValue(answer.left)) {
      return equalStructures(parseStructure(answer.right), gold);
    }
    // "6/8 = 3/4": a calculation that is true ends in its answer.
    const [left, right] = [parseStructure(answer.left), parseStructure(answer.right)];
    return equalStructures(right, gold) && equalStructures(left, right);
  }
  if (answer.kind === 'scalar' && gold.kind === 'scalar')
    return equalScalars(answer.text, gold.text);
  if (answer.kind === 'tuple' && gold.kind === 'tuple') return equalTuples(answer, gold);
  if (answer.kind === 'matrix' && gold.kind === 'matrix')
    return equalMatrices(answer.rows, gold.rows);
  if (answer.kind === 'union' && gold.kind === 'union') return sameItems(answer.items, gold.items);
  // A tuple without its brackets, in its order.
  if (gold.kind === 'tuple' && answer.kind === 'list' && bracketsOf(gold) === '()') {
    return sameOrder(answer.items, gold.items);
  }
  const listed = (structure: Structure): boolean =>
    structure.kind === 'set' || structure.kind === 'list';
  if (listed(answer) || listed(gold)) return sameItems(asItems(answer), asItems(gold));
  return false;
}

/** Outer brackets of a single value: `(5)` is 5. */
function unwrapped(text: string): string {
  const single = /^\((.*)\)$/s.exec(text);
  return single && isOneGroup(text) && splitTopLevel(single[1], ',').length === 1
    ? single[1]
    : text;
}

function checkChoice(answer: string, gold: string, choices: readonly string[]): boolean {
  const right = choiceLetter(gold, choices.length);
  const given = choiceLetter(answer, choices.length);
  if (given !== undefined || right === undefined) return given !== undefined && given === right;
  const matching = choices.flatMap((choice, index) =>
    checkAnswer(answer, choice) ? [choiceLetters[index]] : [],
  );
  return matching.length === 1 && matching[0] === right;
}

const checkOptions = optionNames<CheckOptions>({ choices: true });

/**
 * True when `answer` (text or LaTeX, as a model wrote it) says the same as `gold`.
 *
 * Numbers are compared exactly as fractions; formulas by the compute engine. Sets and lists ignore
 * order, tuples and intervals do not. A unit, a percent sign or `x =` on one side only is no
 * difference; units of one dimension are converted; an exact answer is not met by a rounded one.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function checkAnswer(answer: string, gold: string, options: CheckOptions = {}): boolean {
  checkAnyText('checkAnswer', answer);
  checkAnyText('checkAnswer', gold);
  checkOptionNames('checkAnswer', options, checkOptions);
  if (options.choices !== undefined) checkTexts('checkAnswer', 'choices', options.choices);
  if (options.choices) return checkChoice(answer, gold, options.choices);
  return equalParsed(parseAnswer(answer), parseAnswer(gold));
}

/** An answer that was read once, to be compared with many. */
export interface ParsedAnswer {
  readonly text: string;
  readonly structure: Structure;
}

/** Undefined for an empty answer, which equals nothing. */
export function parseAnswer(answer: string): ParsedAnswer | undefined {
  const text = unwrapped(normalizeLatex(answer));
  return text === '' ? undefined : { text, structure: parseStructure(text) };
}

/** What `checkAnswer` says of an answer and a gold answer without choices. */
export function equalParsed(
  answer: ParsedAnswer | undefined,
  gold: ParsedAnswer | undefined,
): boolean {
  if (!answer || !gold) return false;
  return answer.text === gold.text || equalStructures(answer.structure, gold.structure);
}
