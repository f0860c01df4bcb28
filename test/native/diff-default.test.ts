// A diff resamples by the addon unless it is told otherwise, and every number is that of JavaScript.
import { expect, it, vi } from 'vitest';
import { graphOf } from '../../lib/circuit/index.js';
import { diff, resampledHeads, type DiffInput, type GraphShape } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { Random } from '../../lib/stats/random.js';

const shape: GraphShape = {
  layers: 2,
  heads: 3,
  keyValueHeads: 3,
  parallelBlock: false,
  kvEdges: 'per-query-head',
};

function tableOf(name: string, seed: number): DiffInput {
  const graph = graphOf(shape);
  const pairs = 9;
  const random = new Random(seed);
  const pairScores = Float32Array.from({ length: pairs * graph.edgeCount }, () => random.uniform() - 0.4);
  const mean = Float32Array.from({ length: graph.edgeCount }, (_, edge) => {
    let sum = 0;
    for (let pair = 0; pair < pairs; pair++) sum += pairScores[pair * graph.edgeCount + edge];
    return sum / pairs;
  });
  return { name, table: { shape, scores: graph.expand(mean), pairScores, meta: {} } };
}

it('diff takes the fastest resampler by itself, with the bits of the slow one', async () => {
  const inputs = [tableOf('base', 1), tableOf('post', 2)];
  const options = { selection: { rule: 'top-n', n: 20 }, resamples: 50, nullRepeats: 9 } as const;
  const slow = await diff(inputs, { ...options, resampledHeads });
  const byAddon = vi.spyOn(native(), 'resampledHeads');
  expect(await diff(inputs, options)).toEqual(slow);
  expect(byAddon).toHaveBeenCalled();
});
