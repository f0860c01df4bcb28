// Kinds of tokens by their decoded text.
import { describe, expect, it } from 'vitest';
import {
  classBit,
  classifyTokens,
  classOfText,
  thinkMarkers,
  tokenClasses,
} from '../../../lib/heads/token-classes.js';

const seen = (...texts: string[]) => texts.map((text) => ({ text, special: false }));
const names = (bits: number[]) =>
  bits.map((bit) => tokenClasses.find((name) => classBit(name) === bit) ?? '');

describe('classOfText', () => {
  it.each([
    ['digits', ['7', ' 12', '1,000', '3.5', '٣']],
    ['operators', ['+', ' =', '**', '<=', '×', '\\times', ' \\frac', '≤', '->']],
    ['delimiters', ['(', ' ).', '\n\n', '$', ':', '\\', ' |', '”', ' \n']],
    [undefined, ['', ' ', 'two', 'x2', 'a+b', '\\alpha', '1st', '\uFFFD', 'ab.', '3+4', '.5x']],
  ])('%s', (expected, texts) => {
    for (const text of texts)
      expect([text, classOfText({ text, special: false })]).toEqual([text, expected]);
  });

  it('takes special tokens as delimiters', () => {
    expect(classOfText({ text: '<|im_start|>', special: true })).toBe('delimiters');
    expect(classOfText({ text: '7', special: true })).toBe('delimiters');
  });
});

describe('classifyTokens', () => {
  it('finds think markers of one token and of several', () => {
    expect(
      names(classifyTokens(seen('Hi', '<think>', '\n', '1', '</', 'think', '>', '\n'))),
    ).toEqual(['', 'think', 'delimiters', 'digits', 'think', 'think', 'think', 'delimiters']);
  });

  it('leaves the first token to its own property, unless it says more', () => {
    const first = { text: '<|im_start|>', special: true };
    expect(names(classifyTokens([first, first]))).toEqual(['', 'delimiters']);
    expect(names(classifyTokens(seen('(', '(')))).toEqual(['', 'delimiters']);
    expect(names(classifyTokens(seen('7', '+')))).toEqual(['digits', 'operators']);
    expect(names(classifyTokens(seen('<think>')))).toEqual(['think']);
  });

  it('takes a token that only begins in a marker along, and no neighbour', () => {
    expect(names(classifyTokens(seen('a<', 'think', '>b', '>')))).toEqual([
      'think',
      'think',
      'think',
      'operators',
    ]);
  });

  it('knows only the markers it is given', () => {
    const tokens = seen('<think>', '<plan>', '<', 'plan', '>');
    expect(names(classifyTokens(tokens, ['<plan>']))).toEqual([
      '',
      'think',
      'think',
      'think',
      'think',
    ]);
    expect(names(classifyTokens(tokens, []))).toEqual(['', '', 'operators', '', 'operators']);
    expect(names(classifyTokens(seen('a', 'b'), ['']))).toEqual(['', '']);
    expect(thinkMarkers).toContain('<think>');
  });

  it('gives a token one class at most', () => {
    for (const bits of classifyTokens(seen('<think>', '7', '+', '(', 'x', ''))) {
      expect([0, 1, 2, 4, 8]).toContain(bits);
    }
  });
});
