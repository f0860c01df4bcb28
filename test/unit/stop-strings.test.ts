// Stop strings over token boundaries, in the middle of tokens, and beside unfinished characters.
import { describe, expect, it } from 'vitest';
import { StopStringMatcher, TextStream, type TokenDecoder } from '../../lib/stop-strings.js';

/** Each token is some bytes of UTF-8, as in byte-level BPE. */
function bytesDecoder(pieces: readonly (string | readonly number[])[]): TokenDecoder {
  const bytes = pieces.map((piece) =>
    typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece),
  );
  return { decode: (ids) => Buffer.concat(Array.from(ids, (id) => bytes[id])).toString('utf8') };
}

/** Drops the space before the first word, as SentencePiece decoders do. */
function wordDecoder(words: readonly string[]): TokenDecoder {
  return {
    decode: (ids) =>
      Array.from(ids, (id) => words[id])
        .join('')
        .replace(/^ /, ''),
  };
}

/** The place of the token at which the matcher stops; -1 when it does not. */
function stopAt(decoder: TokenDecoder, tokens: readonly number[], strings: string[]): number {
  const matcher = new StopStringMatcher(decoder, strings);
  return tokens.findIndex((token) => matcher.push(token));
}

describe('StopStringMatcher', () => {
  it('finds a string in one token, over several, and from the middle of one', () => {
    const decoder = bytesDecoder(['ab', 'c', 'd\n\nQ', ': x', 'ab\n']);
    expect(stopAt(decoder, [0, 1, 2, 3], ['c'])).toBe(1);
    expect(stopAt(decoder, [0, 1, 2, 3], ['\n\nQ:'])).toBe(3);
    expect(stopAt(decoder, [0, 1, 2, 3], ['bcd'])).toBe(2);
    expect(stopAt(decoder, [0, 1, 2, 3], ['zzz', 'Q: y'])).toBe(-1);
    expect(stopAt(decoder, [4, 4, 4], ['\nab\nab'])).toBe(2);
    expect(stopAt(decoder, Array<number>(50).fill(0), ['c'])).toBe(-1);
  });

  it('equals a search of the whole text at every token', () => {
    const pieces = ['a', 'b', 'ab', 'ba\n', '\n', ' a', [0xe2], [0x82], [0xac], 'é'];
    const decoder = bytesDecoder(pieces);
    let state = 7;
    const next = (limit: number) => (state = (state * 48271) % 2147483647) % limit;
    let found = 0;
    for (let round = 0; round < 500; round++) {
      const tokens = Array.from({ length: 30 }, () => next(pieces.length));
      const strings = ['abab', '\n\n', 'b\na', '€a'].slice(next(4));
      const expected = tokens.findIndex((_, place) => {
        const text = decoder.decode(tokens.slice(0, place + 1));
        return strings.some((string) => text.includes(string));
      });
      expect(stopAt(decoder, tokens, strings)).toBe(expected);
      if (expected >= 0) found++;
    }
    expect(found).toBeGreaterThan(100);
  });

  it('sees a string before the bytes of an unfinished character, and in many-token characters', () => {
    const decoder = bytesDecoder([[0x45, 0x4e, 0x44, 0xe2], [0x82], [0xac], 'x']);
    expect(stopAt(decoder, [0, 1, 2], ['END'])).toBe(0);
    expect(stopAt(decoder, [0, 1, 2], ['END€'])).toBe(2);
    expect(stopAt(decoder, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3], ['x'])).toBe(10);
  });

  it('keeps the spaces that a decoder drops at the start of a text only', () => {
    const decoder = wordDecoder([' The', ' end', '.', ' of']);
    expect(stopAt(decoder, [0, 1, 3, 0, 1, 2], ['The end of'])).toBe(2);
    expect(stopAt(decoder, [0, 3, 0, 1, 2], ['end.'])).toBe(4);
  });
});

describe('TextStream', () => {
  it('gives whole characters, whose concatenation is the text', () => {
    const decoder = bytesDecoder(['Preis: ', [0xe2], [0x82], [0xac], '5']);
    const stream = new TextStream(decoder, { skipSpecialTokens: true });
    expect([0, 1, 2, 3, 4].map((token) => stream.push(token))).toEqual([
      'Preis: ',
      '',
      '',
      '€',
      '5',
    ]);
    expect(stream.push(1)).toBe('');
    expect(stream.flush()).toBe('\uFFFD');
    expect(stream.flush()).toBe('');
  });
});
