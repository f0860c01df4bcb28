// Answers to one problem put into groups that say the same, for majority votes.
import { checkList } from '../argument-checks.js';
import {
  checkAnswer,
  equalParsed,
  parseAnswer,
  type CheckOptions,
  type ParsedAnswer,
} from './check.js';
import { normalizeLatex } from './normalize.js';
import { formatRational, parseRational } from './rational.js';

interface Candidate {
  readonly answer: string;
  /** Undefined where it is empty, or a choice. */
  readonly parsed: ParsedAnswer | undefined;
}

/** The first answers of the groups, and which of them may equal one more. */
class Groups {
  readonly #first: Candidate[] = [];
  /** Groups of plain numbers by value: most answers are, and a number equals no other one. */
  readonly #numbers = new Map<string, number>();
  readonly #others: number[] = [];
  readonly #options: CheckOptions;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** The first group that the answer equals, or a new one. */
  groupOf(answer: string): number {
    const parsed = this.#options.choices ? undefined : parseAnswer(answer);
    const number = parsed && parseRational(parsed.text);
    const value = number && formatRational(number);
    const known = value === undefined ? undefined : this.#numbers.get(value);
    const places = value === undefined ? this.#first.keys() : this.#others;
    for (const place of places) {
      if (known !== undefined && place > known) break;
      if (this.#equal({ answer, parsed }, this.#first[place])) return place;
    }
    if (known !== undefined) return known;
    const added = this.#first.length;
    if (value === undefined) this.#others.push(added);
    else this.#numbers.set(value, added);
    this.#first.push({ answer, parsed });
    return added;
  }

  #equal(answer: Candidate, first: Candidate): boolean {
    if (this.#options.choices) return checkAnswer(answer.answer, first.answer, this.#options);
    return equalParsed(answer.parsed, first.parsed);
  }
}

/**
 * A group number for every answer, in order of first appearance; undefined for no answer. Two
 * answers share a group when they are equal to the group's first one.
 */
export function groupAnswers(
  answers: readonly (string | undefined)[],
  options: CheckOptions = {},
): (number | undefined)[] {
  checkList('groupAnswers', 'answers', answers);
  const byText = new Map<string, number>();
  const groups = new Groups(options);
  return answers.map((answer) => {
    if (answer === undefined) return undefined;
    const text = normalizeLatex(answer);
    const group = byText.get(text) ?? groups.groupOf(answer);
    byText.set(text, group);
    return group;
  });
}
