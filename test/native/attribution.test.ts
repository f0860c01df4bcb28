// attribute(): settings and what the table says of them, refusals, and that batch size, threads,
// shared prefixes and other runs beside it change no bit of the scores.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import { attribute, type AttributeOptions } from '../../lib/attribution.js';
import { checkScoreTable, graphOf } from '../../lib/circuit/index.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type LoadModelOptions, type Model } from '../../lib/model.js';
import type { JobProgress } from '../../lib/native.js';
import { pairsHash, type TokenizedPair } from '../../lib/pairs.js';
import { version } from '../../lib/version.js';
import {
  largestDifference,
  largestMagnitude,
  referenceFolder,
  referencePairs,
  sameBits,
} from './fixtures.js';

const folder = path.join(referenceFolder, 'qwen2');
let model: Model;
let pairs: TokenizedPair[];
beforeAll(async () => {
  model = await loadModel(folder);
  pairs = await referencePairs();
});
afterAll(() => model.dispose());

describe('the table', () => {
  it('has the mean over pairs, the metrics of every pair, and its settings', async () => {
    const table = await attribute(model, pairs, { igSteps: 3 });
    const graph = graphOf(table.shape);
    checkScoreTable(table, 'the table');
    expect(table.shape).toEqual(model.shape());
    expect(table.pairScores).toHaveLength(pairs.length * graph.edgeCount);
    const means = new Float32Array(graph.edgeCount);
    for (let edge = 0; edge < graph.edgeCount; edge++) {
      let sum = 0;
      for (let pair = 0; pair < pairs.length; pair++) {
        sum += table.pairScores![pair * graph.edgeCount + edge];
      }
      means[edge] = sum / pairs.length;
    }
    expect(largestDifference(graph.expand(means), table.scores)).toBeLessThan(1e-6);

    const mask = graph.realEdgeMask();
    expect(table.scores.filter((score, index) => !mask[index] && score !== 0)).toHaveLength(0);
    const prompts = pairs.map((pair) => pair.clean);
    const logits = await computeLogits(model, prompts);
    const { vocab, hidden } = model.info;
    const clean = pairs.map(
      ({ correct, incorrect }, pair) =>
        logits[pair * vocab + correct[0]] - logits[pair * vocab + incorrect[0]],
    );
    expect(largestDifference(table.pairMetrics.clean, clean)).toBeLessThan(1e-4);
    expect(table.pairMetrics.corrupted).toHaveLength(pairs.length);
    expect(table.meta).toMatchObject({
      model: 'qwen2',
      fingerprint: model.fingerprint(),
      method: 'eap-ig',
      metric: 'logit-diff',
      igSteps: 3,
      igGrid: 'left',
      pairCount: pairs.length,
      pairsHash: pairsHash(pairs),
      device: 'cpu',
      isa: model.info.isa,
      precision: 'exact',
      sharePrefix: true,
      hiddenSize: hidden,
      version,
    });
    const mean = clean.reduce((sum, value) => sum + value, 0) / clean.length;
    expect(table.meta.cleanMetric).toBeCloseTo(mean, 4);
    expect(table.meta).not.toHaveProperty('adapter');
  });

  it('keeps per-pair scores by request, and the scores are the same', async () => {
    const kept = await attribute(model, pairs, { method: 'eap', keepPairScores: true });
    const left = await attribute(model, pairs, { method: 'eap', keepPairScores: false });
    expect(kept.pairScores).toBeInstanceOf(Float32Array);
    expect(left).not.toHaveProperty('pairScores');
    expect(sameBits(kept.scores, left.scores)).toBe(true);
  });

  it('has the reference grid of each method, and no steps where there are none', async () => {
    const few = pairs.slice(0, 2);
    const meta = async (options: AttributeOptions) =>
      (await attribute(model, few, { igSteps: 2, ...options })).meta;
    expect(await meta({ method: 'eap-ig-activations' })).toMatchObject({ igGrid: 'right' });
    expect(await meta({ igGrid: 'midpoint' })).toMatchObject({ igGrid: 'midpoint' });
    const eap = await meta({ method: 'eap' });
    expect(eap).not.toHaveProperty('igSteps');
    expect(eap).not.toHaveProperty('igGrid');
  });

  it('with grouped k/v edges sums what the query heads of a group have', async () => {
    const few = pairs.slice(0, 4);
    const single = await attribute(model, few, { method: 'eap' });
    const grouped = await attribute(model, few, { method: 'eap', kvEdges: 'grouped' });
    const [wide, narrow] = [graphOf(single.shape), graphOf(grouped.shape)];
    expect(narrow.nBackward).toBeLessThan(wide.nBackward);
    const { heads, keyValueHeads } = model.info;
    const scale = largestMagnitude(single.scores);
    for (let kv = 0; kv < keyValueHeads; kv++) {
      for (const letter of ['k', 'v'] as const) {
        let sum = 0;
        for (let head = 0; head < heads; head++) {
          if (Math.floor(head / (heads / keyValueHeads)) !== kv) continue;
          sum += single.scores[wide.headDestination(1, head, letter)];
        }
        const column = narrow.headDestination(1, (kv * heads) / keyValueHeads, letter);
        expect(Math.abs(grouped.scores[column] - sum)).toBeLessThanOrEqual(1e-4 * scale);
      }
    }
  });

  it('is complete: the scores of `input` add up to what corrupting the prompt costs', async () => {
    const few = pairs.slice(0, 4);
    const { edgeCount, rowStart } = graphOf(model.shape());
    const gap = async (igSteps: number): Promise<number> => {
      const table = await attribute(model, few, { igSteps, igGrid: 'midpoint' });
      let worst = 0;
      few.forEach((_, pair) => {
        const own = table.pairScores!.subarray(pair * edgeCount, pair * edgeCount + rowStart[1]);
        const sum = own.reduce((total, score) => total + score, 0);
        const { clean, corrupted } = table.pairMetrics;
        worst = Math.max(worst, Math.abs(sum - (clean[pair] - corrupted[pair])));
      });
      return worst;
    };
    const [coarse, fine] = [await gap(4), await gap(64)];
    expect(fine).toBeLessThan(coarse / 10);
    expect(fine).toBeLessThan(1e-3);
  });
});

