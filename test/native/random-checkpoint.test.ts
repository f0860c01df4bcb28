// Checkpoints of scripts/bench/make-checkpoint.mjs load in every architecture, and their activations
// stay finite through many layers.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { computeLogits, loadModel } from '../../lib/index.js';
import { benchScript } from '../unit/bench/scripts.js';

const { ARCHITECTURES, resolveShape } = await benchScript('checkpoint/shapes.mjs');
const { writeAdapter, writeCheckpoint } = await benchScript('checkpoint/write.mjs');

/** The first logits that transformers 5.18 computes from the same folder, fp32, eager attention. */
const transformers: Record<string, number[]> = {
  llama: [-0.4047761559486389, -0.13263395428657532, 0.6406757831573486, -0.13174115121364594],
  qwen2: [-0.4387994110584259, -0.14963006973266602, 0.6507118940353394, -0.14391140639781952],
  qwen3: [-0.2137141078710556, -0.1629401296377182, 0.3907877206802368, -0.47254106402397156],
  // In fp64 by scripts/fixtures/decoders/graph.mjs, which gives those of llama to 1e-6.
  olmo2: [-0.18454086114432203, 0.20668424322623805, 0.2365738147876064, -0.1898234358116514],
  gemma3_text: [-0.022552726790308952, 0.24187934398651123, 0.5364580750465393, -0.3309110403060913],
  gpt2: [0.3730120062828064, -0.8224434852600098, 1.7598061561584473, 0.21810831129550934],
  gpt_neox: [-1.050702691078186, -0.7846848964691162, -0.6406081914901733, 0.8814175128936768],
};

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'headspark-random-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a random checkpoint', () => {
  it.each(ARCHITECTURES as string[])('of %s gives the logits of transformers, of sensible size', async (name) => {
    const classic = name === 'gpt2' || name === 'gpt_neox';
    const shape = resolveShape(undefined, {
      ...{ architecture: name, layers: 24, heads: 4, kvHeads: classic ? 4 : 2, hidden: 64 },
      ...{ intermediate: 160, vocab: 500, headDim: 16, tied: name !== 'gpt_neox' },
    });
    await writeCheckpoint(folder, shape, { seed: 3 });
    const model = await loadModel(folder);
    expect(model.info).toMatchObject({ layers: 24, heads: 4, vocab: 500 });
    const values = [...(await computeLogits(model, [[1, 2, 3, 400, 5, 6, 7, 8]]))];
    expect(values).toHaveLength(500);
    expect(values.every(Number.isFinite)).toBe(true);
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    expect(deviation).toBeGreaterThan(0.3);
    expect(deviation).toBeLessThan(3);
    for (const [token, expected] of transformers[name].entries()) {
      expect(Math.abs(values[token] - expected)).toBeLessThanOrEqual(2e-5);
    }
    const adapter = path.join(folder, 'adapter');
    await writeAdapter(adapter, shape, 4, { seed: 3 });
    const adapted = await computeLogits(await model.withAdapter(adapter), [[1, 2, 3, 400, 5, 6, 7, 8]]);
    const changes = values.map((value, i) => adapted[i] - value);
    const change = Math.sqrt(changes.reduce((sum, v) => sum + v * v, 0) / changes.length);
    expect(change / deviation).toBeGreaterThan(0.02);
    expect(change / deviation).toBeLessThan(2);
  });
});
