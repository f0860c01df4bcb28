// computeLogits() and generateGreedy(): batches, stop tokens, gates per row, and refusals.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import { generateGreedy } from '../../lib/generate.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type Model } from '../../lib/model.js';
import { referenceFolder, referencePairs, sameBits, storiesFolder } from './fixtures.js';

let model: Model;
let prompts: Int32Array[];
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  prompts = (await referencePairs()).map((pair) => pair.clean);
});
afterAll(() => model.dispose());

const refused = (message: RegExp) => ({
  name: 'HeadsparkError',
  code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
  message: expect.stringMatching(message),
});

describe('computeLogits', () => {
  it('does not depend on how prompts are batched', async () => {
    const narrow = await loadModel(path.join(referenceFolder, 'qwen2'), { batchTokens: 1 });
    const many = [...prompts, ...prompts, ...prompts, ...prompts, ...prompts];
    const together = await computeLogits(model, many);
    const apart = await computeLogits(narrow, many);
    expect(together).toHaveLength(many.length * model.info.vocab);
    expect(sameBits(together, apart)).toBe(true);
    const all = await computeLogits(model, prompts, { allPositions: true });
    const tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
    expect(all).toHaveLength(tokens * model.info.vocab);
    narrow.dispose();
  });

  it('gates the heads of each prompt by itself', async () => {
    const heads = [{ layer: 1, head: 2, factor: 0 }];
    const other = [{ layer: 2, head: 0, factor: 1.5 }];
    const rows = [
      { prompt: prompts[0] },
      { prompt: prompts[1], heads: other },
      prompts[2],
      { prompt: prompts[0], heads: [] },
    ];
    const together = await computeLogits(model, rows, { heads });
    const alone = [
      await computeLogits(model, [prompts[0]], { heads }),
      await computeLogits(model, [prompts[1]], { heads: other }),
      await computeLogits(model, [prompts[2]], { heads }),
      await computeLogits(model, [prompts[0]]),
    ];
    expect([...together]).toEqual(alone.flatMap((logits) => [...logits]));
    expect([...alone[0]]).not.toEqual([...alone[3]]);
    const wrong = [{ prompt: [1], head: [] }] as never;
    await expect(computeLogits(model, wrong)).rejects.toMatchObject(refused(/^a prompt has no option "?head/));
  });

  it('of no prompts is empty', async () => {
    expect(await computeLogits(model, [])).toEqual(new Float32Array());
  });

  it('refuses what is not a prompt of this model', async () => {
    await expect(computeLogits(model, [[]])).rejects.toMatchObject(refused(/no tokens/));
    await expect(computeLogits(model, [[307]])).rejects.toMatchObject(refused(/outside the voc/));
    await expect(computeLogits(model, [[1.5]])).rejects.toMatchObject(
      refused(/the prompts: 1\.5 \(row 0, place 0\) is not a token id/),
    );
    await expect(computeLogits(model, [new Int32Array(129)])).rejects.toMatchObject(
      refused(/128 positions/),
    );
    const heads = [{ layer: 0, head: 6, factor: 0 }];
    await expect(computeLogits(model, [[1]], { heads })).rejects.toMatchObject(
      refused(/a0\.h6 is not in the model/),
    );
  });
});

describe('generateGreedy', () => {
  it('follows the largest logit', async () => {
    const prompt = Array.from(prompts[0]);
    const [generated] = await generateGreedy(model, [{ prompt }], { maxNewTokens: 5 });
    expect(generated).toHaveLength(5);
    for (let step = 0; step < 5; step++) {
      const logits = await computeLogits(model, [[...prompt, ...generated.slice(0, step)]]);
      expect(generated[step]).toBe(logits.indexOf(Math.max(...logits)));
    }
  });

  it('stops a row at a stop token, which it keeps, and goes on with the others', async () => {
    const rows = prompts.slice(0, 4).map((prompt) => ({ prompt }));
    const free = await generateGreedy(model, rows, { maxNewTokens: 8 });
    const stop = free[1][3];
    const stopped = await generateGreedy(model, rows, { maxNewTokens: 8, stopTokens: [stop] });
    stopped.forEach((row, index) => {
      const end = free[index].indexOf(stop);
      expect(row).toEqual(end < 0 ? free[index] : free[index].slice(0, end + 1));
    });
    expect(stopped[1].length).toBeLessThan(8);
  });

  it('gates each row by itself', async () => {
    const prompt = prompts[2];
    const heads = Array.from({ length: 6 }, (_, head) => ({ layer: 3, head, factor: 0 }));
    const rows = [{ prompt }, { prompt, heads }, { prompt }];
    const [first, gated, last] = await generateGreedy(model, rows, { maxNewTokens: 12 });
    expect(last).toEqual(first);
    expect(gated).not.toEqual(first);
    expect(await generateGreedy(model, [rows[1]], { maxNewTokens: 12 })).toEqual([gated]);
  });

  it('refuses what the model cannot do', async () => {
    const prompt = prompts[0];
    const run = (row: object, options = {}) =>
      generateGreedy(model, [{ prompt, ...row }], options);
    await expect(run({}, { maxNewTokens: -1 })).rejects.toMatchObject(refused(/^maxNewTokens/));
    await expect(run({}, { maxNewTokens: 200 })).rejects.toMatchObject(refused(/128 positions/));
    await expect(run({}, { stopTokens: [-2] })).rejects.toMatchObject(refused(/^stopTokens: -2/));
    await expect(run({ prompt: [] })).rejects.toMatchObject(refused(/no tokens/));
    await expect(run({ heads: [{ layer: 9, head: 0, factor: 0 }] })).rejects.toMatchObject(
      refused(/a9\.h0 is not in the model/),
    );
    expect(await run({}, { maxNewTokens: 0 })).toEqual([[]]);
    expect(await generateGreedy(model, [])).toEqual([]);
  });

  it.skipIf(!storiesFolder)('writes a story (needs ../shared)', async () => {
    const stories = await loadModel(storiesFolder!.model);
    const prompt = stories.tokenizer!.encode('Once upon a time, there was a little girl');
    const [story] = await generateGreedy(stories, [{ prompt }], { maxNewTokens: 40 });
    expect(stories.tokenizer!.decode(Int32Array.from(story))).toMatch(/\b(she|her)\b/i);
    stories.dispose();
  });
});
