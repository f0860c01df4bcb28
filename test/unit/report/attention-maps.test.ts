// Attention maps as pictures: every cell in its place, long prompts cut, texts escaped.
import { describe, expect, it } from 'vitest';
import {
  attentionMapPicture,
  sideBySide,
  visibleToken,
} from '../../../lib/report/figures/attention-maps.js';

const map = (tokens: string[], rows: number[][]) => ({ head: 'a1.h2', prompt: 0, tokens, rows });

describe('attentionMapPicture', () => {
  it('puts what is read into the column of the key and the row of the query', () => {
    const { body, width } = attentionMapPicture(
      map(['a', 'b', '<c>'], [[1], [0.5, 0.5], [0.02, 0.9, 0.08]]),
    );
    expect(body).toContain('a1.h2 · prompt 1');
    expect(body).toContain('<rect x="0" y="0" width="9.4" height="9.4" fill-opacity="1">');
    expect(body).toContain('<rect x="10" y="20" width="9.4" height="9.4" fill-opacity="0.95">');
    expect(body).toContain('reads “b” (2): 0.90');
    // Faint attention is a path; what is under 0.03 is not drawn.
    expect(body).toMatch(/<path fill-opacity="0\.38" d="M20,20h9\.4v9\.4h-9\.4z"\/>/);
    expect(body).not.toMatch(/x="0" y="20"|M0,20/);
    expect(body).toContain('&#60;c&#62;');
    expect(body).not.toContain('<c>');
    expect(width).toBe(220);
  });

  it('lifts signs below the line off the label after them', () => {
    const { body } = attentionMapPicture(map([' ', '9'], [[1], [0, 1]]));
    expect(body).toContain('<text x="-5" y="5.5">␣</text><text x="-5" y="18">9</text>');
    expect(body).toMatch(/translate\(5\.5,\d+\)rotate\(-90\)">␣/);
  });

  it('draws the last 64 tokens, and one column for all before them', () => {
    const length = 80;
    const rows = Array.from({ length }, (_, query) =>
      Array.from({ length: query + 1 }, (_unused, key) => (key === 0 ? 1 : 0)),
    );
    const { body, height } = attentionMapPicture(
      map(
        rows.map((_, index) => `t${index}`),
        rows,
      ),
    );
    expect(body).toContain('… 16 before');
    expect(body.match(/reads the 16 tokens before: 1\.00/g)).toHaveLength(64);
    expect(body).not.toContain('>t15<');
    expect(body).toContain('>t16<');
    expect(height).toBeGreaterThan(64 * 10);
  });
});

it('visibleToken shows white space, and drops the space before a word', () => {
  expect(['\n\n', ' ', ' the', '\t', ' a very long token indeed'].map(visibleToken)).toEqual([
    '↵↵',
    '␣',
    'the',
    '⇥',
    'a␣very␣long␣t…',
  ]);
});

it('sideBySide begins a new row where pictures do not fit', () => {
  const picture = { body: '<g/>', width: 300, height: 100 };
  const { width, height } = sideBySide([picture, picture, picture], 700);
  expect([width, height]).toEqual([616, 216]);
});
