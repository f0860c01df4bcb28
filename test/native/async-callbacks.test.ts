// Callbacks may be async functions: a promise that is rejected ends the job with its error, wherever the
// callback is called, and a job waits for the promises it was given. (An unhandled rejection would end
// this run of the tests.)
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { AttributionResult, Benchmark, CallbackResult, Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

let model: Model;
let pairs: TokenizedPair[];
let table: AttributionResult;
let benchmark: Benchmark;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-callbacks-'));
  model = await headspark.loadModel(join(packageRoot, 'lib', 'demo', 'models', 'base'));
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 4 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
  benchmark = await headspark.readBenchmark('demo', { limit: 2 });
  await writeFile(join(folder, 'pairs.jsonl'), '{"clean":"1","corrupted":"1 2 3"}\n'.repeat(3));
  const messages = (content: string) => [{ role: 'user', content }];
  const pair = { messages: messages('1'), corrupted_messages: messages('2'), correct: 1, incorrect: 2 };
  await writeFile(join(folder, 'messages.jsonl'), JSON.stringify(pair));
});
afterAll(async () => {
  model.dispose();
  await rm(folder, { recursive: true });
});

type AnyCallback = () => CallbackResult;

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const item of stream) void item;
}

const manyOf = (some: TokenizedPair[]): TokenizedPair[] =>
  Array.from({ length: 3000 }, () => some).flat();
const rows = [{ prompt: [1, 2], maxNewTokens: 3 }];
const plan = { kind: 'single' } as const;
const selection = { rule: 'top-n', n: 5 } as const;

const jobs: [string, (callback: AnyCallback) => Promise<unknown>][] = [
  ['attribute', (onProgress) => headspark.attribute(model, pairs, { igSteps: 1, onProgress })],
  ['Sweep.create', (onProgress) => headspark.Sweep.create(model, pairs, { ablation: 'mean', onProgress })],
  [
    'evaluateCircuits',
    (onProgress) =>
      headspark.evaluateCircuits(model, pairs, [headspark.buildCircuit(table, selection)], { onProgress }),
  ],
  ['ablate', (onProgress) => headspark.ablate(model, pairs, { plan, onProgress })],
  ['ablate: onPlan', (onPlan) => headspark.ablate(model, pairs, { plan, onPlan })],
  [
    'diff',
    (onProgress) =>
      headspark.diff(
        ['a', 'b'].map((name) => ({ name, table })),
        { selection, resamples: 20, nullRepeats: 2, onProgress },
      ),
  ],
  ['evaluate', (onProgress) => headspark.evaluate(model, benchmark, { maxNewTokens: 4, onProgress })],
  ['generate', (onProgress) => drain(headspark.generate(model, rows, { onProgress }))],
  ['generate: onToken', (onToken) => drain(headspark.generate(model, rows, { onToken }))],
  [
    'readPairs: onMessages',
    (onMessages) =>
      headspark.readPairs(join(folder, 'messages.jsonl'), {
        tokenizer: model.tokenizer!,
        chatTemplate: model.chatTemplate!,
        onMessages,
      }),
  ],
  [
    'inspectPairs',
    (onProgress) =>
      headspark.inspectPairs(join(folder, 'messages.jsonl'), {
        tokenizer: model.tokenizer!,
        chatTemplate: model.chatTemplate!,
        onProgress,
      }),
  ],
  [
    'generatePairs',
    (onProgress) => headspark.generatePairs('arithmetic', model.tokenizer!, { count: 3, onProgress }),
  ],
  [
    'readPairs: onUnfit',
    (onUnfit) =>
      headspark.readPairs(join(folder, 'pairs.jsonl'), { tokenizer: model.tokenizer!, onUnfit }),
  ],
];

it.each(jobs.filter(([name]) => !name.includes(': on')))('%s tells its progress as all others do', async (_, run) => {
  const seen: headspark.JobProgress[] = [];
  await run(((progress: headspark.JobProgress) => seen.push(progress)) as AnyCallback);
  const numbers = { done: expect.any(Number) as number, total: expect.any(Number) as number };
  expect(seen.length).toBeGreaterThan(0);
  for (const progress of seen) expect(progress).toMatchObject(numbers);
});

describe('a callback whose promise is rejected', () => {
  it.each(jobs)('ends %s with its error', async (_, run) => {
    const reason = new Error('the disk is full');
    let calls = 0;
    const failing: AnyCallback = () => {
      calls++;
      return Promise.reject(reason);
    };
    await expect(run(failing)).rejects.toBe(reason);
    expect(calls).toBeGreaterThan(0);
  });

  it('ends a study with its error', async () => {
    const study = await headspark.readStudy(join(packageRoot, 'lib', 'demo', 'models', 'study.yaml'));
    const reason = new Error('the watcher is gone');
    const onProgress: AnyCallback = () => Promise.reject(reason);
    const run = headspark.runStudy(study, { out: join(folder, 'run'), onProgress });
    await expect(run).rejects.toBe(reason);
  });

  it('stops a job that is under way', async () => {
    const shares: number[] = [];
    const reason = new Error('no more');
    const onProgress = async ({ done, total }: headspark.JobProgress): Promise<void> => {
      shares.push(done / total);
      await setTimeout(1);
      throw reason;
    };
    await expect(headspark.attribute(model, manyOf(pairs), { igSteps: 30, onProgress, })).rejects.toBe(reason);
    expect(shares.at(-1)).toBeLessThan(1);
  });
});

describe('a callback whose promise takes its time', () => {
  it.each(jobs.filter(([name]) => name !== 'readPairs: onUnfit'))('is waited for by %s', async (_, run) => {
    let [begun, ended] = [0, 0];
    const slow: AnyCallback = async () => {
      begun++;
      await setTimeout(20);
      ended++;
    };
    await run(slow);
    expect(begun).toBeGreaterThan(0);
    expect(ended).toBe(begun);
  });

  it('does not hold a job that is cancelled, whose error is that of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const never: AnyCallback = () => {
      controller.abort(reason);
      return new Promise(() => undefined);
    };
    const job = { onProgress: never, signal: controller.signal };
    await expect(headspark.attribute(model, manyOf(pairs), { igSteps: 30, ...job })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
      cause: reason,
    });
  });
});