describe('bit-identical scores', () => {
  const run = async (load: LoadModelOptions, options: AttributeOptions) => {
    const other = await loadModel(folder, load);
    const table = await attribute(other, pairs, options);
    other.dispose();
    return table;
  };

  it.each<AttributeOptions>([
    { method: 'eap-ig' },
    { method: 'eap' },
    { method: 'clean-corrupted', metric: 'kl' },
    { method: 'information-flow-routes' },
    { method: 'eap-ig', metric: 'prob-diff', kvEdges: 'grouped' },
  ])('for every batch size and number of threads: %o', async (options) => {
    const expected = await run({ threads: 1, batchTokens: 64 }, options);
    expect(largestMagnitude(expected.scores)).toBeGreaterThan(0);
    for (const batchTokens of [1, 64, 4096]) {
      for (const threads of [1, 2]) {
        const table = await run({ threads, batchTokens }, options);
        expect(sameBits(table.scores, expected.scores)).toBe(true);
        expect(sameBits(table.pairScores!, expected.pairScores!)).toBe(true);
        expect(sameBits(table.pairMetrics.clean, expected.pairMetrics.clean)).toBe(true);
      }
    }
  });

  it('for several callers at once, on one model and on two', async () => {
    const other = await loadModel(folder);
    const alone = await attribute(model, pairs);
    const tables = await Promise.all(
      [model, other, model, other, model].map((used) => attribute(used, pairs)),
    );
    for (const table of tables) expect(sameBits(table.scores, alone.scores)).toBe(true);
    other.dispose();
  });

  it('and shared prefixes change no more than rounding', async () => {
    const shared = await run({ sharePrefix: true }, {});
    const apart = await run({ sharePrefix: false }, {});
    expect([shared, apart].map(({ meta }) => meta.sharePrefix)).toEqual([true, false]);
    const error = largestDifference(shared.scores, apart.scores);
    expect(error / largestMagnitude(apart.scores)).toBeLessThanOrEqual(1e-5);
  });
});

