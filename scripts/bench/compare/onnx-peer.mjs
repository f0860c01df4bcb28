// onnxruntime-node as a peer of scripts/bench/compare, on a graph of write_onnx.py: prefill and
// greedy decoding with a key/value cache. Usage: onnx-peer.mjs MODULES MODEL.onnx CONFIG THREADS
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promptTokens, serveTasks } from './serve-tasks.mjs';

const [modules, model, configFile, threads] = process.argv.slice(2);
const require = createRequire(path.join(modules, 'package.json'));
const { InferenceSession, Tensor } = require('onnxruntime-node');
const { version } = require('onnxruntime-node/package.json');
const config = JSON.parse(readFileSync(configFile, 'utf8'));
const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads;

const session = await InferenceSession.create(model, {
  executionProviders: ['cpu'],
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
});

const caches = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
  ['k', 'v'].map((part) => [`past_${part}_${layer}`, `present_${part}_${layer}`]),
).flat();

function emptyPast() {
  const shape = [1, config.num_key_value_heads, 0, headDim];
  return Object.fromEntries(
    caches.map(([past]) => [past, new Tensor('float32', new Float32Array(0), shape)]),
  );
}

/** Runs `tokens` behind `length` cached ones; logits of all positions or of the last. */
async function step(tokens, { past, length, all = false }) {
  const total = length + tokens.length;
  const ids = BigInt64Array.from(tokens, BigInt);
  const result = await session.run({
    input_ids: new Tensor('int64', ids, [1, tokens.length]),
    seqlens_k: new Tensor('int32', Int32Array.of(total - 1), [1]),
    total_length: new Tensor('int32', Int32Array.of(total), []),
    logits_from: new Tensor('int64', BigInt64Array.of(all ? 0n : -1n), [1]),
    ...past,
  });
  const next = Object.fromEntries(caches.map(([before, after]) => [before, result[after]]));
  return { logits: result.logits, past: next, length: total };
}

function largest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

async function decode(count) {
  let state = await step(promptTokens(8, config.vocab_size), { past: emptyPast(), length: 0 });
  for (let i = 1; i < count; i++) state = await step([largest(state.logits.data)], state);
}

const prompt = promptTokens(512, config.vocab_size);
await serveTasks({
  peer: `onnxruntime-node ${version}`,
  settings: `${threads} threads, fp32 weights, fused attention with a cache`,
  tasks: [
    {
      task: 'prefill 512',
      variant: 'f32',
      run: () => step(prompt, { past: emptyPast(), length: 0 }),
    },
    {
      task: 'prefill 512 all logits',
      variant: 'f32',
      run: () => step(prompt, { past: emptyPast(), length: 0, all: true }),
    },
    { task: 'decode 64', variant: 'f32', run: () => decode(64) },
  ],
});
