// Pair generators: right answers, equal lengths, determinism, and tokenizers that cannot serve.
import { describe, expect, it } from 'vitest';
import { pairsHash, type TokenizedPair } from '../../../lib/pairs.js';
import { evaluateProblem, generateArithmetic } from '../../../lib/tasks/arithmetic.js';
import { generateGreaterThan } from '../../../lib/tasks/greater-than.js';
import { generatePairs, taskNames, type TaskName } from '../../../lib/tasks/index.js';
import { generateIoi } from '../../../lib/tasks/ioi.js';
import { greaterThanAnswers, yearTokens } from '../../../lib/tasks/year-tokens.js';
import { loadTokenizer, Tokenizer } from '../../../lib/tokenizer.js';
import { sharedPath, stories, tinyArith } from '../tokenizer/fixtures.js';

const arith = await loadTokenizer(tinyArith);
const story = await loadTokenizer(stories);
const smollmFolder = sharedPath('models', 'smollm2-135m');
const smollm = smollmFolder ? await loadTokenizer(smollmFolder) : undefined;

/** Words and two-digit numbers as tokens, with spaces dropped: what GPT-2 does to years. */
function wordTokenizer(text: string): Tokenizer {
  const words = new Set(text.split(' '));
  for (let n = 0; n < 100; n++) words.add(String(n).padStart(2, '0'));
  const vocab = Object.fromEntries(['<unk>', ...words].map((word, id) => [word, id]));
  return new Tokenizer({
    folder: 'words',
    tokenizer: {
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'WhitespaceSplit' },
          { type: 'Split', pattern: { Regex: '\\d\\d' }, behavior: 'Isolated', invert: false },
        ],
      },
      post_processor: null,
      decoder: null,
      model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
    },
    tokenizerConfig: { tokenizer_class: 'PreTrainedTokenizerFast', unk_token: '<unk>' },
  });
}

function checkShape(pairs: TokenizedPair[], count: number): void {
  expect(pairs).toHaveLength(count);
  expect(pairs.map((pair) => pair.index)).toEqual(pairs.map((_, index) => index));
  const keys = pairs.map((pair) => `${pair.clean.join()}|${pair.corrupted.join()}`);
  expect(new Set(keys).size).toBe(count);
  for (const pair of pairs) {
    expect(pair.clean).toHaveLength(pair.corrupted.length);
    expect(pair.clean).not.toEqual(pair.corrupted);
    expect(pair.correct.length * pair.incorrect.length).toBeGreaterThan(0);
  }
}

