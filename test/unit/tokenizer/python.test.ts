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

interface Changes {
  merges?: unknown;
  tokenizerConfig?: Record<string, unknown>;
}

function tokenizerOf(
  { name, model, settings, parts }: Case,
  { merges, tokenizerConfig = {} }: Changes = {},
): Tokenizer {
  const base = golden.models[model];
  const vocab = Object.fromEntries(base.vocab.map((token, id) => [token, id]));
  const made = { ...base, vocab, merges: merges ?? base.merges, ...settings };
  const tokenizer = { version: '1.0', ...parts, model: made };
  return new Tokenizer({ folder: name, tokenizer, tokenizerConfig });
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
    const tokenizer = tokenizerOf(first, { merges });
    const ids = first.texts.map((text) =>
      Array.from(tokenizer.encode(text, { addSpecialTokens: false })),
    );
    expect(ids).toEqual(first.ids);
  });

  it('may leave out what kind of model it has, and its defaults', () => {
    const { parts, model } = first;
    const vocab = Object.fromEntries(golden.models[model].vocab.map((token, id) => [token, id]));
    const { merges } = golden.models[model];
    const tokenizer = new Tokenizer({
      folder: 'old',
      tokenizer: { ...parts, model: { vocab, merges, ignore_merges: true } },
    });
    const ids = first.texts.map((text) =>
      Array.from(tokenizer.encode(text, { addSpecialTokens: false })),
    );
    expect(ids).toEqual(first.ids);
  });

  it('may have a Unigram model that spells what it does not know by bytes', () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase());
    const vocab = [
      ['<unk>', 0],
      ['a', -1],
      ...bytes.map((hex) => [`<0x${hex.padStart(2, '0')}>`, -9]),
    ];
    const make = (byte_fallback: boolean): Tokenizer =>
      new Tokenizer({
        folder: 'unigram',
        tokenizer: {
          ...{ normalizer: null, pre_tokenizer: null, post_processor: null, added_tokens: [] },
          decoder: { type: 'ByteFallback' },
          model: { type: 'Unigram', unk_id: 0, vocab, byte_fallback },
        },
      });
    // As tokenizers 0.23 has them.
    expect(Array.from(make(true).encode('a\u00e9a\n'))).toEqual([1, 0xc3 + 2, 0xa9 + 2, 1, 10 + 2]);
    expect(Array.from(make(false).encode('a\u00e9\u00e9a'))).toEqual([1, 0, 1]);
  });

  it.each([
    [
      { continuing_subword_prefix: '##' },
      'continuing_subword_prefix, which headspark does not know',
    ],
    [{ dropout: 0.1 }, 'a dropout, by which a text has other ids each time'],
  ])('with %j is refused', (settings, part) => {
    expect(() => tokenizerOf({ ...first, settings })).toThrow(part);
    expect(() =>
      tokenizerOf({ ...first, settings: { dropout: null, continuing_subword_prefix: '' } }),
    ).not.toThrow();
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

describe('tokenizer_config.json, as transformers reads it', () => {
  const phi = golden.cases.find(({ name }) => name === 'phi4')!;
  const spelled = (tokenizer: Tokenizer, text: string): (string | undefined)[] =>
    Array.from(tokenizer.encode(text, { addSpecialTokens: false }), (id) =>
      tokenizer.idToToken(id),
    );

  it('has the last word on what added tokens take', () => {
    const plain = tokenizerOf(phi);
    expect(spelled(plain, '<|user|> <|end|> <|im_end|>')).toEqual([
      '<|user|>',
      '<|end|>',
      'Ġ',
      '<|im_end|>',
    ]);
    const id = String(plain.tokenToId('<|end|>'));
    const end = { content: '<|end|>', rstrip: true, special: false };
    const user = { content: '<|user|>', rstrip: false };
    const changed = tokenizerOf(phi, {
      tokenizerConfig: { added_tokens_decoder: { [id]: end, 5: user, 1200: { content: '<new>' } } },
    });
    expect(spelled(changed, '<|user|> <|end|> <|im_end|><new>')).toEqual([
      '<|user|>',
      'Ġ',
      '<|end|>',
      '<|im_end|>',
      '<new>',
    ]);
    expect(changed.tokenToId('<|user|>')).toBe(plain.tokenToId('<|user|>'));
    expect(changed.tokenToId('<new>')).toBe(1200);
    expect(changed.decode(changed.encode('<|end|>x'))).toBe('x');
  });

  it('names special tokens that tokenizer.json has in its vocabulary alone', () => {
    const pieces = golden.cases.find(({ name }) => name === 'marks first, split False')!;
    const parts = { ...pieces.parts, added_tokens: [] };
    const text = '<s>a</s>';
    expect(spelled(tokenizerOf({ ...pieces, parts }), text)).not.toContain('</s>');
    const tokenizerConfig = { bos_token: '<s>', eos_token: { content: '</s>' } };
    const named = tokenizerOf({ ...pieces, parts }, { tokenizerConfig });
    expect(spelled(named, text)).toEqual(['<s>', 'a', '</s>']);
  });
});

it('refuses half of a surrogate pair, as Python does', () => {
  const tokenizer = tokenizerOf(golden.cases[0]);
  expect(() => tokenizer.encode('a\uD83D')).toThrow('half of a surrogate pair');
  expect(tokenizer.represents('\uDE00')).toBe(false);
  expect(tokenizer.decode(tokenizer.encode('a\u{1F600}'))).toBe('a\u{1F600}');
});
