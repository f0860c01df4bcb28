// Shards of an ablation: which variants belong to each, and that merged journals give the bytes of one run.
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ablateShardOf,
  ablateSubject,
  computedLayers,
  differentVariants,
  finishShardOf,
  journalOfShards,
  mergeShards,
  shareVariants,
  unablated,
  variantKey,
  type AblateOptions,
  type AblationSubject,
} from '../../../lib/ablation/index.js';
import { allHeads, parseHeads } from '../../../lib/head-gate.js';
import { decodeLine, encodeLine } from '../../../lib/journal-line.js';
import { writeJournal } from '../../../lib/journal.js';
import { mergeAblations } from '../../../lib/ablation.js';
import { fakeRunner, subjectOf } from './fake-runner.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-ablation-shards-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const of = (text: string, factor = 0) => ({ heads: parseHeads(text), factor });

describe('computedLayers', () => {
  it('counts what no variant before computed: from the first gated layer up, same gates once', () => {
    const variants = [
      unablated,
      of('0.1'),
      of('0.1,2.0'),
      of('0.1,2.0,2.3'),
      of('0.1,2.3,3.0'),
      of('0.1,2.3'),
      of('0.1,2.3', 0.5),
      of('3.5'),
    ];
    expect(computedLayers(variants, 4)).toEqual([4, 4, 2, 2, 2, 1, 4, 1]);
  });
});

describe('shareVariants', () => {
  const single = differentVariants([
    unablated,
    ...allHeads({ layers: 30, heads: 9 }).map((ref) => ({ heads: [ref], factor: 0 })),
  ]);

  it.each([1, 2, 3, 7, 16])('makes %i ranges of about equal work', (count) => {
    const shares = shareVariants(single, { index: 1, count }, 30);
    expect(shares).toHaveLength(count);
    expect(shares.flat()).toEqual(single);
    const work = shares.map((own) =>
      computedLayers(own, 30).reduce((sum, layers) => sum + layers, 0),
    );
    const mean = work.reduce((sum, own) => sum + own, 0) / count;
    for (const own of work) expect(Math.abs(own - mean)).toBeLessThanOrEqual(30);
  });

  it('keeps sets with the same first heads together', () => {
    const sets = ['0.0', '0.0,1.1', '0.0,1.1,2.2', '2.0', '2.0,3.1', '2.0,3.2', '1.5'];
    const shares = shareVariants(
      differentVariants(sets.map((set) => of(set))),
      { index: 1, count: 2 },
      4,
    );
    expect(shares.map((own) => own.map(variantKey))).toEqual([
      ['a0.h0 x0', 'a0.h0,a1.h1 x0', 'a0.h0,a1.h1,a2.h2 x0'],
      ['a1.h5 x0', 'a2.h0 x0', 'a2.h0,a3.h1 x0', 'a2.h0,a3.h2 x0'],
    ]);
  });

  it('leaves none empty, whatever a variant costs', () => {
    const sets = differentVariants([unablated, of('3.0'), of('3.1'), of('3.2')]);
    const shares = shareVariants(sets, { index: 1, count: 4 }, 1000);
    expect(shares.map((own) => own.length)).toEqual([1, 1, 1, 1]);
    expect(() => shareVariants(sets, { index: 5, count: 5 }, 4)).toThrow(
      'the shard 5/5 is of only 4 variants; use at most 4 shards.',
    );
  });
});

const pairs = 12;
const plans: [string, AblateOptions][] = [
  ['single heads', { plan: { kind: 'single' } }],
  [
    'sets by factors',
    {
      plan: {
        kind: 'sets',
        sets: [{ name: 'a, "b"', heads: parseHeads('3.1,0.2') }, parseHeads('3.1')],
      },
      factors: [0, 0.5, -1],
      controls: 4,
      seed: 3,
    },
  ],
  [
    'a cumulative plan, matched by writes',
    {
      plan: { kind: 'top-k', heads: parseHeads('3.1,3.2,0.3'), k: 5, group: 'emergent' },
      match: 'write-norm',
      metric: 'kl',
      ablation: 'mean',
      positions: 'prompt',
    },
  ],
];
const statistics = { confidence: 0.9, resamples: 200 };
const pathOf = (index: number): string => join(folder, `${index}.jsonl`);

async function runShards(
  count: number,
  { indexes, subject }: { indexes?: number[]; subject?: AblationSubject } = {},
  options: AblateOptions = plans[1][1],
): Promise<string[]> {
  const all = indexes ?? Array.from({ length: count }, (_, index) => index + 1);
  for (const index of all) {
    const own = { ...options, shard: { index, count }, journal: pathOf(index) };
    await ablateShardOf(subject ?? subjectOf(fakeRunner(pairs), pairs), own);
  }
  return all.map(pathOf);
}

