// attribute() in shards and mergeAttributions: the bits of one run, and what does not fit is refused by
// name.
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attribute, mergeAttributions, type AttributeOptions } from '../../lib/attribution.js';
import { decodeLine, encodeLine } from '../../lib/journal-line.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder, referencePairs, sameBits } from './fixtures.js';

let model: Model;
let pairs: TokenizedPair[];
let folder: string;
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  pairs = (await referencePairs()).slice(0, 10);
});
afterAll(() => model.dispose());
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'headspark-shards-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const journalOf = (index: number): string => path.join(folder, `${index}.journal`);

/** Runs these shards of `count` and gives their journals. */
async function runShards(
  count: number,
  indexes: readonly number[],
  options: AttributeOptions = {},
): Promise<string[]> {
  for (const index of indexes) {
    const shard = { index, count };
    await attribute(model, pairs, { ...options, shard, journal: journalOf(index) });
  }
  return indexes.map(journalOf);
}

const invalid = (message: RegExp) => ({
  code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
  message: expect.stringMatching(message) as string,
});

describe('shards', () => {
  it.each<[string, AttributeOptions]>([
    ['EAP-IG', { task: 'numbers' }],
    ['activations, grouped', { method: 'eap-ig-activations', igSteps: 2, kvEdges: 'grouped' }],
    ['information flow, kl', { method: 'information-flow-routes', metric: 'kl' }],
  ])('give the bits of one run of %s, in any order', async (_, options) => {
    const whole = await attribute(model, pairs, options);
    const journals = await runShards(3, [2, 3, 1], options);
    const merged = await mergeAttributions(journals);
    expect(sameBits(merged.scores, whole.scores)).toBe(true);
    expect(sameBits(merged.pairScores!, whole.pairScores!)).toBe(true);
    expect(sameBits(merged.pairMetrics.clean, whole.pairMetrics.clean)).toBe(true);
    expect(sameBits(merged.pairMetrics.corrupted, whole.pairMetrics.corrupted)).toBe(true);
    expect(Object.entries(merged.meta)).toEqual(Object.entries(whole.meta)); // in files' order
    expect(merged.shape).toEqual(whole.shape);
    const means = await mergeAttributions(journals, { keepPairScores: false });
    expect(sameBits(means.scores, whole.scores)).toBe(true);
    expect(means.pairScores).toBeUndefined();
  });

  it('are of their own pairs alone', async () => {
    const options = { shard: { index: 2, count: 3 }, journal: journalOf(2) };
    const own = await attribute(model, pairs.slice(3, 6));
    const shard = await attribute(model, pairs, { ...options, keepPairScores: false });
    expect(sameBits(shard.scores, own.scores)).toBe(true);
    expect(shard.pairScores).toBeUndefined();
    expect(existsSync(`${journalOf(2)}.scores`)).toBe(true); // what merge sums
    expect(shard.meta).toEqual({ ...own.meta, shard: '2/3' });
  });

  it('go on where they were stopped, holding the scores of pairs or not', async () => {
    const many = [...pairs, ...pairs, ...pairs, ...pairs];
    const whole = await attribute(model, many);
    for (const keepPairScores of [true, false]) {
      for (const index of [1, 2]) {
        rmSync(journalOf(index), { force: true });
        const options = { shard: { index, count: 2 }, journal: journalOf(index), keepPairScores };
        const stop = new AbortController();
        const onProgress = ({ done }: { done: number }) => {
          if (done >= 5) stop.abort();
        };
        const run = attribute(model, many, { ...options, onProgress, signal: stop.signal });
        await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
        await expect(mergeAttributions([journalOf(index)])).rejects.toThrow(/of the 20 pairs of shard/);
        await attribute(model, many, options);
      }
      const merged = await mergeAttributions([1, 2].map(journalOf));
      expect(sameBits(merged.scores, whole.scores)).toBe(true);
      expect(sameBits(merged.pairScores!, whole.pairScores!)).toBe(true);
    }
  });

  it('need a journal, and pairs', async () => {
    const shard = { index: 1, count: 2 };
    await expect(attribute(model, pairs, { shard })).rejects.toMatchObject(invalid(/needs a journal/));
    const many = { shard: { index: 1, count: 11 }, journal: journalOf(1) };
    await expect(attribute(model, pairs, many)).rejects.toMatchObject(
      invalid(/shard 1\/11 has none of the 10 pairs; use at most 10 shards/),
    );
    const none = { shard: { index: 0, count: 2 }, journal: journalOf(1) };
    await expect(attribute(model, pairs, none)).rejects.toMatchObject(invalid(/index from 1 to count/));
  });
});

