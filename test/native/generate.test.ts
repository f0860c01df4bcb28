// generate(): rows do not depend on their batch, streams, stop strings, aborts, slow consumers and
// requests that come while others run.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import { generate, type Completion, type GenerationRequest } from '../../lib/generation.js';
import { headActivations } from '../../lib/head-activations.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type Model } from '../../lib/model.js';
import { goldenFolders, goldenJson, referenceFolder, referencePairs, sharedFolder } from './fixtures.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const demoFolder = path.resolve(referenceFolder, '../../../lib/demo/models/sft-step120');
let model: Model;
let demo: Model;
let prompts: Int32Array[];
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  demo = await loadModel(demoFolder);
  prompts = (await referencePairs()).map((pair) => pair.clean);
});
afterAll(() => {
  model.dispose();
  demo.dispose();
});

async function collect(
  used: Model,
  requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
  options = {},
): Promise<Completion[]> {
  const completions: Completion[] = [];
  for await (const completion of generate(used, requests, options)) completions.push(completion);
  return completions.sort((a, b) => a.index - b.index);
}

/** Rows of different prompts, gates, positions and ways of sampling. */
function manyRequests(count: number): GenerationRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    prompt: prompts[Math.floor(index / 9) % prompts.length],
    heads: index % 3 === 0 ? [] : [{ layer: index % 4, head: index % 6, factor: index % 2 }],
    positions: (['all', 'prompt', 'generated'] as const)[index % 3],
    sampling: index % 4 === 0 ? {} : { temperature: 0.8, topP: 0.95, topK: index % 5 === 0 ? 9 : 0 },
    seed: 10_000_000_000_000_000_000n + BigInt(index),
    maxNewTokens: 30 + (index % 21),
    stopTokens: [],
    logProbs: index % 5 < 2,
  }));
}

const refused = (message: RegExp, code = 'ERR_HEADSPARK_INVALID_ARGUMENT') => ({
  name: 'HeadsparkError',
  code,
  message: expect.stringMatching(message),
});