describe('arithmetic', () => {
  it('makes the pairs that tiny-arith was trained on', () => {
    const template = '#{expression}={answer}';
    const options = { count: 60, seed: 3, template, answerDigits: 3 };
    const pairs = generateArithmetic(arith, options);
    checkShape(pairs, 60);
    const pattern = /^#(\d\d)([+-])(\d\d)=(\d*)$/;
    for (const pair of pairs) {
      const [text, corruptedText] = [pair.text!, pair.corruptedText!];
      const value = (match: RegExpExecArray): string => {
        const [a, b] = [Number(match[1]), Number(match[3])];
        return String(match[2] === '+' ? a + b : a - b).padStart(3, '0');
      };
      const [clean, corrupted] = [pattern.exec(text)!, pattern.exec(corruptedText)!];
      expect(clean[2]).toBe(corrupted[2]);
      const at = clean[4].length;
      expect(value(clean).slice(0, at)).toBe(clean[4]);
      expect(value(corrupted).slice(0, at)).toBe(clean[4]);
      expect(pair.correct).toEqual([arith.tokenToId(value(clean)[at])]);
      expect(pair.incorrect).toEqual([arith.tokenToId(value(corrupted)[at])]);
    }
    expect(new Set(pairs.map((pair) => /[+-]/.exec(pair.text!)![0]))).toEqual(new Set(['+', '-']));
  });

  it('chains terms, and multiplies before it adds', () => {
    const problem = (operands: number[], operators: ('+' | '-' | '*')[]): number | undefined =>
      evaluateProblem({ operands, operators });
    expect(problem([2, 3, 4], ['+', '*'])).toBe(14);
    expect(problem([9, 2, 3], ['-', '*'])).toBe(3);
    expect(problem([2, 3, 9], ['-', '+'])).toBeUndefined();
    const options = {
      count: 20,
      terms: 3,
      operators: ['+'] as const,
      minOperand: 1,
      maxOperand: 9,
    };
    for (const pair of generateArithmetic(arith, options)) {
      expect(pair.text).toMatch(/^\d\+\d\+\d=\d?$/);
    }
  });

  it.skipIf(!smollm)('keeps spaces where the tokenizer has them', () => {
    const pairs = generateArithmetic(smollm!, { count: 20, terms: 3 });
    checkShape(pairs, 20);
    for (const pair of pairs) expect(pair.text).toMatch(/^\d\d [+-] \d\d [+-] \d\d = \d*$/);
    const prompts = { template: 'Compute {expression}. \\boxed{{answer}' };
    for (const pair of generateArithmetic(smollm!, { count: 5, ...prompts })) {
      expect(pair.text).toMatch(/^Compute \d\d [+-] \d\d\. \\boxed\{\d*$/);
      const digits = [...pair.correct, ...pair.incorrect].map((id) => smollm!.decode([id]));
      for (const digit of digits) expect(digit).toMatch(/^\d$/);
    }
  });

  it.each([
    [{ terms: 1 }, 'terms'],
    [{ operators: ['/' as '+'] }, 'operators'],
    [{ minOperand: 5, maxOperand: 4 }, 'operands'],
    [{ template: '{answer}={expression}' }, 'template'],
    [{ count: 0 }, 'whole number'],
    [{ seed: -1 }, 'seed'],
  ])('refuses %j', (change, part) => {
    expect(() => generateArithmetic(arith, { count: 4, ...change })).toThrow(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringContaining(part) as string,
      }),
    );
  });

  it('says when a tokenizer cannot spell the problem or has too few', () => {
    const refused = (part: string): unknown =>
      expect.objectContaining({
        code: 'ERR_HEADSPARK_TOKENIZER',
        message: expect.stringContaining(part) as string,
      });
    const options = { count: 4, operators: ['*'] as const };
    expect(() => generateArithmetic(wordTokenizer('a b'), options)).toThrow(
      refused('cannot spell'),
    );
    const few = { count: 100, minOperand: 1, maxOperand: 2, operators: ['+'] as const };
    expect(() => generateArithmetic(arith, few)).toThrow(refused('of 100 distinct pairs'));
  });
});

describe('ioi', () => {
  const pattern = /\b([A-Z]\w+) and ([A-Z]\w+)\b.*\b([A-Z]\w+) (?:gave|decided|wanted|said) /;

  it.skipIf(!smollm)('asks for the name that is not repeated', () => {
    const pairs = generateIoi(smollm!, { count: 50, seed: 1 });
    checkShape(pairs, 50);
    let abba = 0;
    for (const pair of pairs) {
      const [, a, b, subject] = pattern.exec(pair.text!)!;
      const io = a === subject ? b : a;
      expect([a, b]).toContain(subject);
      expect(pair.correct).toEqual(Array.from(smollm!.encode(` ${io}`)));
      expect(pair.incorrect).toEqual(Array.from(smollm!.encode(` ${subject}`)));
      const third = pattern.exec(pair.corruptedText!)!;
      expect([third[1], third[2]]).toEqual([a, b]);
      expect([a, b]).not.toContain(third[3]);
      if (b === subject) abba++;
    }
    expect(abba).toBeGreaterThan(10);
    expect(abba).toBeLessThan(40);
    const hard = generateIoi(smollm!, { count: 10, corruption: 'other-name' });
    for (const pair of hard) {
      const [, a, b] = pattern.exec(pair.text!)!;
      expect([a, b]).toContain(pattern.exec(pair.corruptedText!)![3]);
    }
  });

  it('refuses a vocabulary without names, unless names may be several tokens', () => {
    expect(() => generateIoi(story, { count: 5 })).toThrow(
      expect.objectContaining({ code: 'ERR_HEADSPARK_TOKENIZER' }),
    );
    const pairs = generateIoi(story, { count: 20, allowMultiTokenNames: true });
    checkShape(pairs, 20);
    for (const pair of pairs) expect(pair.correct).not.toEqual(pair.incorrect);
  });
});

