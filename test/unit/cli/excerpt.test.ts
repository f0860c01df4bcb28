// Texts of files on a terminal: quoted, within their width, cut and marked where they differ.
import { describe, expect, it } from 'vitest';
import { excerpt, excerpts, plain, quoted, wrapped } from '../../../lib/cli/excerpt.js';
import type { Paint } from '../../../lib/cli/output.js';

const mark: Paint = (_, text) => `*${text}*`;
const both = (a: string, b: string, width = 40, lines = 3) =>
  excerpts([a, b], { width, lines, paint: mark });

it('hostile characters are spelled out', () => {
  expect(quoted('a\u001b[2J\n"\u009b1\u202e\u200b')).toBe(
    String.raw`"a\u001b[2J\n\"\u009b1\u202e\u200b"`,
  );
  expect(plain('a\u001b[31m\nb\u2066')).toBe(String.raw`a [31m b\u2066`);
});

describe('excerpts', () => {
  it('show short texts whole, with the words that differ', () => {
    expect(both('Sara said to', 'Samantha said to')).toEqual([
      ['"*Sara* said to"'],
      ['"*Samantha* said to"'],
    ]);
    expect(both('#19+40=', '#33+92=')).toEqual([['"#*19+40*="'], ['"#*33+92*="']]);
    expect(both('same', 'same')).toEqual([['"same"'], ['"same"']]);
    expect(both('a b', 'a b c')).toEqual([['"a b"'], ['"a b* c*"']]);
  });

  it('break lines at spaces, and lose nothing', () => {
    const words = 'When John and Mary went to the shop, John gave a book to'.split(' ');
    const [clean, corrupted] = both(
      words.join(' '),
      words.join(' ').replace(', John', ', Anna'),
      24,
    );
    expect(clean).toEqual(['"When John and Mary went', 'to the shop, *John* gave a', 'book to"']);
    expect(corrupted.join(' ')).toBe(`"${words.join(' ').replace(', John', ', *Anna*')}"`);
  });

  it('cut long texts on both sides of the difference, in the same place', () => {
    const [before, after] = ['before '.repeat(100), ' after'.repeat(100)];
    const [clean, corrupted] = both(`${before}X${after}`, `${before}Y${after}`);
    expect(clean.join(' ')).toBe(corrupted.join(' ').replace('*Y*', '*X*'));
    expect(clean).toHaveLength(3);
    expect(clean[0]).toMatch(/^…/);
    expect(clean[2]).toMatch(/…$/);
    expect(clean.join('\n')).toContain('*X*');
    for (const line of [...clean, ...corrupted]) {
      expect(line.replaceAll('*', '').length).toBeLessThanOrEqual(40);
    }
    const [end] = both(`${before}X`, `${before}Y`, 40, 1);
    expect(end).toHaveLength(1);
    expect(end[0]).toMatch(/^….*\*X\*"$/);
    expect(end[0].replaceAll('*', '')).toHaveLength(40);
  });

  it('give wide characters their room', () => {
    const [clean] = both('問題'.repeat(40), '問題'.repeat(39) + '答案', 20, 2);
    for (const line of clean) expect(line.replaceAll('*', '').length).toBeLessThanOrEqual(11);
    expect(clean.join('')).toContain('*');
  });
});

it('one text loses its end', () => {
  expect(excerpt(' Mary', 10)).toBe('" Mary"');
  expect(excerpt('a long answer', 8)).toBe('"a long…');
});

it('sentences are wrapped', () => {
  expect(wrapped('the line is not\nUTF-8 text.', 12)).toEqual([
    'the line is',
    'not UTF-8',
    'text.',
  ]);
});