describe('merged shards', () => {
  it.each(plans)('of %s give the bytes of one run, in any order', async (_, options) => {
    const runner = fakeRunner(pairs);
    const whole = await ablateSubject(subjectOf(runner, pairs), { ...options, ...statistics });
    const runners = [fakeRunner(pairs), fakeRunner(pairs), fakeRunner(pairs)];
    for (const [index, own] of runners.entries()) {
      const shard = { index: index + 1, count: 3 };
      const done = await ablateShardOf(subjectOf(own, pairs), {
        ...options,
        shard,
        journal: pathOf(index + 1),
      });
      expect(done).toEqual({
        shard: `${index + 1}/3`,
        variants: own.calls.flat().length,
        ofVariants: runner.calls.flat().length,
        journal: pathOf(index + 1),
      });
    }
    // Every variant ran in one shard alone.
    const ran = runners.flatMap(({ calls }) => calls.flat());
    expect(ran.sort()).toEqual(runner.calls.flat().sort());
    const merged = await mergeAblations([3, 1, 2].map(pathOf), statistics);
    expect(JSON.stringify(merged)).toBe(JSON.stringify(whole));
  });

  it('take the defaults of one run for their statistics', async () => {
    const whole = await ablateSubject(subjectOf(fakeRunner(pairs), pairs), plans[1][1]);
    const merged = await mergeAblations(await runShards(2));
    expect(JSON.stringify(merged)).toBe(JSON.stringify(whole));
  });

  it('have the notes on the pairs of one run', async () => {
    const subject = () => ({ ...subjectOf(fakeRunner(pairs), pairs), notes: ['of the pairs'] });
    const whole = await ablateSubject(subject(), plans[1][1]);
    expect(whole.notes).toContain('of the pairs');
    const merged = await mergeAblations(await runShards(2, { subject: subject() }));
    expect(JSON.stringify(merged)).toBe(JSON.stringify(whole));
  });

  it('go on where they were stopped', async () => {
    const runner = fakeRunner(200, {
      beforeRun: (call) => {
        if (call === 2) throw new Error('killed');
      },
    });
    const [options] = [plans[1][1]];
    const own = { ...options, shard: { index: 1, count: 2 }, journal: pathOf(1) };
    await expect(ablateShardOf(subjectOf(runner, 200), own)).rejects.toThrow('killed');
    const before = runner.calls.flat();
    const subject = subjectOf(fakeRunner(200), 200);
    await runShards(2, { indexes: [2], subject });
    await expect(mergeShards([1, 2].map(pathOf), statistics)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(
        new RegExp(`1.jsonl holds ${before.length} of the \\d+ variants of shard 1/2; run its`),
      ) as string,
    });
    const again = fakeRunner(200);
    await ablateShardOf(subjectOf(again, 200), own);
    expect(again.calls.flat().filter((name) => before.includes(name))).toEqual([]);
    const whole = await ablateSubject(subject, { ...options, ...statistics });
    const merged = await mergeShards([1, 2].map(pathOf), statistics);
    expect(JSON.stringify(merged)).toBe(JSON.stringify(whole));
  });
});

