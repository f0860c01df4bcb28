// Configurations that the reference models do not have (YaRN, windows, biases, unscaled attention, …),
// against transformers in fp64, and their edges against scripts/fixtures/edge_graph.py, which takes
// gradients by torch's autograd. scripts/fixtures/architectures.py makes the fixtures; those of smollm3,
// phi3, olmo2 and olmo3 are by scripts/fixtures/decoders.mjs, in fp64 with gradients by differences.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  attribute,
  computeLogits,
  evaluateCircuits,
  loadModel,
  type GatedHead,
  type TokenizedPair,
} from '../../lib/index.js';
import { graphOf } from '../../lib/circuit/graph.js';

const fixtures = path.join(import.meta.dirname, '../fixtures/architectures');

interface Expected {
  prompts: number[][];
  logits: number[][];
  halved: { heads: GatedHead[]; logits: number[][] };
  edges: {
    pairs: { clean: number[]; corrupted: number[]; correct: number[]; incorrect: number[] }[];
    igSteps: number;
    scores: number[][];
    circuit: number[][];
    values: number[];
  };
}

/** NaN if any value is. */
function largest(values: readonly number[]): number {
  return Math.max(...values.map(Math.abs));
}

function expectNear(values: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(values).toHaveLength(wanted.length);
  const differences = Array.from(wanted, (value, i) => value - values[i]);
  expect(largest(differences) / largest(Array.from(wanted))).toBeLessThanOrEqual(5e-6);
}

describe.each(readdirSync(fixtures))('%s', (name) => {
  const folder = path.join(fixtures, name);
  const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Expected;
  const { edges } = expected;
  const pairs = edges.pairs.map((pair, index): TokenizedPair => ({
    ...pair,
    index,
    line: index + 1,
    clean: Int32Array.from(pair.clean),
    corrupted: Int32Array.from(pair.corrupted),
  }));

  it.each([
    ['as it is', [], expected.logits],
    ['with a head at half its size', expected.halved.heads, expected.halved.logits],
  ])('gives the logits of transformers, %s', async (_, heads, logits) => {
    const model = await loadModel(folder);
    const values = await computeLogits(model, expected.prompts, { heads });
    expectNear(values, logits.flat());
  });

  it('gives the scores of every edge by EAP-IG', async () => {
    const model = await loadModel(folder);
    const { scores } = await attribute(model, pairs, { igSteps: edges.igSteps });
    // Where there is no edge, theirs is of a source that comes later: not a score.
    const graph = graphOf(model.shape());
    expectNear(graph.compact(scores), graph.compact(Float32Array.from(edges.scores.flat())));
  });

  it('gives the metric of a circuit', async () => {
    const model = await loadModel(folder);
    const shape = model.shape();
    const inGraph = Uint8Array.from(edges.circuit.flat());
    const circuit = {
      shape,
      inGraph,
      meta: {},
      scores: new Float32Array(inGraph.length),
      nodesInGraph: new Uint8Array(edges.circuit.length).fill(1),
    };
    const { circuits } = await evaluateCircuits(model, pairs, [circuit]);
    expectNear(circuits[0].values, edges.values);
  });
});

describe('mistral with a window', () => {
  it('reads prompts that leave it, up to its positions', async () => {
    const model = await loadModel(path.join(fixtures, 'mistral-window'));
    const prompt = new Array<number>(64).fill(1);
    await expect(computeLogits(model, [prompt])).resolves.toHaveLength(40);
    prompt.push(1);
    await expect(computeLogits(model, [prompt])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringContaining('A prompt of 65 tokens is longer than the 64 positions') as string,
    });
  });
});
