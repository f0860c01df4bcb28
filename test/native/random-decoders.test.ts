// Tiny decoders of random shapes, rotations and windows against the program in plain fp64 that makes the fixtures
// of some architectures (scripts/fixtures/decoders): logits, and the metric of random circuits.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { computeLogits, evaluateCircuits, loadModel } from '../../lib/index.js';

const decoders = path.join(import.meta.dirname, '../../scripts/fixtures/decoders');
const load = async (name: string) => (await import(path.join(decoders, name))) as Record<string, any>;
const { Graph } = await load('graph.mjs');
const { writeCheckpoint } = await load('checkpoint.mjs');
const random = await load('random.mjs');
const below = random.below as (count: number) => number;
const uniform = random.uniform as () => number;
const pick = <T>(values: readonly T[]): T => values[below(values.length)];

let folder: string;
beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'headspark-decoders-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const yarn = () => ({
  rope_type: 'yarn',
  factor: 1 + 7 * uniform(),
  original_max_position_embeddings: 16,
  ...(uniform() < 0.5 ? { attention_factor: 0.7 + uniform() } : {}),
});

const particular: Record<string, (layers: number, pairs: number) => Record<string, unknown>> = {
  llama: () => ({ rope_scaling: pick([null, yarn()]) }),
  olmo2: () => ({ rope_scaling: pick([null, yarn()]) }),
  mistral: () => ({ sliding_window: 1 + below(40) }),
  olmo3: (layers) => ({
    rope_scaling: pick([null, yarn(), yarn()]),
    layer_types: Array.from({ length: layers }, () => pick(['sliding_attention', 'full_attention'])),
    sliding_window: 1 + below(40),
  }),
  smollm3: (layers) => ({
    rope_scaling: pick([null, yarn()]),
    no_rope_layers: Array.from({ length: layers }, () => below(2)),
    use_sliding_window: uniform() < 0.5,
    sliding_window: 1 + below(20),
  }),
  phi3: (_, pairs) => ({
    original_max_position_embeddings: 40,
    rope_scaling: {
      type: 'longrope',
      short_factor: Array.from({ length: pairs }, () => 1 + uniform()),
      long_factor: Array(pairs).fill(2),
    },
    sliding_window: pick([null, 1 + below(20)]),
  }),
};

function randomConfig(type: string) {
  const heads = pick([1, 2, 3, 4, 6]);
  const kv = pick([1, 2, 3, 4, 6].filter((count) => heads % count === 0));
  const pairs = 1 + below(8);
  const layers = 1 + below(4);
  return {
    model_type: type,
    architectures: ['TinyForCausalLM'],
    hidden_act: 'silu',
    hidden_size: heads * 2 * pairs,
    intermediate_size: 5 + below(60),
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: kv,
    max_position_embeddings: 64,
    rms_norm_eps: pick([1e-6, 1e-5]),
    rope_theta: pick([1000, 10_000, 500_000]),
    tie_word_embeddings: uniform() < 0.5,
    vocab_size: 20 + below(60),
    ...particular[type](layers, pairs),
  };
}

const largest = (values: readonly number[]): number => Math.max(...values.map(Math.abs));

it.each(Object.keys(particular))('random decoders like %s', async (type) => {
  random.seed(11);
  for (let index = 0; index < 8; index++) {
    const config = randomConfig(type);
    const place = path.join(folder, `${type}-${index}`);
    writeCheckpoint(place, config);
    const graph = new Graph(place);
    const model = await loadModel(place);
    const promptOf = (length: number): number[] =>
      Array.from({ length }, () => below(config.vocab_size));
    const prompts = [promptOf(1 + below(30)), promptOf(1 + below(30))];
    const wanted = prompts.flatMap((prompt) => graph.plain(prompt).logits as number[]);
    const size = largest(wanted);
    const found = await computeLogits(model, prompts);
    const off = largest(wanted.map((value, i) => value - found[i]));
    expect(off / size, JSON.stringify(config)).toBeLessThanOrEqual(1e-5);

    const clean = promptOf(1 + below(30));
    const shared = below(clean.length);
    const corrupted = clean.map((token, i) => (i < shared ? token : below(config.vocab_size)));
    const answers = { correct: [1], incorrect: [2, 3] };
    const edges = Array.from({ length: graph.sources as number }, () =>
      Array.from({ length: graph.destinations as number }, () => below(2)),
    );
    const inGraph = Uint8Array.from(edges.flat());
    const circuit = {
      shape: model.shape(),
      inGraph,
      meta: {},
      scores: new Float32Array(inGraph.length),
      nodesInGraph: new Uint8Array(edges.length).fill(1),
    };
    const [one, other] = [clean, corrupted].map((tokens) => Int32Array.from(tokens));
    const pair = { ...answers, index: 0, line: 1, clean: one, corrupted: other };
    const { circuits } = await evaluateCircuits(model, [pair], [circuit]);
    const value = graph.circuit({ ...answers, clean, corrupted }, edges) as number;
    const away = Math.abs(circuits[0].values[0] - value) / size;
    expect(away, JSON.stringify(config)).toBeLessThanOrEqual(1e-5);
    model.dispose();
  }
});
