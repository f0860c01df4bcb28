// Bootstrap and null diff on tables where the truth is known: heads put in by hand, noise on top.

import { describe, expect, test } from 'vitest';
import { graphOf, parseEdge, type ScoreTable } from '../../../lib/circuit/index.js';
import {
  automaticResamples,
  bootstrapDiff,
  nullDiff,
  nullPValue,
  type BootstrapDiffOptions,
  type HeadEvidence,
} from '../../../lib/diff/index.js';
import { CircuitResampler } from '../../../lib/diff/resample.js';
import { resampledHeads, type ResampledHeads } from '../../../lib/diff/resampled-heads.js';
import { randomTable, shapeOf, tableWithPairs } from '../circuit/helpers.js';

const shape = shapeOf({ layers: 2, heads: 4 });
const graph = graphOf(shape);

interface TableOptions {
  heads: Record<string, number>;
  noise?: number;
  pairs?: number;
  seed?: number;
}

/** input -> head -> logits with the given strength, noise on every edge. */
function tableOf({ heads, noise = 0.2, pairs = 24, seed = 1 }: TableOptions): ScoreTable {
  const scores = new Float32Array(graph.edgeCount);
  for (const [head, strength] of Object.entries(heads)) {
    for (const name of [`input->${head}<q>`, `${head}->logits`]) {
      const { source, destination } = parseEdge(graph, name);
      scores[graph.edgeIndex(source, destination)] = strength;
    }
  }
  return tableWithPairs(shape, scores, { pairs, noise, seed });
}

const base = { name: 'base', table: tableOf({ heads: { 'a0.h0': 3, 'a0.h1': 2 } }) };
const post = {
  name: 'post',
  table: tableOf({ heads: { 'a0.h0': 3, 'a1.h2': 2 }, seed: 2 }),
};
const options: BootstrapDiffOptions = {
  selection: { rule: 'threshold', tau: 1 },
  resamples: 200,
};
const headOf = (heads: HeadEvidence[], layer: number, head: number): HeadEvidence =>
  heads.find((one) => one.layer === layer && one.head === head)!;

describe('clear effects', () => {
  test('emergent, vanished, retained and absent heads are certain', async () => {
    const { comparisons, ...settings } = await bootstrapDiff([base, post], options);
    expect(settings).toEqual({
      resamples: 200,
      seed: 0,
      confidence: 0.95,
      pairing: 'paired',
      pairCounts: [24, 24],
    });
    const { heads, emergentCount, vanishedCount } = comparisons[0];
    expect(heads.length).toBe(8);
    expect(headOf(heads, 1, 2)).toMatchObject({
      status: 'emergent',
      emergenceProbability: 1,
      certain: true,
      baseImportance: 0,
    });
    expect(headOf(heads, 0, 1)).toMatchObject({ status: 'vanished', vanishingProbability: 1 });
    expect(headOf(heads, 0, 0)).toMatchObject({ status: 'retained', retentionProbability: 1 });
    expect(headOf(heads, 1, 0)).toMatchObject({ status: 'absent', certain: true });
    expect(emergentCount).toEqual({ estimate: 1, low: 1, high: 1 });
    expect(vanishedCount).toEqual({ estimate: 1, low: 1, high: 1 });
    const { importanceDifference: interval } = headOf(heads, 1, 2);
    expect(interval.estimate).toBeCloseTo(0.4, 1);
    expect(interval.low).toBeLessThan(interval.estimate);
    expect(interval.high).toBeGreaterThan(interval.estimate);
    expect(interval.low).toBeGreaterThan(0.3);
  });

  test('a table against itself: paired draws, nothing emerges', async () => {
    const copy = { ...base, name: 'copy' };
    const { comparisons } = await bootstrapDiff([base, copy], options);
    for (const evidence of comparisons[0].heads) {
      expect(evidence.emergenceProbability).toBe(0);
      expect(evidence.importanceDifference).toEqual({ estimate: 0, low: 0, high: 0 });
    }
  });
});

test('a head at the threshold is uncertain', async () => {
  const weak = {
    name: 'weak',
    table: tableOf({ heads: { 'a0.h0': 3, 'a1.h2': 1.02 }, noise: 1.5, seed: 5 }),
  };
  const { comparisons } = await bootstrapDiff([base, weak], options);
  const evidence = headOf(comparisons[0].heads, 1, 2);
  expect(evidence.emergenceProbability).toBeGreaterThan(0.02);
  expect(evidence.emergenceProbability).toBeLessThan(0.95);
  expect(evidence.certain).toBe(false);
});

