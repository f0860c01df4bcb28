// attribute() with a journal: parts, interruptions and what is kept change no bit, and a journal that is
// not this run's, or is damaged, is refused by name.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attribute, type AttributeOptions, type AttributionResult } from '../../lib/attribution.js';
import { decodeLine, encodeLine } from '../../lib/journal-line.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder, referencePairs, sameBits } from './fixtures.js';

let model: Model;
let pairs: TokenizedPair[];
let folder: string;
let journal: string;
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  const few = await referencePairs();
  pairs = [...few, ...few, ...few].slice(0, 23);
});
afterAll(() => model.dispose());
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'headspark-scores-'));
  journal = path.join(folder, 'run.journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function expectSame(found: AttributionResult, wanted: AttributionResult): void {
  expect(sameBits(found.scores, wanted.scores)).toBe(true);
  expect(found.pairScores === undefined).toBe(wanted.pairScores === undefined);
  if (wanted.pairScores) expect(sameBits(found.pairScores!, wanted.pairScores)).toBe(true);
  expect(sameBits(found.pairMetrics.clean, wanted.pairMetrics.clean)).toBe(true);
  expect(sameBits(found.pairMetrics.corrupted, wanted.pairMetrics.corrupted)).toBe(true);
  expect(found.meta).toEqual(wanted.meta);
}

/** Runs until `least` pairs are done and aborts: what is finished then is kept. */
async function interrupted(options: AttributeOptions, least = 5, of = pairs): Promise<void> {
  const stop = new AbortController();
  const run = attribute(model, of, {
    ...options,
    journal,
    signal: stop.signal,
    onProgress: ({ done, total }) => {
      if (done / total >= least / of.length) stop.abort();
    },
  });
  await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
}

const lineOf = (): Record<string, unknown> =>
  decodeLine(readFileSync(journal).subarray(0, -1))!;
const doneOf = (): number => (lineOf().clean as number[]).length;

