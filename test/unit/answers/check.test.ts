// Checking: multiple choice, exact numbers, and answers made to stall or confuse the checker.
import { describe, expect, it } from 'vitest';
import { checkAnswer, choiceLetter, parseRational } from '../../../lib/answers/index.js';

const choices = ['12 m', '24 m', '\\frac{1}{2}', 'none of these'];

describe('multiple choice', () => {
  it.each([
    ['B', 'B', true],
    ['(b)', 'B', true],
    ['\\text{(B)}', 'B', true],
    ['option B', 'B', true],
    ['B) 24 m', 'B', true],
    ['A', 'B', false],
    ['E', 'B', false],
    ['24 m', 'B', true],
    ['0.5', 'C', true],
    ['12', 'B', false],
    ['', 'B', false],
    ['A and B', 'B', false],
  ])('%j for %j: %s', (answer, gold, right) => {
    expect(checkAnswer(answer, gold, { choices })).toBe(right);
  });

  it('knows only the letters that the problem has', () => {
    expect(choiceLetter('D', 3)).toBeUndefined();
    expect(choiceLetter('D', 4)).toBe('D');
  });
});

describe('exact numbers', () => {
  it.each([
    ['1,234.50', '2469/2'],
    ['-1\\frac{1}{2}', '-3/2'],
    ['.5', '1/2'],
    ['0.1\\overline{6}', '1/6'],
    ['1.2e-3', '3/2500'],
    ['\\frac{1}{0}', undefined],
    ['1/0', undefined],
    ['1 2', undefined],
    ['1,23', undefined],
    ['1e999999999', undefined],
    ['9'.repeat(1000), undefined],
    ['', undefined],
    ['.', undefined],
    ['-', undefined],
  ])('%j is %s', (text, expected) => {
    const value = parseRational(text);
    const shown =
      value && `${value.numerator}${value.denominator === 1n ? '' : `/${value.denominator}`}`;
    expect(shown).toBe(expected);
  });

  it('does not round', () => {
    expect(checkAnswer('0.1', '0.1000000000000000000001')).toBe(false);
    expect(checkAnswer('12345678901234567890', '12345678901234567891')).toBe(false);
  });
});

describe('wrong answers that look alike', () => {
  it.each([
    // Not words: their signs count.
    ['x+1', 'x-1'],
    ['n^2', 'n-2'],
    ['a/b', 'a-b'],
    // Equal to twelve digits and more.
    ['2^{40}', '1099511627775'],
    ['20!', '2432902008176640001'],
    ['1-2^{-40}', '1'],
    ['2^{-100}', '2^{-101}'],
    // Four times s.
    ['4', '4s'],
    ['2x = 10', '10'],
    ['18 dozen eggs', '18'],
    ['7:30 a.m.', '7:30 p.m.'],
  ])('%j for %j', (answer, gold) => expect(checkAnswer(answer, gold)).toBe(false));
});

describe('right answers in other forms', () => {
  it.each([
    ['-1+n', 'n-1'],
    ['2^{1000}', '4^{500}'],
    ['1<x<2', '(1,2)'],
    ['3<x', '(3,\\infty)'],
    ['\\{x \\mid x > 3\\}', '(3,\\infty)'],
    ['\\mathbb{R} \\setminus \\{3\\}', '(-\\infty,3)\\cup(3,\\infty)'],
    [
      '\\left[\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right]',
      '\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}',
    ],
    ['m+n = 25', '25'],
    ['f(2) = 7', '7'],
    ['\\angle ABC = 30^\\circ', '30'],
    ['\\approx 3.14', '3.14'],
    ['`5`', '5'],
    ['12\\,345\\,678', '12345678'],
    ['1.2 x 10^3', '1200'],
    ['0.333...', '\\frac13'],
    ['0.\\bar{3}', '\\frac13'],
    ['$\\$18$', '18'],
    ['18 red marbles', '18'],
    ['$18 every day', '18'],
    ['36\\pi\\text{ cubic inches}', '36\\pi'],
    ['3:30 p.m.', '3:30 PM'],
    ['11:30 am', '11:30'],
  ])('%j for %j', (answer, gold) => expect(checkAnswer(answer, gold)).toBe(true));
});

describe('hostile answers', () => {
  const hostile = [
    '9^{9^{9^{9}}}',
    '100000!',
    '10^{400000}',
    '\\sum_{k=1}^{100000000} k',
    '\\int_0^1 x\\,dx',
    '(x+1)^{60}(y+1)^{60}(z+1)^{60}',
    '('.repeat(5000),
    '{'.repeat(5000),
    '\\frac{'.repeat(400),
    '\\sqrt{'.repeat(400),
    '\\text{'.repeat(400),
    '1,'.repeat(900),
    `${'((1,2),'.repeat(200)}`,
    '\\pm'.repeat(500),
    `\\begin{pmatrix}${'1&'.repeat(800)}\\end{pmatrix}`,
    '\u0000\uFFFF',
    'x'.repeat(1_000_000),
    'a'.repeat(2000) + ' and '.repeat(200),
    '$'.repeat(3000),
    '-'.repeat(3000),
    '='.repeat(3000),
    '|'.repeat(299),
    '!'.repeat(299),
    'x!'.repeat(140),
    'x^'.repeat(149),
    '\\sin'.repeat(70),
    '(1)'.repeat(99),
    '((x+1)^{60}(y+1)^{60}(z+1)^{60}+1)^{60}',
  ];
  it.each(hostile)('%.40s', (answer) => {
    const start = performance.now();
    for (const gold of ['5', '\\frac{x}{2}', '\\{1,2\\}', '(1,2)']) {
      expect(checkAnswer(answer, gold)).toBe(false);
    }
    expect(performance.now() - start).toBeLessThan(15_000);
  });
});
