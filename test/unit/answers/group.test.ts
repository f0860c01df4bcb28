// Groups of answers: those of a comparison of each with each, in time for a thousand samples.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { checkAnswer, groupAnswers } from '../../../lib/answers/index.js';

/** As the documentation has it: the first group whose first answer is equal. */
function groupsByPairs(answers: readonly string[]): number[] {
  const first: string[] = [];
  return answers.map((answer) => {
    const found = first.findIndex((other) => answer === other || checkAnswer(answer, other));
    return found >= 0 ? found : first.push(answer) - 1;
  });
}

it('groups as a comparison of each with each does', () => {
  const lines = readFileSync('test/fixtures/answers/pairs-held-out.jsonl', 'utf8').trim();
  const answers = lines.split('\n').flatMap((line) => {
    const { answer, gold } = JSON.parse(line) as { answer: string; gold: string };
    return [answer, gold];
  });
  const mixed = ['x=5', '5', '5.0', '50\\%', '1/2', '50', '0.5', '\\sqrt{25}', '{5}', ...answers];
  expect(groupAnswers(mixed)).toEqual(groupsByPairs(mixed));
});

it.each([
  ['numbers', 1024, (index: number) => String(index)],
  ['formulas', 256, (index: number) => `x^{2}+${index}x+\\sqrt{${index}}`],
])('takes little time over samples that all differ: %s', (_, count, answer) => {
  const start = performance.now();
  const groups = groupAnswers(Array.from({ length: count }, (_, index) => answer(index)));
  expect(new Set(groups).size).toBe(count);
  // Each with each took 15 s and 60 s.
  expect(performance.now() - start).toBeLessThan(5_000);
});
