// Token ids and texts of Python's tokenizers, for tokenizers of the kinds that models have
// (scripts/fixtures/token_ids.py makes them).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../lib/tokenizer.js';
import { fixtures } from './fixtures.js';

interface Model {
  vocab: string[];
  merges: [string, string][];
  [setting: string]: unknown;
}

interface Case {
  name: string;
  model: string;
  settings: Record<string, unknown>;
  parts: Record<string, unknown>;
  bos: number;
  texts: string[];
  ids: number[][];
  /** Ids, their text, and that without special tokens where it is another. */
  decoded: [number[], string, string?][];
}

const file = join(fixtures, 'tokenizer', 'python', 'token-ids.json');
const golden = JSON.parse(readFileSync(file, 'utf8')) as {
  models: Record<string, Model>;
  cases: Case[];
};

function tokenizerOf({ name, model, settings, parts }: Case, merges?: unknown): Tokenizer {
  const base = golden.models[model];
  const vocab = Object.fromEntries(base.vocab.map((token, id) => [token, id]));
  const made = { ...base, vocab, merges: merges ?? base.merges, ...settings };
  return new Tokenizer({ folder: name, tokenizer: { version: '1.0', ...parts, model: made } });
}

describe.each(golden.cases)('$name', (one) => {
  const tokenizer = tokenizerOf(one);

  it('has the ids of Python', () => {
    one.texts.forEach((text, index) => {
      const ids = Array.from(tokenizer.encode(text, { addSpecialTokens: false }));
      expect(ids, JSON.stringify(text)).toEqual(one.ids[index]);
      expect(Array.from(tokenizer.encode(text))).toEqual([one.bos, ...ids]);
    });
  });

  it('has the texts of Python', () => {
    for (const [ids, whole, short = whole] of one.decoded) {
      expect(tokenizer.decode(ids, { skipSpecialTokens: false }), ids.join()).toBe(whole);
      expect(tokenizer.decode(ids), ids.join()).toBe(short);
    }
  });
});

describe('a tokenizer.json', () => {
  const [first] = golden.cases;

  it('may have its merges as texts', () => {
    const merges = golden.models[first.model].merges.map((pair) => pair.join(' '));
    const tokenizer = tokenizerOf(first, merges);
    const ids = first.texts.map((text) =>
      Array.from(tokenizer.encode(text, { addSpecialTokens: false })),
    );
    expect(ids).toEqual(first.ids);
  });

  it.each([
    ['normalizer', 'Precompiled'],
    ['normalizer', 'BertNormalizer'],
    ['pre_tokenizer', 'UnicodeScripts'],
  ])('with a %s %s is refused by name', (part, type) => {
    const make = (): Tokenizer =>
      tokenizerOf({ ...first, parts: { ...first.parts, [part]: { type } } });
    expect(make).toThrow(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_TOKENIZER',
        message: expect.stringContaining(`${type} is not one that headspark reads.`) as string,
      }),
    );
  });
});

it('refuses half of a surrogate pair, as Python does', () => {
  const tokenizer = tokenizerOf(golden.cases[0]);
  expect(() => tokenizer.encode('a\uD83D')).toThrow('half of a surrogate pair');
  expect(tokenizer.represents('\uDE00')).toBe(false);
  expect(tokenizer.decode(tokenizer.encode('a\u{1F600}'))).toBe('a\u{1F600}');
});
