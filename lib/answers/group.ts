// Answers to one problem put into groups that say the same, for majority votes.
import { checkList } from '../argument-checks.js';
import { checkAnswer, type CheckOptions } from './check.js';
import { normalizeLatex } from './normalize.js';

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
  const first: string[] = [];
  return answers.map((answer) => {
    if (answer === undefined) return undefined;
    const text = normalizeLatex(answer);
    const seen = byText.get(text);
    if (seen !== undefined) return seen;
    let group = first.findIndex((other) => checkAnswer(answer, other, options));
    if (group < 0) group = first.push(answer) - 1;
    byText.set(text, group);
    return group;
  });
}
