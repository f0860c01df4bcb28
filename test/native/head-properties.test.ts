// Head properties through the addon: transformers' numbers (test/fixtures/heads) as means over
// prompts, kinds of tokens and maps on the embedded model, and refusals.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headPrompts, headProperties, type HeadPrompt } from '../../lib/head-properties.js';
import { nativeProperties } from '../../lib/heads/properties.js';
import { loadModel, type Model } from '../../lib/model.js';
import { readPairs, type TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder } from './fixtures.js';

const demoModelsFolder = path.resolve(referenceFolder, '../../../lib/demo/models');

interface Fixture {
  prompts: { tokens: number[]; answers: { correct: number[]; incorrect: number[] }[] }[];
  values: Record<'all' | 'answer', (number | null)[][][]>;
  copying: number[];
}
const fixture = (name: string): Fixture =>
  JSON.parse(
    readFileSync(path.join(referenceFolder, '../heads', `${name}.json`), 'utf8'),
  ) as Fixture;

const folderOf = (name: string): string =>
  path.join(referenceFolder, name === 'olmo3' ? '../architectures' : '', name);

// In two of olmo3's three layers a query sees six tokens: one that sees none of a kind counts for that
// kind as little as one that comes before them all.
describe.each(['qwen2', 'neox', 'olmo3'])('head properties of %s', (name) => {
  const { prompts, values, copying } = fixture(name);
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(folderOf(name));
  });
  afterAll(() => model.dispose());

  it.each(['all', 'answer'] as const)('are means of those of transformers, queries %s', async (queries) => {
    const table = await headProperties(model, prompts, { queries, resamples: 50 });
    expect(table.heads).toHaveLength(copying.length);
    table.heads.forEach((row, head) => {
      nativeProperties.slice(0, 8).forEach((property, column) => {
        const sample = values[queries]
          .map((prompt) => prompt[head][column])
          .filter((value) => value !== null);
        if (sample.length === 0) {
          expect(row.values[property]).toBeNull();
          return;
        }
        const value = row.values[property]!;
        const mean = sample.reduce((sum, item) => sum + item, 0) / sample.length;
        expect(value.prompts).toBe(sample.length);
        expect(Math.abs(value.estimate - mean)).toBeLessThanOrEqual(5e-5);
        expect(value.low).toBeLessThanOrEqual(value.estimate + 1e-6);
        expect(value.high).toBeGreaterThanOrEqual(value.estimate - 1e-6);
      });
      expect(Math.abs(row.values.copying!.estimate - copying[head])).toBeLessThanOrEqual(1e-4);
    });
    expect(table.tokens).toBeNull();
    expect(table.heads[0].values.digits).toBeNull();
    expect(table.notes.join('; ')).toMatch(/no tokenizer\.json.*1 prompts lack an answer/);
  });

  it('do not depend on batches, threads or on which heads are asked for', async () => {
    const whole = await headProperties(model, prompts, { resamples: 50 });
    const other = await loadModel(folderOf(name), { threads: 1, batchTokens: 1 });
    const same = await headProperties(other, prompts, { resamples: 50 });
    other.dispose();
    expect(JSON.stringify(same)).toBe(JSON.stringify(whole));
    const heads = [{ layer: 2, head: 1 }, { layer: 0, head: 3 }];
    const few = await headProperties(model, prompts, { resamples: 50, heads });
    expect(few.heads.map((row) => row.name)).toEqual(['a0.h3', 'a2.h1']);
    for (const row of few.heads) {
      expect(row).toEqual(whole.heads.find((one) => one.name === row.name));
    }
    const bare = await headProperties(model, prompts, { resamples: 50, heads, copying: false });
    expect(bare.heads[0].values.copying).toBeNull();
  });

  it('refuses what is not there', async () => {
    const refused = (given: HeadPrompt[], options = {}) =>
      expect(headProperties(model, given, options)).rejects;
    await refused([]).toThrow(/no prompts/);
    await refused([{ tokens: [] }]).toThrow(/no tokens/);
    await refused([{ tokens: [1, 307] }]).toThrow(/vocabulary/);
    await refused([{ tokens: [1] }], { heads: [{ layer: 9, head: 0 }] }).toThrow(/a9\.h0/);
    await refused([{ tokens: [1] }], { heads: [] }).toThrow(/set of heads is empty/);
    await refused([{ tokens: [1] }], { queries: 'some' }).toThrow(/queries is "some"/);
    await refused([{ tokens: [1] }], { resamples: 0 }).toThrow(/resamples/);
    await refused([{ tokens: [1] }], {
      heads: [{ layer: 0, head: 0 }],
      maps: [{ head: { layer: 0, head: 1 }, prompt: 0 }],
    }).toThrow(/a0\.h1/);
    await refused([{ tokens: [1] }], {
      maps: [{ head: { layer: 0, head: 1 }, prompt: 1 }],
    }).toThrow(/prompt 1/);
    const answer = { correct: [], incorrect: [3] };
    await refused([{ tokens: [1], answers: [answer] }]).toThrow(/without a right token/);
    await expect(
      headProperties(model, prompts, { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });
});

describe('head properties of the embedded model', () => {
  let model: Model;
  let pairs: TokenizedPair[];
  beforeAll(async () => {
    model = await loadModel(path.join(demoModelsFolder, 'grpo-step120'));
    pairs = await readPairs(path.join(demoModelsFolder, 'pairs-steps.jsonl'), {
      tokenizer: model.tokenizer!,
      vocabSize: model.info.vocab,
      metric: 'prob-diff',
      limit: 4,
    });
  });
  afterAll(() => model.dispose());

  it('see digits, operators, delimiters and think markers', async () => {
    const table = await headProperties(model, headPrompts(pairs, 'prob-diff'));
    // The vocabulary spells digits and signs one by one.
    const text = pairs
      .map(({ clean }) => model.tokenizer!.decode(clean, { skipSpecialTokens: false }))
      .join('');
    const count = (pattern: RegExp) => text.match(pattern)!.length;
    expect(table.tokens).toMatchObject({
      all: pairs.reduce((sum, { clean }) => sum + clean.length, 0),
      digits: count(/\d/g),
      operators: count(/[-+*=]/g),
      think: count(/<think>/g),
    });
    // Special tokens but the first, the comma and the colon, and the line breaks outside words.
    const marks = count(/<\|im_\w+\|>|[,:]/g) - pairs.length;
    expect(table.tokens!.delimiters).toBeGreaterThanOrEqual(marks);
    expect(table.tokens!.delimiters).toBeLessThanOrEqual(marks + count(/\n/g));
    for (const { values } of table.heads) {
      const classes = [values.digits, values.operators, values.delimiters, values.think];
      const sum = classes.reduce((total, value) => total + value!.estimate, 0);
      expect(sum).toBeGreaterThan(0);
      expect(sum).toBeLessThanOrEqual(1.5);
      expect(values.directEffect).not.toBeNull();
    }
    expect(table.notes).toEqual([]);
    expect(table.uniform.digits).toBeGreaterThan(0.1);
  });

  it('come with the maps that are asked for, rows summing to 1', async () => {
    const head = { layer: 2, head: 3 };
    const { maps } = await headProperties(model, headPrompts(pairs, 'prob-diff'), {
      heads: [head],
      maps: [{ head, prompt: 2 }, { head, prompt: 0 }],
    });
    expect(maps.map((map) => [map.head, map.prompt])).toEqual([['a2.h3', 2], ['a2.h3', 0]]);
    for (const { rows, tokens } of maps) {
      expect(tokens).toContain('<think>');
      expect(rows.map((row) => row.length)).toEqual(tokens.map((_, index) => index + 1));
      for (const row of rows) {
        expect(Math.abs(row.reduce((sum, p) => sum + p, 0) - 1)).toBeLessThanOrEqual(5e-5 * row.length);
      }
    }
  });

  it('reads the answers of every metric', () => {
    const [pair] = pairs;
    const base = { ...pair, continuation: [5, 6, 7] };
    expect(headPrompts([base], 'logit-diff')[0].answers).toEqual([
      { correct: pair.correct, incorrect: pair.incorrect },
    ]);
    const gold = headPrompts([base], 'nll')[0];
    expect(Array.from(gold.tokens)).toEqual([...pair.clean, 5, 6]);
    expect(gold.answers).toEqual([5, 6, 7].map((id) => ({ correct: [id], incorrect: [] })));
    expect(headPrompts([{ ...pair, correct: [], incorrect: [] }], 'kl')[0].answers).toEqual([]);
  });
});
