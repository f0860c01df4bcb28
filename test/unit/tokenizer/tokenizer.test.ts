// Tokenizers against the ids that transformers produced (the pairs files), special tokens, errors.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StopStringMatcher } from '../../../lib/stop-strings.js';
import { loadTokenizer, Tokenizer } from '../../../lib/tokenizer.js';
import { fixtures, sharedPath, stories, tinyArith } from './fixtures.js';

interface Line {
  clean: number[];
  corrupted: number[];
  text: string;
  corrupted_text: string;
}

function readLines(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Line);
}

async function checkFile(folder: string, file: string): Promise<void> {
  const tokenizer = await loadTokenizer(folder);
  const lines = readLines(file);
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    expect(Array.from(tokenizer.encode(line.text))).toEqual(line.clean);
    expect(Array.from(tokenizer.encode(line.corrupted_text))).toEqual(line.corrupted);
    expect(tokenizer.decode(line.clean, { skipSpecialTokens: false })).toBe(line.text);
  }
}

const refusal = (part: string): unknown =>
  expect.objectContaining({
    code: 'ERR_HEADSPARK_TOKENIZER',
    message: expect.stringContaining(part) as string,
  });

describe('loadTokenizer', () => {
  it('gives the ids of the fixtures', async () => {
    await checkFile(tinyArith, join(fixtures, 'pairs', 'tiny-arith.jsonl'));
    await checkFile(stories, join(fixtures, 'pairs', 'stories.jsonl'));
  });

  const smollm = sharedPath('models', 'smollm2-135m');
  it.skipIf(!smollm).each(['ioi-64', 'sums-steps-32', 'sums-direct-32'])(
    'gives the ids of smollm2-135m %s',
    (name) => checkFile(smollm!, join(smollm!, `${name}.jsonl`)),
  );

  it('gives no text to ids beyond its own, which padded vocabularies of models have', async () => {
    const arith = await loadTokenizer(tinyArith);
    expect(arith.decode([arith.vocabSize])).toBe('');
    expect(arith.decode([-1, 2, 11, 99_999, 2], { skipSpecialTokens: false })).toBe('1+1');
    const stops = new StopStringMatcher(arith, ['1+']);
    expect([2, 99_999, 11].map((id) => stops.push(id))).toEqual([false, false, true]);
  });

  it('refuses ids that no vocabulary has', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headspark-ids-'));
    const text = readFileSync(join(tinyArith, 'tokenizer.json'), 'utf8');
    const tokenizer = JSON.parse(text) as { model: { vocab: Record<string, number> } };
    const [token] = Object.keys(tokenizer.model.vocab);
    tokenizer.model.vocab[token] = 1e9;
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    await expect(loadTokenizer(folder)).rejects.toEqual(
      refusal('token id 1000000000, which is not from 0 to 4194303'),
    );
    await rm(folder, { recursive: true });
  });

  it('refuses an eos_token_id that is none', () => {
    const files = JSON.parse(readFileSync(join(tinyArith, 'tokenizer.json'), 'utf8')) as object;
    const made = (eos_token_id: unknown): Tokenizer =>
      new Tokenizer({ folder: 'm', tokenizer: { ...files }, config: { eos_token_id } });
    for (const wrong of ['a', 1e9, 1.5, [1, 'b']]) {
      expect(() => made(wrong)).toThrow(
        /^m\/config\.json: eos_token_id is .*it must be a token id or/,
      );
    }
    expect(made(null).eosIds).toEqual([]);
    expect(made(-1).eosIds).toEqual([]);
    expect(made([1, 3]).eosIds).toEqual([1, 3]);
  });

  it('knows special tokens and end-of-sequence ids', async () => {
    const arith = await loadTokenizer(tinyArith);
    expect(arith.eosIds).toEqual([14]);
    expect([arith.bosId, arith.padId, arith.vocabSize]).toEqual([0, 15, 16]);
    expect(arith.tokenToId('+')).toBe(11);
    expect(arith.tokenToId('%')).toBeUndefined();
    expect(arith.idToToken(13)).toBe('=');
    expect(arith.idToToken(99)).toBeUndefined();
    expect(arith.decode([0, 2, 14])).toBe('1');
    expect(arith.represents('12+3')).toBe(true);
    expect(arith.represents('12 + 3')).toBe(false);
    const story = await loadTokenizer(stories);
    expect([story.eosIds, story.bosId, story.unkId, story.vocabSize]).toEqual([[2], 1, 0, 512]);
  });
});