describe('refusals', () => {
  it.each<[AttributeOptions, RegExp]>([
    [{ method: 'eapig' as never }, /^method is "eapig"; .* eap, eap-ig, clean-corrupted/],
    [{ metric: 'loss' as never }, /^metric is "loss"; .* logit-diff, kl, nll, prob-diff/],
    [{ igGrid: 'centre' as never }, /^igGrid is "centre"; .* left, right, midpoint/],
    [{ kvEdges: 'kv' as never }, /^kvEdges is "kv"; .* per-query-head, grouped/],
    [{ igSteps: 0 }, /^igSteps is 0; .* from 1 to 10000/],
    [{ igSteps: 2.5 }, /^igSteps is 2\.5/],
    [{ keepPairScores: 'yes' as never }, /^keepPairScores is "yes"; .* true, false or auto/],
  ])('%o', async (options, message) => {
    await expect(attribute(model, pairs, options)).rejects.toMatchObject({
      name: 'HeadsparkError',
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });

  const changed = (change: Partial<TokenizedPair>) => [pairs[0], { ...pairs[1], ...change }];
  it.each<[string, string, RegExp, () => TokenizedPair[]]>([
    ['no pairs', 'PAIR_FORMAT', /no pairs/, () => []],
    ['unequal lengths', 'PAIR_LENGTH', /Pair 1 has \d+ clean and 3/, () =>
      changed({ corrupted: Int32Array.of(1, 2, 3) })],
    ['empty prompts', 'PAIR_FORMAT', /Pair 1 is empty/, () =>
      changed({ clean: new Int32Array(), corrupted: new Int32Array() })],
    ['a token outside the vocabulary', 'PAIR_FORMAT', /Pair 1 has token 307 .*307 tokens/, () =>
      changed({ correct: [307] })],
    ['no incorrect token', 'PAIR_FORMAT', /Pair 1 has no `incorrect`/, () =>
      changed({ incorrect: [] })],
    ['more tokens than positions', 'PAIR_FORMAT', /more than the 128 positions/, () =>
      changed({ clean: new Int32Array(129), corrupted: new Int32Array(129) })],
    ['a negative id', 'INVALID_ARGUMENT', /clean tokens: -1 \(row 1, place 0\)/, () =>
      changed({ clean: Int32Array.of(-1), corrupted: Int32Array.of(1) })],
  ])('%s: ERR_HEADSPARK_%s', async (_name, code, message, make) => {
    await expect(attribute(model, make())).rejects.toMatchObject({
      code: `ERR_HEADSPARK_${code}`,
      message: expect.stringMatching(message),
    });
  });

  it('prompts that nothing corrupts, where no pair has others', async () => {
    const same = pairs.map((pair) => ({ ...pair, corrupted: pair.clean }));
    await expect(attribute(model, same, { method: 'eap' })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_FORMAT',
      message: expect.stringMatching(
        new RegExp(`of line 1 \\(and those of all ${pairs.length} pairs\\) are the same`),
      ),
    });
    const [first, ...rest] = pairs;
    const some = [{ ...first, corrupted: first.clean }, ...rest];
    const { pairScores, scores } = await attribute(model, some, { method: 'eap' });
    expect(pairScores!.subarray(0, pairScores!.length / pairs.length).some((x) => x !== 0)).toBe(
      false,
    );
    expect(scores.some((score) => score !== 0)).toBe(true);
    // Reads the clean prompts alone.
    const routes = await attribute(model, same, { method: 'information-flow-routes' });
    expect(routes.scores.some((score) => score !== 0)).toBe(true);
  });

  it('metric nll without a continuation, which other metrics leave aside', async () => {
    await expect(attribute(model, pairs, { metric: 'nll' })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_FORMAT',
      message: expect.stringMatching(/Pair 0 has no `continuation`/),
    });
    const continued = pairs.map((pair) => ({ ...pair, continuation: [3, 4] }));
    const nll = await attribute(model, continued, { metric: 'nll', method: 'eap' });
    expect(Math.min(...nll.pairMetrics.clean)).toBeGreaterThan(0);
    const plain = await attribute(model, pairs, { method: 'eap' });
    const ignored = await attribute(model, continued, { method: 'eap' });
    expect(sameBits(plain.scores, ignored.scores)).toBe(true);
  });
});

describe('progress', () => {
  it('counts pairs, never backwards, to the end', async () => {
    const seen: JobProgress[] = [];
    const small = await loadModel(folder, { batchTokens: 1 });
    const many = Array.from({ length: 15 }, () => pairs).flat();
    await attribute(small, many, { onProgress: (progress) => seen.push(progress) });
    small.dispose();
    expect(seen.at(-1)).toEqual({ done: many.length, total: many.length, phase: 'attribution' });
    expect(seen.length).toBeGreaterThan(1);
    seen.slice(1).forEach(({ done }, index) => {
      expect(done).toBeGreaterThanOrEqual(seen[index].done);
    });
  });
});