describe('a journal', () => {
  it.each<[string, AttributeOptions]>([
    ['EAP-IG', {}],
    ['EAP-IG without the scores of pairs', { keepPairScores: false, metric: 'kl' }],
    ['activations, grouped', { method: 'eap-ig-activations', igSteps: 2, kvEdges: 'grouped' }],
    ['information flow', { method: 'information-flow-routes' }],
  ])('changes no bit of %s, interrupted twice or never', async (_, options) => {
    const whole = await attribute(model, pairs, options);
    expectSame(await attribute(model, pairs, { ...options, journal }), whole);
    expect(existsSync(journal)).toBe(false); // it was over at once
    await interrupted(options, 5);
    const first = doneOf();
    expect(first).toBeGreaterThanOrEqual(4);
    await interrupted(options, first + 4);
    expect(doneOf()).toBeGreaterThan(first);
    expect(doneOf()).toBeLessThan(pairs.length);
    expect(existsSync(`${journal}.scores`)).toBe(options.keepPairScores !== false);
    const dones: number[] = [];
    const onProgress = ({ done }: { done: number }) => dones.push(done);
    const second = doneOf();
    expectSame(await attribute(model, pairs, { ...options, journal, onProgress }), whole);
    expect(dones[0]).toBe(second);
    expect(dones.at(-1)).toBe(pairs.length);
    // A finished journal answers at once.
    expect(doneOf()).toBe(pairs.length);
    expectSame(await attribute(model, pairs, { ...options, journal }), whole);
    expect(existsSync(`${journal}.lock`)).toBe(false);
  });

  it('of exact patching goes pair by pair', async () => {
    const few = pairs.slice(0, 3);
    const whole = await attribute(model, few, { method: 'exact' });
    await interrupted({ method: 'exact' }, 1, few);
    expect(doneOf()).toBeGreaterThanOrEqual(1);
    const totals = new Set<number>();
    const result = await attribute(model, few, {
      method: 'exact',
      journal,
      onProgress: ({ total, phase }) => {
        if (phase === 'edges') totals.add(total);
      },
    });
    expectSame(result, whole);
    expect([...totals]).toEqual([whole.pairScores!.length]); // edges of every pair
  });

  it('of exact patching goes on within a pair', async () => {
    const few = pairs.slice(0, 2);
    const whole = await attribute(model, few, { method: 'exact' });
    const options: AttributeOptions = { method: 'exact', keepPairScores: false };
    const isWithin = () => existsSync(`${journal}.pair`);
    for (const share of [0.5, 0.8]) {
      await interrupted(options, share, few);
      expect(isWithin()).toBe(true);
      expect(existsSync(journal)).toBe(false); // no pair is finished
    }
    await interrupted(options, 1.1, few);
    expect(doneOf()).toBe(1);
    expect(isWithin()).toBe(false);
    await interrupted(options, 1.6, few); // a new run begins with few destinations
    expect(doneOf()).toBe(1);
    expect(isWithin()).toBe(true);
    const first: { done: number; total: number; phase: string }[] = [];
    const result = await attribute(model, few, {
      ...options,
      journal,
      onProgress: (progress) => first.push({ ...progress }),
    });
    expect(first[0].phase).toBe('edges');
    const edges = whole.pairScores!.length / 2;
    expect(first[0].done).toBeGreaterThan(edges);
    expect(first[0].total).toBe(2 * edges);
    const dones = first.map(({ done }) => done);
    expect(dones).toEqual([...dones].sort((a, b) => a - b));
    expectSame(result, { ...whole, pairScores: undefined });
    expect(existsSync(`${journal}.pair`)).toBe(false);
    expectSame(await attribute(model, few, { ...options, journal }), { ...whole, pairScores: undefined });
  });

  it('refuses a pair that is damaged or of other settings, and leaves one that is finished', async () => {
    const few = pairs.slice(0, 2);
    const options: AttributeOptions = { method: 'exact', metric: 'kl' };
    const whole = await attribute(model, few, options);
    await interrupted(options, 0.4, few);
    const place = `${journal}.pair`;
    const line = decodeLine(readFileSync(place).subarray(0, -1))!;
    const again = () => attribute(model, few, { ...options, journal });
    const damaged = [{ scores: 'AAAA' }, { column: 0.5 }, { clean: [], corrupted: [] }, { version: 9 }];
    for (const change of damaged) {
      writeFileSync(place, encodeLine({ ...line, ...change }));
      await expect(again()).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CORRUPT' });
    }
    writeFileSync(place, encodeLine({ ...line, column: 10_000 }));
    await expect(again()).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CORRUPT' });
    writeFileSync(place, encodeLine(line));
    await expect(attribute(model, few, { method: 'exact', journal })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
    });
    writeFileSync(place, encodeLine({ ...line, done: 1 })); // its pair is not the next
    expectSame(await again(), whole);
    expect(existsSync(`${journal}.lock`)).toBe(false);
  });

  it('checks every pair before any work', async () => {
    const bad = [...pairs.slice(0, 2), { ...pairs[2], corrupted: pairs[2].corrupted.slice(1) }];
    const run = attribute(model, bad, { journal });
    await expect(run).rejects.toThrow(/^Pair 2 has /);
    expect(existsSync(journal)).toBe(false);
  });

  it('of other settings is refused by what differs', async () => {
    await interrupted({});
    const other = attribute(model, pairs, { journal, igSteps: 7 });
    await expect(other).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringContaining('igSteps (journal: 5, now: 7)') as string,
    });
    const fewer = attribute(model, pairs.slice(1), { journal });
    await expect(fewer).rejects.toMatchObject({ code: 'ERR_HEADSPARK_SETTINGS_MISMATCH' });
    expect(existsSync(`${journal}.lock`)).toBe(false);
  });

  const corrupt = { code: 'ERR_HEADSPARK_FILE_CORRUPT' };
  const rewrite = (change: Record<string, unknown>) =>
    writeFileSync(journal, encodeLine({ ...lineOf(), ...change }));

  it.each<[string, AttributeOptions, () => void]>([
    ['another kind of file', {}, () => writeFileSync(journal, '{"a":1}\n')],
    ['no text', {}, () => writeFileSync(journal, '')],
    ['cut off', {}, () => truncateSync(journal, 40)],
    ['another version', {}, () => rewrite({ version: 2 })],
    ['metrics that are none', {}, () => rewrite({ clean: ['1'], corrupted: [2] })],
    ['more pairs than there are', {}, () => rewrite({ clean: Array(99).fill(0), corrupted: Array(99).fill(0) })],
    ['metrics of unequal length', {}, () => rewrite({ clean: [1], corrupted: [] })],
    ['hashes of fewer pairs', {}, () => rewrite({ scoreCrcs: [1] })],
    ['no sums', { keepPairScores: false }, () => rewrite({ totals: null })],
    ['sums of other edges', { keepPairScores: false }, () => rewrite({ totals: 'AAAA' })],
  ])('that is %s is refused', async (_, options, damage) => {
    await interrupted(options);
    damage();
    const run = attribute(model, pairs, { ...options, journal });
    await expect(run).rejects.toMatchObject(corrupt);
    expect(existsSync(`${journal}.lock`)).toBe(false);
  });

  /** Changes the scores beside the journal. */
  const damageScores = (change: (scores: Buffer) => void) => {
    const scores = readFileSync(`${journal}.scores`);
    change(scores);
    writeFileSync(`${journal}.scores`, scores);
  };
  const pairBytes = () => readFileSync(`${journal}.scores`).length / doneOf();

  it.each<[string, (scores: Buffer, ofPair: number) => void]>([
    ['a flipped bit', (scores, ofPair) => (scores[2 * ofPair + 1] ^= 1)],
    ['zeros at the end', (scores, ofPair) => scores.fill(0, 2 * ofPair)],
  ])('whose scores have %s keeps the pairs before it and computes the others again', async (_, change) => {
    const whole = await attribute(model, pairs);
    await interrupted({});
    const counted = doneOf();
    const ofPair = pairBytes();
    damageScores((scores) => change(scores, ofPair));
    const [remarks, dones]: [string[], number[]] = [[], []];
    const options: AttributeOptions = {
      journal,
      onRemark: (remark) => remarks.push(remark),
      onProgress: ({ done }) => dones.push(done),
    };
    expectSame(await attribute(model, pairs, options), whole);
    expect(remarks).toEqual([
      `${journal}.scores is damaged: the scores of 2 of ${counted} finished pairs are whole and kept, ` +
        'those after them are computed again.',
    ]);
    expect(dones[0]).toBe(2);
    expectSame(await attribute(model, pairs, options), whole); // whole again
    expect(remarks).toHaveLength(1);
  });

  it.each<[string, number, () => void]>([
    ['cut off', 1, () => truncateSync(`${journal}.scores`, pairBytes() + 100)],
    ['gone', 0, () => rmSync(`${journal}.scores`)],
  ])('whose scores are %s keeps what there is of them', async (_, kept, damage) => {
    const whole = await attribute(model, pairs);
    await interrupted({});
    damage();
    const dones: number[] = [];
    const onProgress = ({ done }: { done: number }) => dones.push(done);
    expectSame(await attribute(model, pairs, { journal, onProgress }), whole);
    expect(dones[0]).toBe(kept);
    expectSame(await attribute(model, pairs, { journal }), whole);
  });

  it('of an earlier version, without hashes of its scores, is gone on from', async () => {
    const whole = await attribute(model, pairs);
    await interrupted({});
    const counted = doneOf();
    rewrite({ scoreCrcs: undefined });
    expect(lineOf()).not.toHaveProperty('scoreCrcs');
    const dones: number[] = [];
    const onProgress = ({ done }: { done: number }) => dones.push(done);
    expectSame(await attribute(model, pairs, { journal, onProgress }), whole);
    expect(dones[0]).toBe(counted);
    expect(lineOf().scoreCrcs).toHaveLength(pairs.length);
  });

  it('is kept of a run that is over at once where that is wanted, else nothing is', async () => {
    const whole = await attribute(model, pairs, { journal });
    expect(readdirSync(folder)).toEqual([]);
    expectSame(await attribute(model, pairs, { journal, keepJournal: true }), whole);
    expect(readdirSync(folder).sort()).toEqual(['run.journal', 'run.journal.scores']);
    expect(doneOf()).toBe(pairs.length);
    expectSame(await attribute(model, pairs, { journal }), whole);
  });

  it('leaves scores alone that no line counts', async () => {
    const whole = await attribute(model, pairs);
    writeFileSync(`${journal}.scores`, 'of a run that was killed before its first line');
    expectSame(await attribute(model, pairs, { journal }), whole);
  });

  it('that cannot be written says so', async () => {
    const run = attribute(model, pairs, { journal: path.join(folder, 'none', 'journal') });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_WRITE' });
  });
});
