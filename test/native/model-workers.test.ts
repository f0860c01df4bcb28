// Models in worker threads: each thread loads its own, they compute side by side with the main
// thread, survive being terminated in mid-run, and never share a handle.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { computeLogits } from '../../lib/logits.js';
import { loadModel } from '../../lib/model.js';
import { packPairs } from '../../lib/packed.js';
import { packageRoot } from '../../lib/version.js';
import { referenceFolder, referencePairs, sameBits } from './fixtures.js';

const require = createRequire(import.meta.url);
const resolveAddon = require('node-gyp-build') as { resolve(root: string): string };
const addonFile = resolveAddon.resolve(packageRoot);
const folder = path.join(referenceFolder, 'qwen2');
const workerFile = fileURLToPath(new URL('model-worker.mjs', import.meta.url));

function startWorker(mode: 'logits' | 'twice' | 'hang' | 'foreign', extra: object = {}): Worker {
  return new Worker(workerFile, { workerData: { addonFile, folder, mode, ...extra } });
}

function firstMessage(worker: Worker): Promise<any> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code} and no message`)));
  });
}

async function mainLogits(): Promise<Float32Array> {
  const model = await loadModel(folder);
  const logits = await computeLogits(model, [[5, 9, 2]]);
  model.dispose();
  return logits;
}

describe('worker threads', () => {
  it('compute the same bits side by side with the main thread', async () => {
    const workers = [startWorker('logits'), startWorker('logits')];
    const [own, ...theirs] = await Promise.all([mainLogits(), ...workers.map(firstMessage)]);
    for (const logits of theirs) expect(sameBits(logits, own)).toBe(true);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  it('can load the addon twice', async () => {
    const worker = startWorker('twice');
    const { both, layers } = await firstMessage(worker);
    const own = await mainLogits();
    for (const logits of both) expect(sameBits(logits, own)).toBe(true);
    expect(layers).toBe(4);
    await worker.terminate();
  });

  it('refuse a handle of another thread', async () => {
    const model = await loadModel(folder);
    const worker = startWorker('foreign', { handle: { ...model.handle() } });
    expect(await firstMessage(worker)).toBe('ERR_HEADSPARK_INVALID_ARGUMENT');
    model.dispose();
    await worker.terminate();
  });

  it('survive being terminated in mid-run, and the device is free afterwards', async () => {
    const few = await referencePairs();
    const many = Array.from({ length: 100 }, () => few).flat();
    const pairs = packPairs(many, 'logit-diff');
    const expected = await mainLogits();
    for (let round = 0; round < 5; round++) {
      const worker = startWorker('hang', { pairs });
      expect(await firstMessage(worker)).toBe('running');
      const started = performance.now();
      await worker.terminate();
      expect(performance.now() - started).toBeLessThan(5000);
      expect(sameBits(await mainLogits(), expected)).toBe(true);
    }
  });
});
