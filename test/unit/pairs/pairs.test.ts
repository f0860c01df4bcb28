// Reading pairs files: ids and text, answers, chat prompts with openings, and every refusal.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadChatTemplate, type ChatTemplate } from '../../../lib/chat-template.js';
import { pairsHash, readPairs, writePairs, type ReadPairsOptions } from '../../../lib/pairs.js';
import { loadTokenizer, type Tokenizer } from '../../../lib/tokenizer.js';
import { fixtures, qwenLike, sharedPath, stories, tinyArith } from '../tokenizer/fixtures.js';

let folder: string;
let arith: Tokenizer;
let story: Tokenizer;
let template: ChatTemplate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-pairs-'));
  arith = await loadTokenizer(tinyArith);
  story = await loadTokenizer(stories);
  template = (await loadChatTemplate(qwenLike))!;
});
afterAll(() => rm(folder, { recursive: true }));

async function file(...lines: unknown[]): Promise<string> {
  const path = join(folder, 'pairs.jsonl');
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  await writeFile(path, text.join('\n'));
  return path;
}

const read = async (line: unknown, options: ReadPairsOptions = {}) =>
  (await readPairs(await file(line), options))[0];

const good = { clean: [1, 2, 3], corrupted: [1, 4, 3], correct: 5, incorrect: [6, 7] };

describe('token ids', () => {
  it('reads ids, lines and lists', async () => {
    const pairs = await readPairs(await file(good, '', { ...good, correct: [8, 8, 5] }));
    expect(pairs.map((pair) => [pair.index, pair.line])).toEqual([
      [0, 1],
      [1, 3],
    ]);
    expect(pairs[0]).toMatchObject({ clean: Int32Array.of(1, 2, 3), correct: [5] });
    expect(pairs[1]).toMatchObject({ correct: [8, 5], incorrect: [6, 7] });
  });

  it('lets ids win over text beside them, and keeps the text', async () => {
    const pair = await read({ ...good, text: '12+3', op: '+' }, { tokenizer: arith });
    expect(pair.clean).toEqual(Int32Array.of(1, 2, 3));
    expect(pair.text).toBe('12+3');
  });

  it('tolerates a byte order mark, carriage returns and a last line without an end', async () => {
    const path = await file(`\ufeff${JSON.stringify(good)}\r`, JSON.stringify(good));
    expect(await readPairs(path)).toHaveLength(2);
    expect(await readPairs(path, { limit: 1 })).toHaveLength(1);
  });

  it('reads the fixtures, where text gives the same ids', async () => {
    for (const [name, tokenizer] of [
      ['tiny-arith', arith],
      ['stories', story],
    ] as const) {
      const path = join(fixtures, 'pairs', `${name}.jsonl`);
      const pairs = await readPairs(path, { tokenizer, metric: 'logit-diff' });
      const lines = pairs.map((pair) => ({
        clean: pair.text,
        corrupted: pair.corruptedText,
        correct: pair.correct,
        incorrect: pair.incorrect,
      }));
      const again = await readPairs(await file(...lines), { tokenizer });
      expect(pairsHash(again)).toBe(pairsHash(pairs));
    }
  });

  const reference = sharedPath('reference', 'pairs.jsonl');
  it.skipIf(!reference)('reads the shared reference pairs', async () => {
    const pairs = await readPairs(reference!, { vocabSize: 307, metric: 'logit-diff' });
    expect(pairs.length).toBeGreaterThan(10);
    expect(pairs.every((pair) => pair.clean.length === pair.corrupted.length)).toBe(true);
  });
});