describe('greater-than', () => {
  it.skipIf(!smollm)('uses first digits with a digit tokenizer', () => {
    const pairs = generateGreaterThan(smollm!, { count: 40 });
    checkShape(pairs, 40);
    for (const pair of pairs) {
      const tens = Number(/year \d\d(\d)\d to the year \d\d$/.exec(pair.text!)![1]);
      const digits = (ids: number[]): number[] => ids.map((id) => Number(smollm!.decode([id])));
      expect(Math.min(...digits(pair.correct))).toBe(tens + 1);
      expect(Math.max(...digits(pair.incorrect))).toBe(tens - 1);
      expect(pair.corruptedText).toMatch(/year \d\d01 to the year \d\d$/);
    }
  });

  it('uses whole years where two digits are a token', () => {
    const words = 'The war lasted from the year to affair plan study reign';
    const tokenizer = wordTokenizer(words);
    expect(yearTokens(tokenizer)?.form).toBe('two-digit');
    const answers = greaterThanAnswers(tokenizer, 52)!;
    const years = (ids: number[]): string[] => ids.map((id) => tokenizer.idToToken(id)!);
    expect([years(answers.correct)[0], answers.correct.length]).toEqual(['53', 47]);
    expect([years(answers.incorrect).at(-1), answers.incorrect.length]).toEqual(['52', 53]);
    expect(greaterThanAnswers(tokenizer, 99)).toBeUndefined();
  });

  it('refuses a tokenizer that cannot spell the prompt', () => {
    expect(() => generateGreaterThan(arith, { count: 2 })).toThrow('cannot spell the prompt');
    expect(() => generateGreaterThan(wordTokenizer('The'), { count: 2 })).toThrow('cannot spell');
  });
});

describe('generatePairs', () => {
  it('is decided by the seed', async () => {
    const make = async (seed: number): Promise<string> =>
      pairsHash(await generatePairs('arithmetic', arith, { count: 30, seed }));
    expect(await make(5)).toBe(await make(5));
    expect(await make(5)).not.toBe(await make(6));
    const few = await generatePairs('arithmetic', arith, { count: 10, seed: 5 });
    const many = await generatePairs('arithmetic', arith, { count: 30, seed: 5 });
    expect(pairsHash(many.slice(0, 10))).toBe(pairsHash(few));
    expect(pairsHash(generateArithmetic(arith, { count: 30, seed: 5 }))).toBe(pairsHash(many));
  });

  it('gives the event loop its turns, and obeys a signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 1);
    const { signal } = controller;
    const options = { count: 1_000_000, maxOperand: 9999, signal };
    await expect(generatePairs('arithmetic', arith, options)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
      message: 'the generation of pairs was cancelled.',
      cause: reason,
    });
  });

  it('names the tasks it knows', async () => {
    expect(taskNames).toEqual(['ioi', 'greater-than', 'arithmetic']);
    await expect(generatePairs('sums' as TaskName, arith, { count: 1 })).rejects.toThrow(
      'greater-than',
    );
  });

  it('refuses tokens outside a smaller vocabulary', async () => {
    await expect(generatePairs('arithmetic', arith, { count: 5, vocabSize: 8 })).rejects.toThrow(
      'arithmetic generator:1',
    );
  });
});
