// headEffects(): the numbers of ablate's single heads, with a journal that either of them goes on from.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ablate } from '../../lib/ablation.js';
import { headEffects } from '../../lib/head-effects.js';
import { formatHead } from '../../lib/head-gate.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder, referencePairs } from './fixtures.js';

let model: Model;
let pairs: TokenizedPair[];
let folder: string;
let journal: string;
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  pairs = await referencePairs();
});
afterAll(() => model.dispose());
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'headspark-effects-'));
  journal = path.join(folder, 'heads.journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const linesOf = (): number => readFileSync(journal, 'utf8').split('\n').length - 1;

describe('effects of single heads', () => {
  it.each([{}, { metric: 'kl', ablation: 'mean' }] as const)(
    'are what ablate gives with %o',
    async (options) => {
      const { settings, effects } = await headEffects(model, pairs, options);
      const plan = { kind: 'single' } as const;
      const table = await ablate(model, pairs, { ...options, plan, resamples: 100 });
      const sign = table.settings.metric === 'kl' ? 1 : -1;
      expect(settings).toEqual({ metric: 'logit-diff', ablation: 'zero', ...options });
      expect(effects.size).toBe(model.info.layers * model.info.heads);
      expect(table.variants).toHaveLength(effects.size);
      for (const { heads, metric } of table.variants) {
        expect(effects.get(heads.join())).toBeCloseTo(sign * (metric - table.baseline.metric), 6);
      }
    },
  );

  it('go on from a journal, also from one of ablate', async () => {
    const whole = await headEffects(model, pairs);
    const stop = new AbortController();
    const signal = stop.signal;
    const run = headEffects(model, pairs, {
      journal,
      signal,
      onProgress: ({ done }) => {
        if (done > 2) stop.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    const kept = linesOf();
    expect(kept).toBeGreaterThan(1);
    expect(kept).toBeLessThan(whole.effects.size);
    expect(await headEffects(model, pairs, { journal })).toEqual(whole);
    expect(linesOf()).toBe(2 + whole.effects.size); // settings, the unablated model, every head

    const calls: number[][] = [];
    const table = await ablate(model, pairs, {
      plan: { kind: 'single' },
      resamples: 100,
      journal,
      onProgress: ({ done, total }) => calls.push([done, total]),
    });
    expect(calls[0][0]).toBe(calls[0][1]); // nothing was left
    expect(table.variants.map(({ heads }) => heads.join()).sort()).toEqual([...whole.effects.keys()].sort());

    const other = headEffects(model, pairs, { journal, ablation: 'mean' });
    await expect(other).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringContaining('ablation (journal: "zero", now: "mean")') as string,
    });
  });

  it('are of the heads that are asked for, each once', async () => {
    const head = { layer: 1, head: 2 };
    const { effects } = await headEffects(model, pairs, { heads: [head, head] });
    expect([...effects.keys()]).toEqual([formatHead(head)]);
    const all = await headEffects(model, pairs);
    expect(effects.get(formatHead(head))).toBe(all.effects.get(formatHead(head)));
  });
});