describe('a merge is refused', () => {
  const lineOf = (file: string) => decodeLine(readFileSync(file).subarray(0, -1))!;
  const rewrite = (file: string, change: Record<string, unknown>) => {
    writeFileSync(file, encodeLine({ ...lineOf(file), ...change }));
  };

  it('without all shards, or with one twice', async () => {
    const [one, two] = await runShards(3, [1, 2]);
    await expect(mergeAttributions([])).rejects.toMatchObject(invalid(/no journals/));
    await expect(mergeAttributions([one, two])).rejects.toMatchObject(
      invalid(/journal of shard 3\/3 is missing/),
    );
    await expect(mergeAttributions([one, two, one])).rejects.toMatchObject(
      invalid(/1\.journal and .*1\.journal are both of shard 1\/3/),
    );
    await expect(mergeAttributions([one, journalOf(3)])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
  });

  it('of other settings', async () => {
    const [one] = await runShards(2, [1]);
    const [two] = await runShards(2, [2], { igSteps: 3 });
    await expect(mergeAttributions([one, two])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringMatching(/cannot be merged: igSteps \(5 and 3\)/) as string,
    });
    const [third] = await runShards(3, [3]);
    await expect(mergeAttributions([one, third])).rejects.toThrow(/shards \(2 and 3\)/);
  });

  it('of a shard that is not finished, or of a whole run', async () => {
    const [one, two] = await runShards(2, [1, 2]);
    const { clean, corrupted } = lineOf(two) as { clean: number[]; corrupted: number[] };
    rewrite(two, { clean: clean.slice(1), corrupted: corrupted.slice(1) });
    await expect(mergeAttributions([one, two])).rejects.toMatchObject(
      invalid(/2\.journal holds 4 of the 5 pairs of shard 2\/2; run its command again/),
    );
    rewrite(one, { settings: { ...(lineOf(one).settings as object), shard: undefined } });
    await expect(mergeAttributions([one, two])).rejects.toMatchObject(invalid(/not of a shard/));
  });

  it.each<[string, (file: string) => void]>([
    ['fewer scores than it counts', (file) => truncateSync(`${file}.scores`, 1000)],
    ['no scores', (file) => rmSync(`${file}.scores`)],
    ['no settings', (file) => rewrite(file, { settings: null })],
    ['pairs that are no number', (file) => rewrite(file, { settings: { shard: '2/2', pairs: 'x' } })],
    ['more metrics than pairs', (file) => rewrite(file, { clean: Array(9).fill(0), corrupted: Array(9).fill(0) })],
    ['metrics of unequal length', (file) => rewrite(file, { clean: [1] })],
    ['no shape', (file) => rewrite(file, { about: { meta: [] } })],
    ['a shape of no heads', (file) => rewrite(file, { about: { meta: [], shape: { layers: 2, heads: 0, keyValueHeads: 1, parallelBlock: false, kvEdges: 'grouped' } } })],
    ['a meta of objects', (file) => rewrite(file, { about: { ...(lineOf(file).about as object), meta: [['a', {}]] } })],
    ['another kind of file', (file) => writeFileSync(file, '{"a":1}\n')],
  ])('of a journal with %s', async (_, damage) => {
    const [one, two] = await runShards(2, [1, 2]);
    damage(two);
    await expect(mergeAttributions([two, one])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
    });
  });

  it('of scores that a disk changed, by the name of their file', async () => {
    const [one, two] = await runShards(2, [1, 2]);
    const whole = await mergeAttributions([one, two]);
    const scores = readFileSync(`${two}.scores`);
    const changed = Buffer.from(scores);
    changed[Math.floor(scores.length / 2)] ^= 5;
    writeFileSync(`${two}.scores`, changed);
    await expect(mergeAttributions([one, two])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message: `${two}.scores is damaged after 2 of 5 pairs; run the command of shard 2/2 again, which computes what is lost again.`,
    });
    await runShards(2, [2]);
    expect(sameBits((await mergeAttributions([one, two])).scores, whole.scores)).toBe(true);
  });

  it('when it is cancelled', async () => {
    const journals = await runShards(2, [1, 2]);
    const run = mergeAttributions(journals, { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });
});
