// Malformed answers: what is wrong with the form of a text, whatever its content.
import { answerStart, boxedAnswers, extractAnswer, type AnswerSource } from '../answers/extract.js';
import { normalizeLatex } from '../answers/normalize.js';

export const formProblems = [
  'no-answer',
  'open-thought',
  'unbalanced-box',
  'empty-box',
  'several-boxes',
] as const;
export type FormProblem = (typeof formProblems)[number];

/**
 * What is wrong with the form: no explicit answer (box, tag, sentence, letter: a last number is a
 * guess of the reader), a thought that is never closed, a box that is not closed or empty, boxes
 * after the thoughts that say different things.
 */
export function formProblemsOf(
  text: string,
  options: { choice?: boolean; sources?: readonly AnswerSource[] } = {},
): FormProblem[] {
  const start = answerStart(text);
  if (start === undefined) return ['no-answer', 'open-thought'];
  const after = text.slice(start);
  const problems: FormProblem[] = [];
  const answer = extractAnswer(text, options);
  if (!answer || answer.source === 'number') problems.push('no-answer');
  const boxes = boxedAnswers(after);
  const opened = after.match(/\\f?boxed\s*\{/g)?.length ?? 0;
  const braced = boxes.filter(({ end }) => after[end - 1] === '}').length;
  if (opened > braced) problems.push('unbalanced-box');
  if (boxes.some((box) => box.text.trim() === '')) problems.push('empty-box');
  const contents = new Set(
    boxes.map((box) => normalizeLatex(box.text)).filter((box) => box !== ''),
  );
  if (contents.size > 1) problems.push('several-boxes');
  return problems;
}