describe('finished shards', () => {
  /** Runs all shards and stores each as a journal; gives the paths and the variants that ran. */
  async function finish(
    count: number,
    options: AblateOptions,
    begun?: string,
  ): Promise<{ paths: string[]; ran: string[] }> {
    const [paths, ran]: [string[], string[]] = [[], []];
    for (let index = 1; index <= count; index++) {
      const journal = join(folder, `state-${count}-${index}.jsonl`);
      if (begun !== undefined) await copyFile(begun, journal);
      const runner = fakeRunner(pairs);
      const own = { ...options, shard: { index, count }, journal };
      const done = await finishShardOf(subjectOf(runner, pairs), own);
      ran.push(...runner.calls.flat());
      if (!done) continue;
      const path = join(folder, `finished-${count}-${index}.jsonl`);
      await writeJournal(path, done.settings, done.records);
      paths.push(path);
    }
    return { paths, ran };
  }

  it.each(plans)('of %s give the bytes of one run, however many they are', async (_, options) => {
    const runner = fakeRunner(pairs);
    const whole = await ablateSubject(subjectOf(runner, pairs), { ...options, ...statistics });
    const variants = runner.calls.flat();
    for (const count of [1, 4, variants.length + 2]) {
      const { paths, ran } = await finish(count, options);
      expect(paths).toHaveLength(Math.min(count, variants.length));
      expect(ran.sort()).toEqual([...variants].sort());
      const merged = await mergeShards(paths, statistics);
      expect(JSON.stringify(merged)).toBe(JSON.stringify(whole));
    }
  });

  it('run no variant again in other shards, and only new ones of other plans', async () => {
    const [, options] = plans[1];
    const { paths } = await finish(3, options);
    const begun = join(folder, 'begun.jsonl');
    await journalOfShards(begun, paths);
    const again = await finish(5, options, begun);
    expect(again.ran).toEqual([]);
    const more = await finish(2, { ...options, factors: [0, 0.5, -1, 2] }, begun);
    expect(more.ran.length).toBeGreaterThan(0);
    expect(more.ran.every((name) => name.endsWith(' x2'))).toBe(true);
    // Nothing to begin with makes no journal.
    await journalOfShards(join(folder, 'none.jsonl'), []);
    await expect(readFile(join(folder, 'none.jsonl'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a merge is refused', () => {
  const invalid = (message: RegExp) => ({
    code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
    message: expect.stringMatching(message) as string,
  });

  it('without all shards, or with one twice', async () => {
    const [one, two, three] = await runShards(3);
    await expect(mergeShards([], {})).rejects.toMatchObject(invalid(/no journals to merge/));
    await expect(mergeShards([one, three], {})).rejects.toMatchObject(
      invalid(/the journal of shard 2\/3 is missing/),
    );
    await expect(mergeShards([one, two, one, three], {})).rejects.toMatchObject(
      invalid(/1\.jsonl and .*1\.jsonl are both of shard 1\/3/),
    );
    await expect(mergeShards([one, pathOf(4)], {})).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
    await expect(mergeShards([one], { confidence: 2 })).rejects.toMatchObject(invalid(/between 0/));
  });

  it.each<[string, (subject: AblationSubject) => AblationSubject, RegExp]>([
    ['pairs', (subject) => ({ ...subject, pairsHash: 'b' }), /pairsHash \("aaaa.* and "b"\)/],
    ['models', (subject) => ({ ...subject, modelFingerprint: 'g' }), /modelFingerprint \(/],
    [
      'processors',
      (subject) => ({ ...subject, isa: 'avx2' }),
      /isa \("specification" and "avx2"\)/,
    ],
  ])('of other %s', async (_, change, message) => {
    await runShards(2, { indexes: [1] });
    const subject = change(subjectOf(fakeRunner(pairs), pairs));
    await runShards(2, { indexes: [2], subject });
    await expect(mergeShards([1, 2].map(pathOf), {})).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringMatching(message) as string,
    });
  });

  it('of other sets, settings and numbers of shards', async () => {
    await runShards(2, { indexes: [1] });
    const mismatch = (message: RegExp) => ({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringMatching(message) as string,
    });
    const merge = (): Promise<unknown> => mergeShards([1, 2].map(pathOf), {});
    const renew = async (count: number, options: AblateOptions): Promise<void> => {
      await rm(pathOf(2), { force: true });
      await runShards(count, { indexes: [2] }, options);
    };
    const [, options] = plans[1];
    await renew(3, options);
    await expect(merge()).rejects.toMatchObject(mismatch(/shards \(2 and 3\)/));
    await renew(2, { ...options, seed: 4 });
    await expect(merge()).rejects.toMatchObject(mismatch(/seed \(3 and 4\)/));
    await renew(2, { ...options, plan: { kind: 'sets', sets: [parseHeads('0.1')] } });
    await expect(merge()).rejects.toMatchObject(mismatch(/sets \(6 and 3\)/));
  });

  it('of a whole run, of another command, and of no journal', async () => {
    const [one] = await runShards(2, { indexes: [1] });
    await ablateSubject(subjectOf(fakeRunner(pairs), pairs), {
      ...plans[1][1],
      journal: pathOf(5),
    });
    await expect(mergeShards([one, pathOf(5)], {})).rejects.toMatchObject(
      invalid(/5\.jsonl is the journal of a whole run, not of a shard/),
    );
    const header = { format: 'headspark-journal', version: 1, settings: { verb: 'evaluate' } };
    await writeFile(pathOf(6), encodeLine(header));
    await expect(mergeShards([one, pathOf(6)], {})).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message: expect.stringMatching(/no journal of an ablation \(it is of "evaluate"\)/) as string,
    });
    await writeFile(pathOf(7), 'text\n');
    await expect(mergeShards([pathOf(7)], {})).rejects.toThrow(/is not a headspark journal/);
  });

  const changes: [string, Record<string, unknown>][] = [
    ['no pairs', { pairs: 0 }],
    ['no shape', { shape: null }],
    ['an unknown ablation', { ablation: 'half' }],
    ['factors of texts', { factors: ['0'] }],
    ['no plan', { planned: {} }],
    ['no rows', { planned: { rows: [], notes: [] } }],
    ['a head outside', { planned: { notes: [], rows: [{ name: 'a', heads: 'a9.h0', factor: 0, controls: [] }] } }],
    ['controls of numbers', { planned: { notes: [], rows: [{ name: 'a', heads: 'a0.h0', factor: 0, controls: [1] }] } }],
  ]; // prettier-ignore
  it.each(changes)('of headers with %s', async (_, change) => {
    const paths = await runShards(2);
    for (const path of paths) {
      const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
      const header = decodeLine(Buffer.from(lines[0]))!;
      const settings = { ...(header['settings'] as object), ...change };
      const { format, version } = header;
      const first = encodeLine({ format, version, settings }).trimEnd();
      await writeFile(path, `${[first, ...lines.slice(1)].join('\n')}\n`);
    }
    await expect(mergeShards(paths, {})).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message: expect.stringMatching(/has a header that does not fit/) as string,
    });
  });

  it('of values that are none, and when it is cancelled', async () => {
    const paths = await runShards(2);
    const run = mergeShards(paths, { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    await appendFile(paths[1], encodeLine({ key: 'x', value: { values: [1], correct: '1' } }));
    await expect(mergeShards(paths, {})).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message: expect.stringMatching(
        /2\.jsonl's record "x" does not hold the results of 12/,
      ) as string,
    });
  });
});
