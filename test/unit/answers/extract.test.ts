// Finding the answer in a generated text, hostile and half-finished ones included.
import { describe, expect, it } from 'vitest';
import {
  boxedAnswers,
  extractAnswer,
  groupAnswers,
  statedAnswers,
  stripThinking,
} from '../../../lib/answers/index.js';

const found = (text: string, choice = false) => {
  const answer = extractAnswer(text, { choice });
  return answer && `${answer.source}: ${answer.text}`;
};

describe('extractAnswer', () => {
  it.each([
    ['So \\boxed{3} and then \\boxed{\\frac{1}{2}}.', 'boxed: \\frac{1}{2}'],
    ['nested \\boxed{\\sqrt{\\frac{1}{{2}}}}', 'boxed: \\sqrt{\\frac{1}{{2}}}'],
    ['escaped \\boxed{\\{1,2\\}}', 'boxed: \\{1,2\\}'],
    ['\\fbox{5} or \\boxed 7', 'boxed: 7'],
    ['\\boxed{4} and \\boxed{5', 'boxed: 4'],
    ['\\boxed{} but the answer is 9', 'sentence: 9'],
    ['<answer>\\boxed{12}</answer>', 'boxed: 12'],
    ['<answer> 12 </answer>', 'tag: 12'],
    ['The final answer is $\\frac{3}{4}$.', 'sentence: $\\frac{3}{4}$'],
    ['The answer is: 3.5. I hope so.', 'sentence: 3.5'],
    ['Answer: 17', 'sentence: 17'],
    ['**Answer:** 17', 'sentence: 17'],
    ['The answer is 5, because 2+3 is.', 'sentence: 5'],
    ['It makes 1,234.5 in all, not 7/8', 'number: 7/8'],
    ['we get 10-3', 'number: 3'],
    ['that is -3', 'number: -3'],
    ['50% off', 'number: 50%'],
    ['the total is 3/4.', 'number: 3/4'],
    ['about 1.5e3 of them', 'number: 1.5e3'],
    // GSM8K's mark, and Markdown's headings, which look alike.
    ['The answer is 5.\n#### 7', 'tag: 7'],
    ['#### 72\n\nQuestion: Tom has 3 apples\n#### 3', 'tag: 72'],
    ['#### 1,234\n', 'tag: 1,234'],
    ['#### 1. First\n#### 2 steps\nso 9', 'number: 9'],
    ['The answer is 3 (see above).', 'sentence: 3'],
    ['The answer is that she makes $18.', 'sentence: $18'],
    ['The answer is not 18', 'sentence: not 18'],
    ['The answer is 5!', 'sentence: 5!'],
    ['The answer is July 4', 'sentence: July 4'],
    ['The answer is 2 (x+1)', 'sentence: 2 (x+1)'],
    ['no figures here', undefined],
    ['', undefined],
  ])('%j', (text, expected) => expect(found(text)).toBe(expected));

  it('takes the thoughts out first', () => {
    expect(found('<think>\\boxed{1}</think>\n\\boxed{2}')).toBe('boxed: 2');
    expect(found('<think>\\boxed{1}</think>\n')).toBeUndefined();
    expect(found('<think>\\boxed{1}')).toBeUndefined();
    // The template wrote the opening tag.
    expect(found('so 4\n</think>\\boxed{5}')).toBe('boxed: 5');
    expect(found('<think>a</think>x<think>\\boxed{1}</think>\\boxed{6}')).toBe('boxed: 6');
    expect(stripThinking('<think>a</think>b')).toBe('b');
    expect(stripThinking('<think>a')).toBe('');
  });

  it.each([
    ['The answer is (B).', 'sentence: (B)'],
    ['(A) is wrong, so (C)', 'letter: C'],
    ['\\boxed{\\text{(D)}}', 'boxed: \\text{(D)}'],
    ['B. 12 metres', 'letter: B'],
    ['only 12', undefined],
    ['The answer must be B', 'sentence: B'],
    ['The best answer is D because it is.', 'sentence: D'],
    ['The correct option is C.', 'letter: C'],
    ['Option C is correct. Option A is wrong.', 'letter: C'],
    ['C is correct', 'letter: C'],
    ['C is not correct', undefined],
    ['This is an option A person has', 'letter: A'],
  ])('multiple choice: %j', (text, expected) => expect(found(text, true)).toBe(expected));

  it('takes only the sources that are wanted', () => {
    expect(extractAnswer('the answer is 4', { sources: ['boxed'] })).toBeUndefined();
    expect(extractAnswer('\\boxed{4} 5', { sources: ['number'] })?.text).toBe('5');
  });

  it('says where the answer ends', () => {
    const text = '<think>x</think> It is \\boxed{42}, I think';
    expect(text.slice(0, extractAnswer(text)!.end)).toBe('<think>x</think> It is \\boxed{42}');
  });

  it('is quick on hostile text', () => {
    const start = performance.now();
    for (const piece of [
      '\\boxed{',
      '{',
      'answer is ',
      '<answer>',
      '<think>',
      ' ',
      '1,',
      '(A',
      '*',
    ]) {
      extractAnswer(piece.repeat(20_000));
      extractAnswer(piece.repeat(20_000), { choice: true });
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

it('lists everything that was stated, in order', () => {
  const text = '<think>the answer is 3\nno, \\boxed{4}</think>\\boxed{5}';
  expect(statedAnswers(text).map((item) => item.text)).toEqual(['3', '4', '5']);
  expect(boxedAnswers('\\boxedx{3} \\boxed{a}{b}')).toEqual([{ text: 'a', end: 20 }]);
});

it('groups answers that say the same', () => {
  expect(groupAnswers(['1/2', '0.5', undefined, '2', '\\frac12', '2.0'])).toEqual([
    0,
    0,
    undefined,
    1,
    0,
    1,
  ]);
});