describe('generate', () => {
  it('gives 10,000 tokens that do not depend on batch, threads, memory or arrival', async () => {
    const requests = manyRequests(260);
    const expected = await collect(model, requests);
    expect(expected.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeGreaterThan(10_000);
    expect(expected.map(({ index }) => index)).toEqual(requests.map((_, index) => index));
    expect(expected[5]).toMatchObject({ finish: 'length', promptTokens: prompts[0].length });
    for (const maxRows of [1, 7, 64]) {
      expect(await collect(model, requests, { maxRows })).toEqual(expected);
    }
    expect(await collect(model, requests, { memoryBytes: 2_000_000 })).toEqual(expected);
    const single = await loadModel(path.join(referenceFolder, 'qwen2'), { threads: 1 });
    expect(await collect(single, requests)).toEqual(expected);
    single.dispose();
    async function* slowly() {
      for (const request of requests) {
        if (Math.random() < 0.1) await setTimeout(1);
        yield request;
      }
    }
    expect(await collect(model, slowly(), { maxRows: 5 })).toEqual(expected);
  }, 120_000);

  it.each(goldenFolders)('equals the golden generations of $name, mixed', async (folder) => {
    const golden = goldenJson(folder, 'generations.json');
    const cases = [[], ...goldenJson(folder, 'scaled_head_cases.json')];
    const requests = cases.flatMap((heads) =>
      golden.prompts.map((prompt: number[]) => ({ prompt, heads, maxNewTokens: 24 })),
    );
    const used = await loadModel(folder.model);
    const completions = await collect(used, requests, { maxRows: 5 });
    completions.forEach(({ tokens }, index) => {
      const expected = golden.greedy[index];
      expect(tokens.slice(0, expected.length)).toEqual(expected.slice(0, 24));
    });
    used.dispose();
  });

  it('tells the margin of every greedy token, and none of drawn ones', async () => {
    const prompt = Array.from(prompts[0]);
    const heads = [{ layer: 2, head: 1, factor: 0.5 }];
    const told: (number | undefined)[] = [];
    const onToken = (index: number, _: number, margin?: number) => {
      if (index === 0) told.push(margin);
      else expect(margin).toBeUndefined();
    };
    const requests = [
      { prompt, heads, maxNewTokens: 8, stopTokens: [] },
      { prompt, heads, maxNewTokens: 8, sampling: { temperature: 0.5 }, stopTokens: [] },
    ];
    const [greedy, drawn] = await collect(model, requests, { onToken });
    expect(drawn.margins).toEqual([]);
    expect(greedy.margins).toHaveLength(8);
    expect(told).toEqual(greedy.margins);
    for (const [step, margin] of greedy.margins.entries()) {
      const row = [...prompt, ...greedy.tokens.slice(0, step)];
      const [first, second] = (await computeLogits(model, [row], { heads })).sort().reverse();
      expect(Math.abs(margin - (first - second))).toBeLessThan(1e-5);
    }
  });

  it('tells log probabilities of the gated model, before the filters, where they are asked for', async () => {
    const prompt = Array.from(prompts[0]);
    const heads = [{ layer: 2, head: 1, factor: 0.5 }];
    const common = { prompt, heads, maxNewTokens: 8, stopTokens: [] };
    const sampling = { temperature: 1.7, topP: 0.9, topK: 50 };
    const requests = [common, { ...common, sampling }, { ...common, sampling: { temperature: 1 } }];
    const told = await collect(
      model,
      requests.map((request) => ({ ...request, logProbs: true })),
    );
    const silent = await collect(model, requests);
    for (const [index, { tokens, logProbs }] of told.entries()) {
      expect(silent[index]).toEqual({ ...told[index], logProbs: [] });
      expect(logProbs).toHaveLength(8);
      const row = [...prompt, ...tokens.slice(0, -1)];
      const logits = await computeLogits(model, [row], { heads, allPositions: true });
      const { vocab } = model.info;
      for (const [step, token] of tokens.entries()) {
        const position = prompt.length - 1 + step;
        const own = Array.from(logits.subarray(position * vocab, (position + 1) * vocab));
        const largest = Math.max(...own);
        const total = own.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
        expect(Math.abs(logProbs[step] - (own[token] - largest - Math.log(total)))).toBeLessThan(1e-5);
      }
    }
  });

  it('samples by the seed: equal seeds are equal, others differ', async () => {
    const request = (seed: number | bigint) => ({
      prompt: prompts[0],
      sampling: { temperature: 1 },
      seed,
      maxNewTokens: 40,
    });
    const [a, b, c, d] = await collect(model, [1, 1n, 2, 2n ** 32n + 1n].map(request));
    expect(b.tokens).toEqual(a.tokens);
    expect(c.tokens).not.toEqual(a.tokens);
    expect(d.tokens).not.toEqual(a.tokens);
  });

  it('streams tokens in order and yields each row when it is done', async () => {
    const seen: number[][] = [[], [], []];
    const order: number[] = [];
    const requests = [20, 3, 9].map((maxNewTokens) => ({ prompt: prompts[1], maxNewTokens }));
    const onToken = (index: number, token: number) => void seen[index].push(token);
    for await (const { index, tokens } of generate(model, requests, { onToken })) {
      expect(tokens).toEqual(seen[index]);
      order.push(index);
    }
    expect(order).toEqual([1, 2, 0]);
  });

  it('puts a given mean in the place of a head', async () => {
    const { layers, heads, headDim } = model.info;
    const replacement = Float32Array.from({ length: layers * heads * headDim }, (_, i) => Math.sin(i));
    const request = {
      prompt: prompts[0],
      heads: [0, 1, 2, 3, 4, 5].map((head) => ({ layer: 1, head, factor: 0 })),
      maxNewTokens: 12,
    };
    const [zero] = await collect(model, [request]);
    const [mean] = await collect(model, [request], { replacement });
    expect(mean.tokens).not.toEqual(zero.tokens);
    await expect(
      collect(model, [request], { replacement: new Float32Array(3) }),
    ).rejects.toMatchObject(refused(/replacement has 3 values/));
  });

  it("puts a head's own mean and its own activations in its place", async () => {
    const heads = [0, 1, 2, 3, 4, 5].map((head) => ({ layer: 2, head, factor: 0 }));
    const prompt = Array.from(prompts[0]);
    const free = { prompt, maxNewTokens: 10, stopTokens: [] };
    const [plain] = await collect(model, [free]);
    // The activations of the row's own run change nothing but rounding, at any position.
    const own = [...prompt, ...plain.tokens];
    const { rows, z } = await headActivations(model, [prompts[1], own], { rows: 'tokens' });
    expect(rows).toBe(prompts[1].length + own.length);
    const run = { begin: prompts[1].length, length: own.length, loop: prompt.length };
    for (const positions of ['all', 'prompt', 'generated'] as const) {
      const request = { ...free, heads, positions };
      const [same, other] = await collect(
        model,
        [
          { ...request, replacement: run },
          { ...request, replacement: { begin: 0, length: prompts[1].length, loop: 0 } },
        ],
        { replacement: z },
      );
      expect(same.tokens).toEqual(plain.tokens);
      same.margins.forEach((margin, token) => {
        expect(Math.abs(margin - plain.margins[token])).toBeLessThan(1e-5);
      });
      expect(other.margins).not.toEqual(plain.margins);
      // At half a factor the head is half its own run: nothing changes either.
      const half = heads.map((head) => ({ ...head, factor: 0.5 }));
      const [scaled] = await collect(
        model,
        [{ ...request, heads: half, replacement: run }],
        { replacement: z },
      );
      expect(scaled.tokens).toEqual(plain.tokens);
    }
    const mean = await headActivations(model, [own], { writeNorms: true });
    const { layers, heads: perLayer, headDim } = model.info;
    expect(mean.z).toHaveLength(layers * perLayer * headDim);
    expect(mean.writeNorms).toHaveLength(layers * perLayer);
    expect(mean.writeNorms.every((norm) => norm > 0)).toBe(true);
    const byPosition = await headActivations(model, [own], { rows: 'mean-per-position' });
    expect(byPosition.rows).toBe(own.length + 1);
    await expect(
      collect(model, [{ ...free, heads, replacement: { begin: 9e6, length: 1, loop: 0 } }], {
        replacement: z,
      }),
    ).rejects.toMatchObject(refused(/does not fit a table of/));
    await expect(
      collect(model, [{ ...free, replacement: { begin: 0, length: 2, loop: 2 } }]),
    ).rejects.toMatchObject(refused(/replacement\.loop is 2/));
    await expect(headActivations(model, [])).rejects.toMatchObject(refused(/at least one seq/));
    await expect(headActivations(model, [[]])).rejects.toMatchObject(refused(/no tokens/));
    await expect(headActivations(model, [[999]])).rejects.toMatchObject(refused(/vocabulary/));
  });

  it('ends rows at stop tokens, stop strings, their length and the last position', async () => {
    const tokenizer = demo.tokenizer!;
    const prompt = tokenizer.encode('Q: 3+4+5\n', { addSpecialTokens: false });
    const base = { prompt, maxNewTokens: 60, stopTokens: [] };
    const [free] = await collect(demo, [base]);
    const text = tokenizer.decode(free.tokens, { skipSpecialTokens: false });
    const inner = text.slice(7, 12);
    const [byString, byToken, none] = await collect(demo, [
      { ...base, stopStrings: ['never there', inner] },
      { ...base, stopTokens: [free.tokens[4]] },
      { ...base, maxNewTokens: 0 },
    ]);
    expect(byString.finish).toBe('stop-string');
    const stopped = tokenizer.decode(byString.tokens, { skipSpecialTokens: false });
    const before = tokenizer.decode(byString.tokens.slice(0, -1), { skipSpecialTokens: false });
    expect(stopped).toContain(inner);
    expect(before).not.toContain(inner);
    expect(byString.tokens).toEqual(free.tokens.slice(0, byString.tokens.length));
    expect(byToken.finish).toBe('stop-token');
    expect(byToken.tokens.at(-1)).toBe(free.tokens[4]);
    expect(none).toEqual({
      index: 2,
      tokens: [],
      margins: [],
      logProbs: [],
      finish: 'length',
      promptTokens: prompt.length,
    });
    const [full] = await collect(model, [{ prompt: new Int32Array(120), maxNewTokens: 500 }]);
    expect(full).toMatchObject({ finish: 'context' });
    expect(full.tokens).toHaveLength(9);
  });

  it('takes requests that depend on earlier completions', async () => {
    const queue: GenerationRequest[] = [{ prompt: prompts[0], maxNewTokens: 4 }];
    let ring: () => void = () => {};
    async function* requests() {
      for (let round = 0; round < 3; round++) {
        while (queue.length === 0) await new Promise<void>((resolve) => (ring = resolve));
        yield queue.shift()!;
      }
    }
    const lengths: number[] = [];
    for await (const { tokens, promptTokens } of generate(model, requests())) {
      lengths.push(promptTokens);
      // The device is free while the generation waits for requests.
      await computeLogits(model, [tokens]);
      queue.push({ prompt: [...prompts[0], ...tokens].slice(0, 100), maxNewTokens: 4 });
      ring();
    }
    expect(lengths).toHaveLength(3);
  });

  it('reads only as far ahead as rows will need', async () => {
    let taken = 0;
    function* endless() {
      for (;;) {
        taken++;
        yield { prompt: prompts[0], maxNewTokens: 2 };
      }
    }
    let seen = 0;
    for await (const completion of generate(model, endless(), { maxRows: 2 })) {
      expect(completion.tokens).toHaveLength(2);
      await setTimeout(5);
      if (++seen === 30) break;
    }
    expect(taken).toBeLessThan(120);
  });

  it('refuses what is not a request, by its number and option', async () => {
    const good = { prompt: prompts[0] };
    const run = (...bad: object[]) => collect(model, [good, ...bad] as GenerationRequest[]);
    await expect(run({ prompt: [] })).rejects.toMatchObject(refused(/^request 1: .*no tokens/));
    await expect(run({ prompt: [1.5] })).rejects.toMatchObject(refused(/^request 1: the prompt: 1/));
    await expect(run({ prompt: [307] })).rejects.toMatchObject(refused(/outside the vocabulary/));
    await expect(run({ prompt: new Int32Array(129) })).rejects.toMatchObject(
      refused(/128 positions/),
    );
    const sampled = (sampling: object) => run(good, { ...good, sampling });
    await expect(sampled({ topP: 0 })).rejects.toMatchObject(refused(/^request 2: topP is 0/));
    await expect(sampled({ temperature: NaN })).rejects.toMatchObject(refused(/temperature/));
    await expect(sampled({ topK: -1 })).rejects.toMatchObject(refused(/topK/));
    await expect(sampled({ minP: 1 })).rejects.toMatchObject(refused(/minP/));
    await expect(sampled({ repetitionPenalty: 0 })).rejects.toMatchObject(refused(/repetition/));
    await expect(run({ ...good, seed: -1 })).rejects.toMatchObject(refused(/seed is -1/));
    await expect(run({ ...good, seed: 2n ** 64n })).rejects.toMatchObject(refused(/seed/));
    await expect(run({ ...good, positions: 'some' })).rejects.toMatchObject(refused(/positions/));
    await expect(run({ ...good, stopTokens: [-2] })).rejects.toMatchObject(refused(/stopTokens/));
    await expect(run({ ...good, stopTokens: [1 << 30] })).rejects.toMatchObject(
      refused(/^request 1: the stop token 1073741824 is not one of the model's/),
    );
    await expect(run({ ...good, stopStrings: ['x'] })).rejects.toMatchObject(
      refused(/no tokenizer\.json/, 'ERR_HEADSPARK_TOKENIZER'),
    );
    await expect(
      run({ ...good, heads: [{ layer: 9, head: 0, factor: 0 }] }),
    ).rejects.toMatchObject(refused(/a9\.h0 is not in the model/));
    await expect(collect(model, [good], { maxRows: 0 })).rejects.toMatchObject(refused(/maxRows/));
    await expect(collect(model, [good], { memoryBytes: 1000 })).rejects.toMatchObject(
      refused(/raise the budget/, 'ERR_HEADSPARK_OUT_OF_MEMORY'),
    );
    expect(await collect(model, [])).toEqual([]);
  });

  it('passes on what the iterable and the callbacks throw', async () => {
    async function* broken() {
      yield { prompt: prompts[0] };
      await setTimeout(1);
      throw new Error('the file ended');
    }
    await expect(collect(model, broken())).rejects.toThrow('the file ended');
    const onToken = () => {
      throw new Error('no more');
    };
    await expect(collect(model, [{ prompt: prompts[0] }], { onToken })).rejects.toThrow('no more');
  });

  it('stops when aborted and frees its memory', async () => {
    const abortOne = async () => {
      const controller = new AbortController();
      let tokens = 0;
      const onToken = () => {
        if (++tokens === 200) controller.abort(new Error('enough'));
      };
      await expect(
        collect(model, manyRequests(500), { signal: controller.signal, onToken }),
      ).rejects.toMatchObject({
        code: 'ERR_HEADSPARK_CANCELLED',
        cause: { message: 'enough' },
      });
    };
    for (let round = 0; round < 3; round++) await abortOne();
    collectGarbage();
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 25; round++) await abortOne();
    collectGarbage();
    // Pages, trace and logits of one generation are some 20 MB.
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 2 ** 20);
    const aborted = AbortSignal.abort(new Error('before'));
    await expect(collect(model, manyRequests(2), { signal: aborted })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
    });
    expect(await collect(model, manyRequests(2))).toHaveLength(2);
  }, 60_000);

  it('survives the end of its thread in mid-run', async () => {
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(
        `import { generate, loadModel } from ${JSON.stringify(path.resolve('dist/index.js'))};
         import { parentPort } from 'node:worker_threads';
         const model = await loadModel(${JSON.stringify(path.join(referenceFolder, 'qwen2'))});
         const requests = Array.from({ length: 400 }, () => ({ prompt: [1, 2, 3], maxNewTokens: 100 }));
         for await (const { index } of generate(model, requests)) parentPort.postMessage(index);`,
        { eval: true, execArgv: ['--input-type=module'] },
      );
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await worker.terminate();
    }
    expect(await collect(model, manyRequests(3))).toHaveLength(3);
  }, 60_000);

  it.skipIf(!sharedFolder)('equals the golden generations of stories260K (needs ../shared)', async () => {
    const folder = {
      name: 'stories260K',
      model: path.join(sharedFolder!, 'models/stories260K'),
      pairs: '',
    };
    const golden = goldenJson(folder, 'generations.json');
    const cases = [[], ...goldenJson(folder, 'scaled_head_cases.json')];
    const requests = cases.flatMap((heads) =>
      golden.prompts.map((prompt: number[], index: number) => ({
        prompt,
        heads,
        maxNewTokens: golden.greedy[index].length,
        stopTokens: [],
      })),
    );
    const used = await loadModel(folder.model);
    const completions = await collect(used, requests);
    expect(completions.map(({ tokens }) => tokens)).toEqual(golden.greedy);
    used.dispose();
  });
});