describe('Tokenizer', () => {
  const read = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(stories, name), 'utf8')) as Record<string, unknown>;

  it('adds bos where tokenizer.json does, whatever tokenizer_config.json says, as transformers 5', () => {
    const make = (change: Record<string, unknown>, single: unknown[]): Tokenizer =>
      new Tokenizer({
        folder: stories,
        tokenizer: {
          ...read('tokenizer.json'),
          post_processor: { type: 'TemplateProcessing', single, pair: [], special_tokens: {} },
        },
        tokenizerConfig: { ...read('tokenizer_config.json'), ...change },
      });
    const text = { Sequence: { id: 'A', type_id: 0 } };
    const bos = { SpecialToken: { id: '<s>', type_id: 0 } };
    const plain = Array.from(make({ add_bos_token: true }, [text]).encode('One day'));
    expect(plain[0]).not.toBe(1);
    const withBos = make({ add_bos_token: false }, [bos, text]);
    expect(Array.from(withBos.encode('One day'))).toEqual([1, ...plain]);
    expect(Array.from(withBos.encode('One day', { addSpecialTokens: false }))).toEqual(plain);
    expect(Array.from(withBos.encode('<s>'))).toEqual([1, 1]);
  });

  it('leaves out of a text the special tokens that tokenizer_config.json alone names', () => {
    const file = read('tokenizer.json') as { added_tokens: object[] };
    const added_tokens = file.added_tokens.map((token) => ({ ...token, special: false }));
    const make = (config: Record<string, unknown>): Tokenizer =>
      new Tokenizer({
        folder: stories,
        tokenizer: { ...file, added_tokens },
        tokenizerConfig: config,
      });
    const ids = [1, ...make({}).encode('One day', { addSpecialTokens: false }), 2];
    expect(make({}).decode(ids)).toBe('<s> One day</s>');
    expect(make({ bos_token: '<s>', eos_token: { content: '</s>' } }).decode(ids)).toBe('One day');
    expect(make({ extra_special_tokens: ['</s>'] }).decode(ids)).toBe('<s> One day');
  });

  it('gives the unknown token of a WordLevel model, or refuses what it cannot spell', () => {
    const make = (model: Record<string, unknown>): Tokenizer =>
      new Tokenizer({
        folder: 'words',
        tokenizer: {
          ...(JSON.parse(readFileSync(join(tinyArith, 'tokenizer.json'), 'utf8')) as object),
          added_tokens: [],
          model: { type: 'WordLevel', vocab: { '#': 0, '1': 1, '<unk>': 2 }, ...model },
        },
      });
    const known = make({ unk_token: '<unk>' });
    expect(Array.from(known.encode('1x#'))).toEqual([1, 2, 0]);
    expect([known.unkId, known.represents('1#'), known.represents('1x')]).toEqual([2, true, false]);
    const strict = make({});
    expect(() => strict.encode('1x#')).toThrow(refusal('has no tokens for all of "1x#"'));
    expect([strict.represents('1'), strict.represents('x')]).toEqual([true, false]);
  });

  it('adds the bos that a post-processor names', () => {
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    };
    const tokenizer = new Tokenizer({
      folder: stories,
      tokenizer: {
        ...read('tokenizer.json'),
        post_processor: { type: 'Sequence', processors: [template] },
      },
      tokenizerConfig: read('tokenizer_config.json'),
    });
    const plain = Array.from(tokenizer.encode('One day', { addSpecialTokens: false }));
    expect(Array.from(tokenizer.encode('One day'))).toEqual([1, ...plain]);
  });

  it('prefers generation_config for the end of a sequence', () => {
    const make = (generationConfig: Record<string, unknown>, config: Record<string, unknown>) =>
      new Tokenizer({
        folder: stories,
        tokenizer: read('tokenizer.json'),
        tokenizerConfig: read('tokenizer_config.json'),
        generationConfig,
        config,
      }).eosIds;
    expect(make({ eos_token_id: [7, 8] }, { eos_token_id: 9 })).toEqual([7, 8]);
    expect(make({}, { eos_token_id: 9 })).toEqual([9]);
    expect(make({ eos_token_id: null }, {})).toEqual([2]);
  });
});

describe('damaged tokenizers', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headspark-tokenizer-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('names the missing file, and what to do', async () => {
    await expect(loadTokenizer(folder)).rejects.toEqual(refusal('tokenizer.json does not exist'));
    await writeFile(join(folder, 'tokenizer.model'), 'x');
    await expect(loadTokenizer(folder)).rejects.toEqual(refusal('SentencePiece'));
  });

  it.each([
    ['{', 'not valid JSON'],
    ['[]', 'must hold a JSON object'],
    ['{}', 'not a usable tokenizer'],
    ['{"model":{"type":"WordLevel","vocab":{}}}', 'not a usable tokenizer'],
    ['{"model":{"type":"WordLevel","vocab":{"a":-1},"unk_token":"a"}}', 'not a usable tokenizer'],
    ['{"model":{"type":"Mystery","vocab":{"a":0}}}', 'not a usable tokenizer'],
  ])('refuses tokenizer.json %s', async (text, part) => {
    await writeFile(join(folder, 'tokenizer.json'), text);
    await expect(loadTokenizer(folder)).rejects.toEqual(refusal(part));
  });

  it('refuses bytes that are not UTF-8', async () => {
    await writeFile(join(folder, 'tokenizer.json'), Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(loadTokenizer(folder)).rejects.toEqual(refusal('not UTF-8'));
  });
});