describe('answers as text', () => {
  it('takes a token as it is, spelled in the vocabulary, and with or without a space', async () => {
    const answer = async (correct: unknown): Promise<number[]> =>
      (await read({ clean: [1], corrupted: [2], correct }, { tokenizer: story })).correct;
    const the = story.encode('the', { addSpecialTokens: false });
    expect(the).toHaveLength(1);
    expect(await answer('the')).toEqual(Array.from(the));
    expect(await answer(' the')).toEqual(Array.from(the));
    expect(await answer('s')).not.toEqual([]);
    expect(await answer(['the', 7])).toEqual([the[0], 7]);
  });

  it('names line and token of a text that is several tokens', async () => {
    const line = { clean: 'One day', corrupted: 'One day', correct: 'Sue', incorrect: 'Tim' };
    await expect(readPairs(await file(good, line), { tokenizer: story })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_FORMAT',
      message: expect.stringMatching(/:2: "correct" "Sue" is 3 tokens \(.*\), not one/) as string,
    });
  });

  it('does not take an unknown-token stand-in for the answer', async () => {
    const line = { clean: '1', corrupted: '2', correct: 'x', incorrect: '3' };
    await expect(read(line, { tokenizer: arith })).rejects.toThrow('"x" cannot be spelled');
  });
});

describe('chat prompts', () => {
  const messages = [{ role: 'user', content: '1+1=' }];
  const other = [{ role: 'user', content: '2+3=' }];
  const options = (): ReadPairsOptions => ({ tokenizer: story, chatTemplate: template });

  it('renders both conversations', async () => {
    const line = { messages, corrupted_messages: other, correct: 5, incorrect: 6 };
    const pair = await read(line, options());
    const text = '<|im_start|>user\n1+1=<|im_end|>\n<|im_start|>assistant\n';
    expect(pair.text).toBe(text);
    expect(pair.clean).toEqual(story.encode(text, { addSpecialTokens: false }));
    const off = await read({ ...line, enable_thinking: false }, options());
    expect(off.text).toBe(`${text}<think>\n\n</think>\n\n`);
    const byOption = await read(line, { ...options(), enableThinking: false });
    expect(byOption.text).toBe(off.text);
  });

  it.each([
    // The same openings; equal tokens after every cut; one token, which leaves no cut.
    [
      [20, 11, 12],
      [20, 11, 12],
    ],
    [
      [10, 11, 12, 13, 14],
      [20, 11, 12, 13],
    ],
    [[10], [20, 21]],
  ])('refuses openings %j and %j, which no cut tells apart', async (opening, corrupted) => {
    const line = { messages, opening, corrupted_opening: corrupted };
    await expect(read(line, options())).rejects.toThrow('no cut');
  });

  it.each([
    [[10, 11, 12, 13], [20, 21, 22, 23], 16, 3, 13, 23],
    [[10, 11, 12, 13], [20, 21, 22, 23], 2, 2, 12, 22],
    [[10, 11, 12, 99], [20, 21, 22, 99], 16, 2, 12, 22],
    [[10, 11, 12], [20, 21, 22, 23], 16, 2, 12, 22],
  ])(
    'of %j and %j with limit %d keeps %d',
    async (opening, corrupted, openingLength, kept, correct, incorrect) => {
      const line = { messages, opening, corrupted_opening: corrupted };
      const pair = await read(line, { ...options(), openingLength });
      expect(Array.from(pair.clean).slice(-kept)).toEqual(opening.slice(0, kept));
      expect(Array.from(pair.corrupted).slice(-kept)).toEqual(corrupted.slice(0, kept));
      const prompt = story.encode('<|im_start|>user\n1+1=<|im_end|>\n<|im_start|>assistant\n', {
        addSpecialTokens: false,
      });
      expect(pair.clean).toHaveLength(prompt.length + kept);
      expect([pair.correct, pair.incorrect]).toEqual([[correct], [incorrect]]);
    },
  );

  it('keeps the whole openings when the answers are given', async () => {
    const line = { messages, opening: [10, 11], corrupted_opening: [20, 21, 22] };
    const pair = await read({ ...line, correct: 3, incorrect: 4 }, options());
    expect(Array.from(pair.clean).slice(-2)).toEqual([10, 11]);
    expect(Array.from(pair.corrupted).slice(-2)).toEqual([20, 21]);
    expect(pair.correct).toEqual([3]);
  });

  it.each([
    [{ messages }, 'corrupted_messages'],
    [{ messages, corrupted_messages: [] }, 'must be a list'],
    [{ messages, corrupted_messages: [{ role: 'user' }] }, 'with texts'],
    [{ messages, corrupted_messages: messages, clean: [1] }, 'not both'],
    [{ messages, opening: [1, 2] }, 'together'],
    [{ messages, corrupted_messages: other, enable_thinking: 'no' }, 'true or false'],
    [{ messages, corrupted_messages: [{ role: 'robot', content: 'x' }] }, 'Unknown role robot'],
  ])('refuses %j', async (line, part) => {
    await expect(read(line, options())).rejects.toThrow(part);
  });

  it('needs a template', async () => {
    const line = { messages, corrupted_messages: other };
    await expect(read(line, { tokenizer: story })).rejects.toThrow('needs a chat template');
  });
});

