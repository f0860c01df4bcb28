// Runs inside a worker thread: loads a model through an addon of its own and computes with it.
// `mode` is `logits` (send the logits), `twice` (through two copies of the addon), `hang` (start
// a job that is never finished) or `foreign` (try a handle from another thread).
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const require = createRequire(import.meta.url);
const { addonFile, folder, mode, pairs } = workerData;
const addon = require(addonFile);
const load = {
  folder,
  checkValues: true,
  threads: 1,
  memoryBytes: 0,
  device: 'cpu',
  batchTokens: 0,
  sharePrefix: true,
  precision: 'exact',
};
const heads = {
  layers: new Int32Array(),
  heads: new Int32Array(),
  factors: new Float32Array(),
  offsets: new Int32Array(2),
};
const prompts = { values: Int32Array.of(5, 9, 2), offsets: Int32Array.of(0, 3) };
const logitsOf = async (used) => {
  const model = await used.loadModel(load).promise;
  return used.computeLogits(model, { prompts, heads, allPositions: false }).promise;
};

if (mode === 'logits') {
  parentPort.postMessage(await logitsOf(addon));
} else if (mode === 'twice') {
  const first = await addon.loadModel(load).promise;
  delete require.cache[require.resolve(addonFile)];
  const again = require(addonFile);
  const both = await Promise.all([logitsOf(addon), logitsOf(again)]);
  parentPort.postMessage({ both, layers: again.modelInfo(first).layers });
} else if (mode === 'foreign') {
  try {
    addon.modelInfo(workerData.handle);
    parentPort.postMessage('accepted');
  } catch (error) {
    parentPort.postMessage(error.code);
  }
} else {
  const model = await addon.loadModel(load).promise;
  let told = false;
  const settings = { method: 'exact', metric: 'logit-diff', igSteps: 5, igGrid: 'left' };
  const columns = { beginColumn: 0, endColumn: -1 };
  const range = { begin: 0, end: pairs.clean.offsets.length - 1, ...columns };
  const options = { ...settings, ...range, pairs, kvEdges: 'per-query-head', keepPairScores: true };
  await addon.attribute(model, options, () => {
    if (!told) parentPort.postMessage('running');
    told = true;
  }).promise;
  parentPort.postMessage('finished');
}
