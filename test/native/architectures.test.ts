// Configurations that the reference models do not have (YaRN, windows, biases, unscaled attention, …),
// against transformers in fp64; scripts/fixtures/architectures.py makes the fixtures.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { computeLogits, loadModel, type GatedHead } from '../../lib/index.js';

const fixtures = path.join(import.meta.dirname, '../fixtures/architectures');

interface Expected {
  prompts: number[][];
  logits: number[][];
  halved: { heads: GatedHead[]; logits: number[][] };
}

function largest(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) {
    if (!(Math.abs(value) <= most)) most = Math.abs(value);
  }
  return most;
}

describe.each(readdirSync(fixtures))('%s', (name) => {
  const folder = path.join(fixtures, name);
  const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Expected;

  it.each([
    ['as it is', [], expected.logits],
    ['with a head at half its size', expected.halved.heads, expected.halved.logits],
  ])('gives the logits of transformers, %s', async (_, heads, logits) => {
    const model = await loadModel(folder);
    const values = await computeLogits(model, expected.prompts, { heads });
    const wanted = logits.flat();
    expect(values).toHaveLength(wanted.length);
    const difference = largest(wanted.map((value, i) => value - values[i]));
    expect(difference / largest(wanted)).toBeLessThanOrEqual(5e-6);
  });
});

describe('mistral with a window', () => {
  it('refuses a prompt that would leave it', async () => {
    const model = await loadModel(path.join(fixtures, 'mistral-window'));
    const prompt = new Array<number>(38).fill(1);
    await expect(computeLogits(model, [prompt])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringContaining('A prompt of 38 tokens is longer than the 37 positions') as string,
    });
  });
});