describe('refusals', () => {
  it('names place and lengths of unequal prompts', async () => {
    const path = await file(good, { ...good, corrupted: [1, 2] });
    await expect(readPairs(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_LENGTH',
      message: `${path}:2: the clean prompt has 3 tokens and the corrupted one 2; both must have the same number of tokens.`,
    });
  });

  it.each([
    ['{"clean": [1]', 'not valid JSON'],
    ['[1]', 'must be a JSON object'],
    ['null', 'must be a JSON object'],
    [{ clean: [1] }, '"corrupted" is missing'],
    [{ ...good, clean: 7 }, 'a text or a list of token ids'],
    [{ ...good, clean: [1, 2.5, 3] }, '2.5, which is not a token id'],
    [{ ...good, clean: [1, -1, 3] }, '-1, which is not a token id of the vocabulary (0 to 9)'],
    [{ ...good, clean: [1, 10, 3] }, '10, which is not a token id'],
    [{ ...good, clean: [1, null, 3] }, 'null, which is not'],
    [{ ...good, correct: 10 }, '10, which is not a token id'],
    [{ ...good, correct: [] }, 'empty list'],
    [{ ...good, correct: { id: 1 } }, 'a token id or a list'],
    [{ ...good, correct: 6 }, 'token 6 is in "correct" and in "incorrect"'],
    [{ ...good, correct: 'x' }, 'no tokenizer'],
    [{ ...good, clean: 'a b c' }, 'no tokenizer'],
    [{ clean: [], corrupted: [] }, 'no tokens'],
    [{ ...good, continuation: [] }, '"continuation" has no tokens'],
    [{ ...good, incorect: 3 }, 'did you mean "incorrect"'],
    [{ ...good, Correct: 3 }, 'did you mean "correct"'],
    [{ ...good, corruptedMessages: 3 }, 'did you mean "corrupted_messages"'],
    [{ ...good, message: 3 }, 'did you mean "messages"'],
  ])('refuses %j', async (line, part) => {
    const path = await file(line);
    await expect(readPairs(path, { vocabSize: 10 })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_FORMAT',
      message: expect.stringContaining(part) as string,
    });
    await expect(readPairs(path, { vocabSize: 10 })).rejects.toThrow(`${path}:1: `);
  });

  it('ignores other keys', async () => {
    const extra = { id: 1, op: '+', index: 4, source: 'x', answer: 3, label: 'y' };
    expect((await read({ ...good, ...extra })).correct).toEqual([5]);
  });

  it('refuses a missing and an empty file, bad UTF-8 and a bad limit', async () => {
    const missing = join(folder, 'none.jsonl');
    await expect(readPairs(missing)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message: `${missing} does not exist.`,
    });
    await expect(readPairs(await file('', '  '))).rejects.toThrow('has no pairs');
    const path = join(folder, 'bytes.jsonl');
    await writeFile(path, Buffer.from([0x7b, 0xff, 0x0a]));
    await expect(readPairs(path)).rejects.toThrow(`${path}:1: the line is not UTF-8`);
    await expect(readPairs(path, { limit: 0 })).rejects.toThrow('positive whole number');
  });
});

