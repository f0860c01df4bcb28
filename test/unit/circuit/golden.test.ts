// Circuit sizes after top-n and pruning against the reference (hannamw/EAP-IG 795f560).
// Two small models travel with the tests; the rest needs the shared folder.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildCircuit, countEdges, countNodes, graphOf } from '../../../lib/circuit/index.js';
import type { GraphShape } from '../../../lib/circuit/index.js';
import { readNpyFloat32 } from '../../../lib/formats/index.js';
import { shapeOf } from './helpers.js';

interface Golden {
  n_forward: number;
  n_backward: number;
  edges: number;
  circuits: { topn: number; edges_after_prune: number; nodes: number }[];
}

async function check(shape: GraphShape, scoreFile: string, goldenFile: string): Promise<void> {
  const golden = JSON.parse(readFileSync(goldenFile, 'utf8')) as Golden;
  const graph = graphOf(shape);
  expect([graph.nForward, graph.nBackward, graph.edgeCount]).toEqual([
    golden.n_forward,
    golden.n_backward,
    golden.edges,
  ]);
  const { shape: size, data: scores } = await readNpyFloat32(scoreFile);
  expect(size).toEqual([graph.nForward, graph.nBackward]);
  expect(golden.circuits.length).toBeGreaterThan(0);
  for (const { topn, edges_after_prune, nodes } of golden.circuits) {
    const circuit = buildCircuit({ shape, scores, meta: {} }, { rule: 'top-n', n: topn });
    expect([topn, countEdges(circuit), countNodes(circuit)]).toEqual([
      topn,
      edges_after_prune,
      nodes,
    ]);
  }
}

describe('circuit sizes of the reference', () => {
  test.each([
    ['qwen2', shapeOf({ layers: 4, heads: 6, keyValueHeads: 2 })],
    ['neox', shapeOf({ layers: 3, heads: 6, parallelBlock: true })],
  ])('%s (fixture)', async (name, shape) => {
    const folder = 'test/fixtures/circuit';
    await check(shape, `${folder}/${name}-eap-ig.npy`, `${folder}/${name}-golden.json`);
  });
});

const shared = process.env.HEADSPARK_SHARED ?? '../shared';
const absent = !existsSync(join(shared, 'reference'));

/** [name, config folder, golden folder] of every model with goldens. */
function goldenFolders(): [string, string, string][] {
  const found: [string, string, string][] = [];
  for (const name of readdirSync(join(shared, 'reference'))) {
    const model = join(shared, 'reference', name);
    if (existsSync(join(model, 'golden'))) found.push([name, model, join(model, 'golden')]);
  }
  const models = join(shared, 'models');
  const tiny = join(models, 'tiny-arith');
  const smol = join(models, 'smollm2-135m');
  found.push(
    ['stories260K', join(models, 'stories260K'), join(models, 'stories260K', 'golden')],
    ['tiny-arith', join(tiny, 'base-step1000'), join(tiny, 'golden-base-step1000')],
    ['smollm2-135m', smol, join(smol, 'golden')],
    ['smollm2-135m steps', smol, join(smol, 'golden-steps-step300')],
  );
  return found;
}

describe.skipIf(absent)(
  absent ? `shared goldens (skipped: no ${shared}/reference)` : 'shared goldens',
  () => {
    test.each(absent ? [] : goldenFolders())('%s', async (_, model, golden) => {
      const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      const shape = shapeOf({
        layers: Number(config.num_hidden_layers ?? config.n_layer),
        heads: Number(config.num_attention_heads ?? config.n_head),
        parallelBlock: config.model_type === 'gpt_neox',
      });
      await check(shape, join(golden, 'EAP-IG-inputs.npy'), join(golden, 'golden.json'));
    });
  },
);
