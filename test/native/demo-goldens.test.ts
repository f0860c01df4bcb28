// The embedded demo checkpoints against Hugging Face in fp32: logits, and greedy texts with thinking
// on and off.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { computeLogits, generateGreedy, loadModel } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

interface DemoGolden {
  logits: { pair: number; ids: number[]; logits: number[] }[];
  greedy: { problem: number; thinking: boolean; promptIds: number[]; newIds: number[] }[];
}

const goldens = JSON.parse(
  readFileSync(path.join(packageRoot, 'test/fixtures/demo/golden.json'), 'utf8'),
) as Record<string, DemoGolden>;

describe.each(Object.entries(goldens))('%s', (label, golden) => {
  const folder = path.join(packageRoot, 'lib/demo/models', label);

  it('has the logits of Hugging Face within 1e-4', async () => {
    const model = await loadModel(folder);
    for (const { ids, logits } of golden.logits) {
      const ours = await computeLogits(model, [ids]);
      expect(ours.length).toBe(logits.length);
      const largest = Math.max(...logits.map((value, i) => Math.abs(value - ours[i])));
      expect(largest).toBeLessThanOrEqual(1e-4);
    }
    model.dispose();
  });

  it('writes the greedy texts of Hugging Face', async () => {
    const model = await loadModel(folder);
    const rows = golden.greedy.map(({ promptIds }) => ({ prompt: promptIds }));
    const longest = Math.max(...golden.greedy.map(({ newIds }) => newIds.length));
    const texts = await generateGreedy(model, rows, { maxNewTokens: longest });
    golden.greedy.forEach(({ newIds }, i) => {
      expect(Array.from(texts[i]).slice(0, newIds.length)).toEqual(newIds);
    });
    model.dispose();
  });
});