describe('metrics', () => {
  const bare = { clean: [1, 2], corrupted: [1, 3] };
  it('asks for what the metric reads', async () => {
    await expect(read(bare, { metric: 'logit-diff' })).rejects.toThrow('needs the key "correct"');
    await expect(read({ ...bare, correct: 1 }, { metric: 'prob-diff' })).rejects.toThrow(
      'needs the key "incorrect"',
    );
    await expect(read(bare, { metric: 'nll' })).rejects.toThrow('needs "continuation"');
    expect((await read(bare, { metric: 'kl' })).correct).toEqual([]);
    const one = await read({ ...bare, correct: 4 }, { metric: 'nll' });
    expect(one.continuation).toEqual([4]);
    const text = await read({ ...bare, continuation: '12' }, { metric: 'nll', tokenizer: arith });
    expect(text.continuation).toEqual([2, 3]);
  });
});

describe('pairs that do not fit', () => {
  it('are left out and told to onUnfit, but broken lines stay errors', async () => {
    const short = { ...good, corrupted: [1] };
    const unfit: string[] = [];
    const onUnfit = (error: Error): number => unfit.push(error.message);
    const pairs = await readPairs(await file(short, good), { onUnfit });
    expect(pairs.map((pair) => [pair.index, pair.line])).toEqual([[0, 2]]);
    expect(unfit).toHaveLength(1);
    await expect(readPairs(await file(short), { onUnfit })).rejects.toThrow(
      /no pairs that fit.*:1:/,
    );
    await expect(readPairs(await file('{'), { onUnfit })).rejects.toThrow('not valid JSON');
  });
});

describe('pairsHash and writePairs', () => {
  it('writes what reads back the same', async () => {
    const lines = [good, { ...good, continuation: [4, 5], text: 'a', corrupted_text: 'b' }];
    const pairs = await readPairs(await file(...lines));
    const path = join(folder, 'written.jsonl');
    await writePairs(path, pairs);
    expect(await readPairs(path)).toEqual(pairs);
  });

  it('writes texts beside the ids where it has the tokenizer', async () => {
    const raw = { ...good, incorrect: [6, 7], continuation: [5, 1] };
    const pairs = await readPairs(await file(raw, { ...good, text: '12+3' }));
    const path = join(folder, 'texts.jsonl');
    await writePairs(path, pairs, { tokenizer: arith });
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const spelled = (...ids: number[]) => arith.decode(ids, { skipSpecialTokens: false });
    expect(first).toEqual({
      ...raw,
      ...{ text: spelled(1, 2, 3), corrupted_text: spelled(1, 4, 3), correct_text: spelled(5) },
      ...{ incorrect_text: [spelled(6), spelled(7)], continuation_text: spelled(5, 1) },
    });
    expect(second['text']).toBe('12+3');
    expect(pairsHash(await readPairs(path))).toBe(pairsHash(pairs));
    const wrong = { tokeniser: arith } as object;
    await expect(writePairs(path, pairs, wrong)).rejects.toThrow('Did you mean tokenizer?');
  });

  it('depends on ids, answers and order of pairs, not on spelling', async () => {
    const hash = async (...lines: unknown[]): Promise<string> =>
      pairsHash(await readPairs(await file(...lines)));
    const plain = await hash(good);
    expect(plain).toMatch(/^[0-9a-f]{64}$/);
    expect(await hash('', { ...good, incorrect: [7, 6], text: 'x' })).toBe(plain);
    const changes = [
      { ...good, clean: [1, 2, 4] },
      { ...good, corrupted: [1, 2, 4] },
      { ...good, correct: 9 },
      { ...good, incorrect: 6 },
      { ...good, continuation: [1] },
    ];
    const hashes = [plain, await hash(good, good)];
    for (const change of changes) hashes.push(await hash(change));
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});