describe('settings', () => {
  const strong = { name: 'strong', table: tableOf({ heads: { 'a1.h0': 3 }, pairs: 10, seed: 3 }) };

  test('a seed decides everything; another one differs', async () => {
    const noisy = { name: 'n', table: tableOf({ heads: { 'a1.h0': 1 }, noise: 2, seed: 8 }) };
    const first = await bootstrapDiff([base, noisy], options);
    expect(await bootstrapDiff([base, noisy], options)).toEqual(first);
    expect(await bootstrapDiff([base, noisy], { ...options, seed: 1 })).not.toEqual({
      ...first,
      seed: 1,
    });
  });

  test('a comparison does not depend on what else is compared', async () => {
    const noisy = { name: 'n', table: tableOf({ heads: { 'a1.h0': 1 }, noise: 2, seed: 8 }) };
    const [alone] = (await bootstrapDiff([base, noisy], options)).comparisons;
    const paired = await bootstrapDiff([base, post, noisy], options);
    expect(paired.comparisons[1]).toEqual(alone);
    const apart = { ...options, pairing: 'independent' } as const;
    const [other] = (await bootstrapDiff([base, noisy], apart)).comparisons;
    expect((await bootstrapDiff([base, post, noisy], apart)).comparisons[1]).toEqual(other);
    expect(other).not.toEqual(alone);
  });

  test('unequal numbers of pairs are drawn independently, or refused when asked to pair', async () => {
    const result = await bootstrapDiff([base, strong, post], options);
    expect(result).toMatchObject({ pairing: 'independent', pairCounts: [24, 10, 24] });
    expect(result.comparisons.map(({ other }) => other)).toEqual(['strong', 'post']);
    await expect(bootstrapDiff([base, strong], { ...options, pairing: 'paired' })).rejects.toThrow(
      /equal numbers of pairs, got 24, 10/,
    );
  });

  test('a difference lies within its own interval, also of heads that few resamples keep', async () => {
    // Many heads about as strong: which of them the top edges of resampled pairs hold is chance.
    const heads = { 'a0.h0': 1, 'a0.h1': 0.98, 'a0.h2': 0.96, 'a0.h3': 0.94, 'a1.h1': 0.92 };
    const tables = [3, 4].map((seed) => ({
      name: `of ${seed}`,
      table: tableOf({ heads, noise: 3, pairs: 8, seed }),
    }));
    let stretched = 0;
    for (let seed = 0; seed < 5; seed++) {
      const selection = { rule: 'top-n', n: 16, prune: false } as const;
      const [{ heads: rows, emergentCount }] = (
        await bootstrapDiff(tables, { ...options, selection, seed, confidence: 0.5 })
      ).comparisons;
      for (const { estimate, low, high } of [
        ...rows.map(({ importanceDifference }) => importanceDifference),
        emergentCount,
      ]) {
        expect([low <= estimate, estimate <= high]).toEqual([true, true]);
        if (low !== high && (low === estimate || high === estimate) && estimate !== 0) stretched++;
      }
    }
    expect(stretched).toBeGreaterThan(0);
  });

  test('independent draws widen the interval of correlated tables', async () => {
    const shifted = { ...base, name: 'shifted' };
    const { comparisons } = await bootstrapDiff([base, shifted], {
      ...options,
      pairing: 'independent',
    });
    const { importanceDifference } = headOf(comparisons[0].heads, 0, 0);
    expect(importanceDifference.high - importanceDifference.low).toBeGreaterThan(0.001);
  });

  test('auto: 1,000 for small graphs, fewer where that takes minutes, never under 200', () => {
    expect(automaticResamples(32_491, [64, 64])).toBe(1000);
    expect(automaticResamples(1_000_000, [64, 64])).toBe(1000);
    expect(automaticResamples(4_000_000, [64, 64, 64])).toBe(625);
    expect(automaticResamples(16_000_000, [64, 64, 64])).toBe(200);
  });

  test('refusals', async () => {
    const bare = { name: 'bare.json', table: randomTable(shape, 1) };
    await expect(bootstrapDiff([base, bare], options)).rejects.toThrow(
      /bare\.json has no per-pair/,
    );
    await expect(bootstrapDiff([base], options)).rejects.toThrow(/at least two/);
    for (const resamples of [0, 1.5, NaN]) {
      await expect(bootstrapDiff([base, post], { ...options, resamples })).rejects.toThrow(
        /resamples must be/,
      );
    }
    await expect(bootstrapDiff([base, post], { ...options, confidence: 95 })).rejects.toThrow(
      /confidence/,
    );
    const other = { name: 'x', table: { ...post.table, meta: { method: 'eap' } } };
    const named = { name: 'y', table: { ...base.table, meta: { method: 'exact' } } };
    await expect(bootstrapDiff([named, other], options)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
    });
  });

  test('it stops when asked to, and tells how far it is', async () => {
    const controller = new AbortController();
    controller.abort();
    await expect(
      bootstrapDiff([base, post], { ...options, signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    const later = new AbortController();
    const running = bootstrapDiff([base, post], {
      ...options,
      resamples: 1_000_000,
      signal: later.signal,
      onProgress: ({ done }) => {
        if (done > 0) later.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    const seen: [number, number][] = [];
    await bootstrapDiff([base, post], {
      ...options,
      onProgress: ({ done, total }) => seen.push([done, total]),
    });
    expect(seen.at(-1)).toEqual([200, 200]);
  });
});

test('few pairs make no head certain, however often resamples agree', async () => {
  const of = (pairs: number) => [
    { name: 'base', table: tableOf({ heads: { 'a0.h0': 3 }, pairs }) },
    { name: 'post', table: tableOf({ heads: { 'a0.h0': 3, 'a1.h2': 2 }, pairs, seed: 2 }) },
  ];
  for (const [pairs, confidence, certain] of [
    [5, 0.95, false],
    [6, 0.95, true],
    [7, 0.99, false],
    [8, 0.99, true],
  ] as const) {
    const { comparisons } = await bootstrapDiff(of(pairs), { ...options, confidence });
    const head = headOf(comparisons[0].heads, 1, 2);
    expect(head, String(pairs)).toMatchObject({ emergenceProbability: 1, certain });
  }
});

describe('null diff', () => {
  test('strong heads only: noise makes none', async () => {
    const result = await nullDiff(base, options);
    expect(result).toMatchObject({
      base: 'base',
      repeats: 100,
      pairCount: 24,
      halfPairs: 12,
      emergent: { mean: 0, median: 0, p95: 0, max: 0 },
      headJaccard: 1,
    });
    expect(nullPValue(1, result)).toBe(1 / 101);
    expect(nullPValue(0, result)).toBe(1);
  });

  test('pure noise makes many, and the count says so', async () => {
    const noise = { name: 'noise', table: tableOf({ heads: {}, noise: 1, seed: 4 }) };
    const result = await nullDiff(noise, {
      selection: { rule: 'top-n', n: 20 },
      repeats: 50,
      seed: 2,
    });
    expect(result.emergent.mean).toBeGreaterThan(0.5);
    expect(result.emergent.max).toBeGreaterThanOrEqual(result.emergent.p95);
    expect(result.headJaccard).toBeLessThan(1);
    expect(result.emergentCounts.length).toBe(50);
    expect(nullPValue(1, result)).toBeGreaterThan(0.3);
    const again = await nullDiff(noise, {
      selection: { rule: 'top-n', n: 20 },
      repeats: 50,
      seed: 2,
    });
    expect(again).toEqual(result);
  });

  test('halves are disjoint: each is the mean of its own pairs', async () => {
    // Every pair holds one head of its own; halves of 2 pairs can share no head.
    const pairScores = new Float32Array(4 * graph.edgeCount);
    ['a0.h0', 'a0.h1', 'a0.h2', 'a0.h3'].forEach((head, pair) => {
      for (const name of [`input->${head}<q>`, `${head}->logits`]) {
        const { source, destination } = parseEdge(graph, name);
        pairScores[pair * graph.edgeCount + graph.edgeIndex(source, destination)] = 4;
      }
    });
    const scores = new Float32Array(graph.nForward * graph.nBackward);
    const table = { shape, scores, pairScores, meta: {} };
    const result = await nullDiff({ name: 'own', table }, options);
    expect(result.emergent).toEqual({ mean: 2, median: 2, p95: 2, max: 2 });
    expect(result.vanished).toEqual(result.emergent);
    expect(result.headJaccard).toBe(0);
  });

  test('refusals', async () => {
    const one = { name: 'one', table: tableOf({ heads: {}, pairs: 1 }) };
    await expect(nullDiff(one, options)).rejects.toThrow(/one has 1 pair; .* with 0 null repeats$/);
    await expect(nullDiff(base, { ...options, repeats: 0 })).rejects.toThrow(/repeats/);
    const controller = new AbortController();
    controller.abort();
    await expect(nullDiff(base, { ...options, signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
    });
  });
});

describe('circuits of weighted pairs', () => {
  test('equal weights rebuild the circuit of the table, many weightings at once', () => {
    const resampler = new CircuitResampler(post.table, 'post', options);
    const weights = new Uint32Array(2 * 24).fill(1, 0, 24).fill(3, 24);
    const masks = resampler.heads(weights).map(({ mask }) => Array.from(mask));
    expect(masks).toEqual([
      [1, 0, 0, 0, 0, 0, 1, 0],
      [1, 0, 0, 0, 0, 0, 1, 0],
    ]);
  });

  test('the number of resamples that are weighted at once changes nothing', async () => {
    const all = await bootstrapDiff([base, post], { ...options, resamples: 37 });
    const counted: number[] = [];
    const oneByOne: ResampledHeads = ({ weights, rows, means, ...request }) => {
      counted.push(rows);
      const part = <T extends Float32Array | Uint32Array>(array: T, row: number): T =>
        array.subarray((row * array.length) / rows, ((row + 1) * array.length) / rows) as T;
      return Array.from({ length: rows }, (_, row) =>
        resampledHeads({
          ...request,
          rows: 1,
          weights: part(weights, row),
          means: part(means, row),
        }),
      ).flat();
    };
    const some = { ...options, resamples: 37, resampledHeads: oneByOne };
    expect(await bootstrapDiff([base, post], some)).toEqual(all);
    expect(counted).toEqual([16, 16, 16, 16, 5, 5]);
  });
});
