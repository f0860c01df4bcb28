// node-llama-cpp as a peer of scripts/bench/compare, on a file of write_gguf.py: prefill and greedy
// decoding. Usage: llama-peer.mjs MODULES MODEL.gguf VOCAB THREADS
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promptTokens, serveTasks } from './serve-tasks.mjs';

const [modules, file, vocab, threads] = process.argv.slice(2);
const require = createRequire(path.join(modules, 'package.json'));
const entry = require.resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry));
const { version } = require(path.join(modules, 'node_modules/node-llama-cpp/package.json'));

const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: 1024,
  batchSize: 512,
  threads: { ideal: Number(threads), min: Number(threads) },
});
const sequence = context.getSequence();

async function decode(count) {
  await sequence.clearHistory();
  let made = 0;
  const tokens = sequence.evaluate(promptTokens(8, Number(vocab)), {
    temperature: 0,
    yieldEogToken: true,
  });
  for await (const token of tokens) if (token === undefined || ++made === count) break;
  if (made !== count) throw new Error(`llama.cpp stopped after ${made} tokens`);
}

async function prefill() {
  await sequence.clearHistory();
  await sequence.evaluateWithoutGeneratingNewTokens(promptTokens(512, Number(vocab)));
}

await serveTasks({
  peer: `node-llama-cpp ${version}`,
  settings: `${threads} threads, bf16 weights, CPU build of the package`,
  tasks: [
    { task: 'prefill 512', variant: 'bf16', run: prefill },
    { task: 'decode 64', variant: 'bf16', run: () => decode(64) },
  ],
});
