// Aborting the heavy jobs in mid-run: the promise rejects with the reason, the device is free again
// at once, and nothing of the job stays in memory.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import { Sweep } from '../../lib/ablation-sweep.js';
import { attribute } from '../../lib/attribution.js';
import { evaluateCircuits } from '../../lib/circuit-evaluation.js';
import { graphOf } from '../../lib/circuit/index.js';
import { generateGreedy } from '../../lib/generate.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { JobOptions } from '../../lib/native.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder, referencePairs } from './fixtures.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let model: Model;
let many: TokenizedPair[];
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  const pairs = await referencePairs();
  many = Array.from({ length: 500 }, () => pairs).flat();
});
afterAll(() => model.dispose());

function manyCircuits() {
  const shape = model.shape();
  const inGraph = graphOf(shape).realEdgeMask();
  const scores = new Float32Array(inGraph.length);
  const nodesInGraph = new Uint8Array(graphOf(shape).nForward).fill(1);
  return Array.from({ length: 200 }, () => ({ shape, scores, meta: {}, inGraph, nodesInGraph }));
}

const jobs: [string, (options: JobOptions) => Promise<unknown>][] = [
  ['attribute', (options) => attribute(model, many, { igSteps: 20, ...options })],
  ['attribute exactly', (options) => attribute(model, many, { method: 'exact', ...options })],
  ['evaluateCircuits', (options) => evaluateCircuits(model, many, manyCircuits(), options)],
  ['Sweep.create', (options) => Sweep.create(model, many, { ablation: 'mean', ...options })],
  [
    'computeLogits',
    (options) =>
      computeLogits(
        model,
        many.map((pair) => pair.clean),
        options,
      ),
  ],
  [
    'generateGreedy',
    (options) =>
      generateGreedy(
        model,
        many.slice(0, 1000).map(({ clean: prompt }) => ({ prompt })),
        { maxNewTokens: 100, ...options },
      ),
  ],
];

/** Aborts a job a while after its start; resolves to how long the rejection took. */
async function abortAfter(ms: number, start: (options: JobOptions) => Promise<unknown>) {
  const controller = new AbortController();
  const reason = new Error('enough');
  let aborted = 0;
  setTimeout(() => {
    aborted = performance.now();
    controller.abort(reason);
  }, ms);
  await expect(start({ signal: controller.signal })).rejects.toMatchObject({
    name: 'HeadsparkError',
    code: 'ERR_HEADSPARK_CANCELLED',
    cause: reason,
  });
  return performance.now() - aborted;
}

describe('aborting in mid-run', () => {
  it.each(jobs)('%s rejects soon, and the next job runs', async (_name, start) => {
    expect(await abortAfter(20, start)).toBeLessThan(2000);
    const next = await computeLogits(model, [many[0].clean]);
    expect(next).toHaveLength(model.info.vocab);
  });

  it('Sweep.run rejects soon', async () => {
    const sweep = await Sweep.create(model, many);
    const variants = Array.from({ length: 100 }, (_, index) => ({
      name: `${index}`,
      heads: [{ layer: 0, head: index % 6 }],
      factor: 0,
    }));
    expect(await abortAfter(20, (options) => sweep.run(variants, options))).toBeLessThan(2000);
    sweep.dispose();
  });

  it('a job that waits behind another leaves the queue', async () => {
    const controller = new AbortController();
    const running = attribute(model, many, { signal: controller.signal }).catch(
      (error: { code: string }) => error.code,
    );
    expect(await abortAfter(20, (options) => attribute(model, many, options))).toBeLessThan(2000);
    controller.abort();
    expect(await running).toBe('ERR_HEADSPARK_CANCELLED');
  });
});

/** Resident bytes after garbage collection; finalizers run a turn later, hence the rounds. */
async function settle(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage.rss();
}

describe('memory', () => {
  it('of 20 aborted jobs is freed', async () => {
    // Each job holds 60 MiB of values, its masks and the packed pairs: 20 leaked ones would hold
    // more than a gigabyte.
    const circuit = manyCircuits()[0];
    const circuits = Array.from({ length: 1_500 }, () => circuit);
    const abortOne = () => abortAfter(50, (o) => evaluateCircuits(model, many, circuits, o));
    for (let round = 0; round < 2; round++) await abortOne();
    const before = await settle();
    for (let round = 0; round < 20; round++) await abortOne();
    const grown = (await settle()) - before;
    expect(grown).toBeLessThan(192 * 2 ** 20);
  }, 120_000);

  it('of finished results and disposed models is freed', async () => {
    const round = async () => {
      const other = await loadModel(path.join(referenceFolder, 'qwen2'));
      await attribute(other, many.slice(0, 20), { method: 'eap', keepPairScores: true });
      const prompts = many.slice(0, 1000).map((pair) => pair.clean);
      await computeLogits(other, prompts, { allPositions: true });
      other.dispose();
    };
    for (let warm = 0; warm < 3; warm++) await round();
    const before = await settle();
    for (let index = 0; index < 20; index++) await round();
    // Every round makes 19 MB of logits: 20 that stayed would be 380 MB.
    expect((await settle()) - before).toBeLessThan(128 * 2 ** 20);
  }, 120_000);
});
