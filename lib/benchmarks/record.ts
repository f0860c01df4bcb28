// From one record of a benchmark file to a problem. Files differ in the names of their keys; GSM8K
// hides its answer behind "####", GPQA has one right and three wrong answers.
import { createHash } from 'node:crypto';
import { choiceLetters } from '../answers/choice.js';
import { boxedAnswers } from '../answers/extract.js';
import { pairError, quote } from '../pairs/pair-error.js';
import { Random } from '../stats/random.js';
import type { Problem } from './types.js';

export type RawRecord = Record<string, unknown>;

export interface RecordPlace {
  readonly file: string;
  readonly line: number;
  /** Position among the problems, from 0. */
  readonly index: number;
}

const problemKeys = ['problem', 'question', 'prompt', 'Question', 'Problem'] as const;
const answerKeys = ['answer', 'expected_answer', 'final_answer', 'Answer', 'solution'] as const;
const choiceKeys = ['choices', 'options'] as const;

/** Longest problem in characters. */
const maxText = 100_000;
const maxAnswer = 2_000;

const firstKey = (raw: RawRecord, keys: readonly string[]): string | undefined =>
  keys.find((key) => raw[key] !== undefined && raw[key] !== null);

function textOf(raw: RawRecord, key: string, place: RecordPlace): string {
  const value = raw[key];
  if (typeof value !== 'string' || value.trim() === '') {
    throw pairError(place, `"${key}" must be text that is not empty.`);
  }
  if (value.length > maxText) {
    throw pairError(place, `"${key}" has ${value.length} characters; at most ${maxText} are read.`);
  }
  return value.trim();
}

/** `27.0` of a file that stores numbers as floats becomes `27`. */
function answerOf(raw: RawRecord, key: string, place: RecordPlace): string {
  const value = raw[key];
  if (typeof value === 'number' && Number.isFinite(value)) {
    // JSON.parse has rounded it.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw pairError(place, `"${key}" is a number beyond 2^53; write it as text.`);
    }
    return String(value);
  }
  if (typeof value !== 'string') throw pairError(place, `"${key}" must be text or a number.`);
  // GSM8K: the worked solution, then "#### " and the answer. MATH: a solution with its answer in a box.
  const marked = /####\s*([^\n]+)\s*$/.exec(value);
  const answer = (marked?.[1] ?? boxedAnswers(value).at(-1)?.text ?? value).trim();
  if (answer === '') throw pairError(place, `"${key}" is empty.`);
  if (answer.length > maxAnswer) {
    throw pairError(
      place,
      `"${key}" has ${answer.length} characters, which is a text and no answer; end it with ` +
        '"#### ANSWER" or \\boxed{ANSWER}, or add a key "answer".',
    );
  }
  return answer;
}

function withOptions(question: string, choices: readonly string[]): string {
  const lines = choices.map((choice, index) => `(${choiceLetters[index]}) ${choice}`);
  return `${question}\n\n${lines.join('\n')}`;
}

function checkChoices(choices: readonly unknown[], place: RecordPlace): string[] {
  const texts = choices.map((choice) => (typeof choice === 'number' ? String(choice) : choice));
  const fits = texts.every((text) => typeof text === 'string' && text.trim() !== '');
  if (!fits || texts.length < 2 || texts.length > choiceLetters.length) {
    throw pairError(place, `the options must be 2 to ${choiceLetters.length} texts.`);
  }
  const list = (texts as string[]).map((text) => text.trim());
  if (new Set(list).size !== list.length) throw pairError(place, 'two options are the same.');
  return list;
}

/** GPQA's columns; the options are put in an order that depends on the question alone. */
function gpqaProblem(raw: RawRecord, place: RecordPlace): Problem {
  const question = textOf(raw, 'Question', place);
  const names = [
    'Correct Answer',
    'Incorrect Answer 1',
    'Incorrect Answer 2',
    'Incorrect Answer 3',
  ];
  const [right, ...wrong] = names.map((name) => textOf(raw, name, place));
  checkChoices([right, ...wrong], place);
  const seed = createHash('sha256').update(question).digest().readUInt32LE(0);
  const choices = new Random(seed).shuffle([right, ...wrong]);
  return {
    id: idOf(raw, place),
    text: withOptions(question, choices),
    answer: choiceLetters[choices.indexOf(right)],
    choices,
  };
}

function choiceProblem(raw: RawRecord, key: string, place: RecordPlace): Problem {
  const value = raw[key];
  if (!Array.isArray(value)) throw pairError(place, `"${key}" must be a list of options.`);
  const choices = checkChoices(value, place);
  const question = textOf(raw, problemKey(raw, place), place);
  const given = raw[answerKey(raw, place)];
  const byIndex = typeof given === 'number' ? choiceLetters[given] : undefined;
  const text = String(given).trim();
  const byText = choices.indexOf(text);
  const answer = byIndex ?? (byText >= 0 ? choiceLetters[byText] : text.toUpperCase());
  if (answer === '' || !choiceLetters.slice(0, choices.length).includes(answer)) {
    throw pairError(
      place,
      `the answer ${quote(text)} is neither a letter, a number from 0 nor the text of an option.`,
    );
  }
  return { id: idOf(raw, place), text: withOptions(question, choices), answer, choices };
}

/** The first of the keys that holds something. `what` names them in the refusal. */
function neededKey(
  raw: RawRecord,
  { keys, what }: { keys: readonly string[]; what: string },
  place: RecordPlace,
): string {
  const key = firstKey(raw, keys);
  if (key !== undefined) return key;
  const empty = keys.find((name) => raw[name] === null);
  if (empty !== undefined) {
    throw pairError(place, `"${empty}" is null; give it, or leave the line out.`);
  }
  const own = Object.keys(raw).slice(0, 8).join(', ') || 'none';
  throw pairError(place, `there is no ${what}; the keys are: ${own}.`);
}

const problemKey = (raw: RawRecord, place: RecordPlace): string =>
  neededKey(raw, { keys: problemKeys, what: '"problem" or "question"' }, place);

const answerKey = (raw: RawRecord, place: RecordPlace): string =>
  neededKey(raw, { keys: answerKeys, what: '"answer"' }, place);

function idOf(raw: RawRecord, place: RecordPlace): string {
  const key = firstKey(raw, ['id', 'unique_id', 'ID', 'Record ID', 'problem_id']);
  const value = key === undefined ? undefined : raw[key];
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string' || value.trim() === '' || value.length > 200) {
    return String(place.index);
  }
  return value.trim();
}

/**
 * The problem of one record.
 * @throws ERR_HEADSPARK_PAIR_FORMAT at file:line for missing, empty or oversized fields.
 */
export function problemOf(value: unknown, place: RecordPlace): Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw pairError(place, 'each problem must be a JSON object with "problem" and "answer".');
  }
  const raw = value as RawRecord;
  if (raw['Correct Answer'] !== undefined) return gpqaProblem(raw, place);
  const choices = firstKey(raw, choiceKeys);
  if (choices !== undefined) return choiceProblem(raw, choices, place);
  const text = textOf(raw, problemKey(raw, place), place);
  return { id: idOf(raw, place), text, answer: answerOf(raw, answerKey(raw, place), place) };
}
