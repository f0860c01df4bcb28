// Answers in words and in school notation: what they say, and what only looks like it.
import { describe, expect, it } from 'vitest';
import { checkAnswer } from '../../../lib/answers/index.js';

describe('wording', () => {
  it.each([
    ['seventeen', '17', true],
    ['Twenty-one', '21', true],
    ['\\text{forty two}', '42', true],
    ['thirty', '13', false],
    ['twenty-twelve', '32', false],
    ['one third', '3', false],
    ['2.5 thousand', '2500', true],
    ['\\$1.25 million', '1250000', true],
    ['1.5 million', '150000', false],
    ['1.2345 thousand', '1234.5', true],
    ['12 billion', '12,000,000,000', true],
    ['\\mathbb{R}', '(-\\infty,\\infty)', true],
    ['\\text{all real numbers}', '(-\\infty,\\infty)', true],
    ['x \\in \\mathbb R', '(-\\infty,\\infty)', true],
    ['\\mathbb{Z}', '(-\\infty,\\infty)', false],
    ['\\mathbb{R}', '[0,\\infty)', false],
    ['no solutions', '\\emptyset', true],
    ['no solution', '0', false],
    ['x \\le -1 \\text{ or } x > 3', '(-\\infty,-1]\\cup(3,\\infty)', true],
    ['x > 3 or x \\le -1', '(-\\infty,-1]\\cup(3,\\infty)', true],
    ['x < -1 or x > 3', '(-\\infty,-1]\\cup(3,\\infty)', false],
    ['x < -1 or y > 3', '(-\\infty,-1)\\cup(3,\\infty)', false],
    ['x = 1 or x = 3', '\\{1,3\\}', true],
    ['x \\ne 0', '(-\\infty,0)\\cup(0,\\infty)', true],
    ['x \\ne 0', '(-\\infty,0)', false],
    ['x \\ne 1', '(-\\infty,0)\\cup(0,\\infty)', false],
    ['\\sin^{-1}(1)', '\\frac{\\pi}{2}', true],
    ['\\sin^{-1}(1)', '\\frac{1}{\\sin 1}', false],
    ['\\sin(30^\\circ)', '\\frac12', true],
    ['\\cos 60', '\\frac12', false],
    ['\\tan 45^\\circ', '0', false],
    ['45^\\circ', '45', true],
  ])('%j for %j: %s', (answer, gold, right) => {
    expect(checkAnswer(answer, gold)).toBe(right);
  });
});
