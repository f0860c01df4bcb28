// Weights that somebody writes over, cuts short or replaces while a model is in use: numbers of no one
// model are refused, and nothing crashes.
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { cp, mkdtemp, rename, rm, stat, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { Circuit, Model, TokenizedPair } from '../../lib/index.js';
import { digest, grpoAlone, models, writeStudy } from './study/small-study.js';

const sums = `study: changing
tasks:
  - { name: sums, limit: 4, pairs: ${models}/pairs-direct.jsonl }
attribution: { metric: prob-diff, ig-steps: 2 }
selection: { rule: top-n, n: 20 }
statistics: { resamples: 20, null-repeats: 20 }
`;
const head = { layer: 1, head: 0 };

let folder: string;
let pairs: TokenizedPair[];
let circuits: Circuit[];
let copies = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-changed-'));
  using model = await headspark.loadModel(join(models, 'base'));
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 4 });
  circuits = [headspark.buildCircuit(await headspark.attribute(model, pairs), { rule: 'top-n', n: 9 })];
});
afterAll(() => rm(folder, { recursive: true }));

interface Loaded {
  readonly model: Model;
  readonly weights: string;
}

/** A checkpoint of its own whose files are older than what is written next. */
async function copyOf(checkpoint: string): Promise<string> {
  const copy = join(folder, `${checkpoint}-${++copies}`);
  await cp(join(models, checkpoint), copy, { recursive: true });
  await utimes(join(copy, 'model.safetensors'), 1e9, 1e9);
  return copy;
}

async function loadCopy(): Promise<Loaded> {
  const copy = await copyOf('base');
  const weights = join(copy, 'model.safetensors');
  return { model: await headspark.loadModel(copy), weights };
}

function writeLastByte(weights: string): void {
  const file = openSync(weights, 'r+');
  writeSync(file, Buffer.from([1]), 0, 1, fstatSync(file).size - 1);
  closeSync(file);
}

const computations: [string, (model: Model) => Promise<unknown>][] = [
  ['attribute', (model) => headspark.attribute(model, pairs, { igSteps: 1 })],
  ['evaluateCircuits', (model) => headspark.evaluateCircuits(model, pairs, circuits)],
  ['headEffects', (model) => headspark.headEffects(model, pairs, { heads: [head] })],
  ['headProperties', (model) => headspark.headProperties(model, [{ tokens: [1, 2, 3] }])],
  ['computeLogits', (model) => headspark.computeLogits(model, [[1, 2, 3]])],
  ['generateGreedy', (model) => headspark.generateGreedy(model, [{ prompt: [1, 2, 3] }], { maxNewTokens: 4 })],
  ['Sweep.create', (model) => headspark.Sweep.create(model, pairs)],
];

describe('weights that were written to after they were loaded', () => {
  it.each(computations)('are refused by %s', async (_name, compute) => {
    const { model, weights } = await loadCopy();
    writeLastByte(weights);
    const changed = {
      code: 'ERR_HEADSPARK_FILE_CHANGED',
      message: expect.stringMatching(/model\.safetensors was written to while it was in use.*run again/),
    };
    await expect(compute(model)).rejects.toMatchObject(changed);
    expect(() => model.fingerprint()).toThrow(expect.objectContaining(changed));
    model.dispose();
  });

  it.each(computations)('and were cut short meanwhile end %s with an error', async (_, compute) => {
    const { model, weights } = await loadCopy();
    await truncate(weights, 100);
    await expect(compute(model)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CHANGED',
      message: expect.stringMatching(/model\.safetensors was (cut short|written to)/),
    });
    model.dispose();
  });

  it('are refused by a sweep that was prepared before', async () => {
    const { model, weights } = await loadCopy();
    using sweep = await headspark.Sweep.create(model, pairs);
    writeLastByte(weights);
    await expect(
      sweep.run([{ name: 'one', heads: [head], factor: 0 }]),
    ).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CHANGED' });
    model.dispose();
  });

  it('end a generation that is going on', async () => {
    const { model, weights } = await loadCopy();
    // The first row ends a few tokens after the change, the others much later: so much is left to do that
    // a busy machine tells of the first token long before the end.
    const requests = [4, ...new Array<number>(2000).fill(60)].map((maxNewTokens) => ({
      prompt: [1, 2, 3],
      maxNewTokens,
      stopTokens: [],
    }));
    const completed: number[] = [];
    let tokens = 0;
    const onToken = (): void => {
      if (++tokens === 1) writeLastByte(weights);
    };
    const generating = async (): Promise<void> => {
      for await (const { index } of headspark.generate(model, requests, { onToken })) {
        completed.push(index);
      }
    };
    await expect(generating()).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CHANGED' });
    expect(completed.length).toBeLessThan(requests.length);
    model.dispose();
  });
});

describe('weights that another file took the place of', () => {
  it('stay as they were loaded', async () => {
    const { model, weights } = await loadCopy();
    const before = await headspark.computeLogits(model, [[1, 2, 3]]);
    await cp(join(models, 'grpo-step120', 'model.safetensors'), `${weights}.new`);
    expect((await stat(`${weights}.new`)).ino).not.toBe((await stat(weights)).ino);
    await rename(`${weights}.new`, weights);
    expect(await headspark.computeLogits(model, [[1, 2, 3]])).toEqual(before);
    expect(model.fingerprint()).toHaveLength(32);
    model.dispose();
  });

  it('end a study that would take them for those it began with', async () => {
    const checkpoint = await copyOf('grpo-step120');
    const weights = join(checkpoint, 'model.safetensors');
    await cp(join(models, 'sft-step120', 'model.safetensors'), `${weights}.new`);
    const text = grpoAlone.replace(join(models, 'grpo-step120'), checkpoint) + sums;
    const study = await headspark.readStudy(await writeStudy(text, folder));
    const out = join(folder, 'run');
    const replaceOnce = ({ kind }: { kind: string }): Promise<void> | undefined =>
      kind === 'pairs' ? rename(`${weights}.new`, weights) : undefined;
    await expect(
      headspark.runStudy(study, { out, onComputed: replaceOnce }),
    ).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CHANGED',
      message: expect.stringMatching(/the weights of post .*are other ones than when this run began/),
    });
    expect(await headspark.runStudy(study, { out })).toMatchObject({ complete: true });
    const fresh = join(folder, 'fresh');
    await headspark.runStudy(study, { out: fresh });
    expect(await digest(out)).toMatchObject(await digest(fresh));
  });
});
