// Running variants: chunks, the journal, and that an interrupted run ends in the same bytes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ablateSubject,
  runVariants,
  shortFloat32,
  unablated,
} from '../../../lib/ablation/index.js';
import { parseHeads } from '../../../lib/head-gate.js';
import { Random } from '../../../lib/stats/random.js';
import { fakeRunner, shape, subjectOf } from './fake-runner.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-ablation-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const heads = parseHeads('3.1,3.2,0.3');
const plan = { kind: 'top-k', heads, k: 3, group: 'emergent' } as const;
const fast = { resamples: 200 };

describe('shortFloat32', () => {
  it('gives a decimal number that is the same float32', () => {
    const random = new Random(1);
    const words = new Uint32Array(1);
    const floats = new Float32Array(words.buffer);
    for (let draw = 0; draw < 20_000; draw++) {
      words[0] = random.uint32();
      if (!Number.isFinite(floats[0])) continue;
      expect(Object.is(Math.fround(shortFloat32(floats[0])), floats[0])).toBe(true);
    }
    expect(String(shortFloat32(Math.fround(0.1)))).toBe('0.1');
  });
});

describe('runVariants', () => {
  it('runs every different set once, in chunks that grow while they are quick', async () => {
    const runner = fakeRunner(200);
    const variants = [
      unablated,
      { heads: parseHeads('1.1'), factor: 0 },
      { heads: parseHeads('1.1'), factor: 0 },
      { heads: parseHeads('1.1'), factor: -1 },
      { heads: parseHeads('2.*', shape), factor: 0 },
      { heads: parseHeads('0.0'), factor: 0 },
    ];
    const results = await runVariants(variants, {
      createRunner: () => Promise.resolve(runner),
      pairs: 200,
    });
    expect([...results.keys()]).toEqual([
      'none',
      'a1.h1 x0',
      'a1.h1 x-1',
      'a2.h0,a2.h1,a2.h2,a2.h3,a2.h4,a2.h5 x0',
      'a0.h0 x0',
    ]);
    expect(runner.calls).toEqual([
      ['none'],
      ['a1.h1 x-1', 'a0.h0 x0'],
      ['a1.h1 x0', 'a2.h0,a2.h1,a2.h2,a2.h3,a2.h4,a2.h5 x0'],
    ]);
    expect(runner.disposed).toBe(true);
  });

  it('refuses a metric that is not finite, and lets go of the runner', async () => {
    const runner = fakeRunner(4, { metricSign: NaN });
    const run = runVariants([unablated], {
      createRunner: () => Promise.resolve(runner),
      pairs: 4,
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_TENSOR_VALUE' });
    expect(runner.disposed).toBe(true);
  });
});

describe('a run with a journal', () => {
  const pairs = 120;

  async function whole(): Promise<string> {
    const table = await ablateSubject(subjectOf(fakeRunner(pairs), pairs), { plan, ...fast });
    return JSON.stringify(table);
  }

  it('gives the same bytes after being stopped at any chunk', async () => {
    const expected = await whole();
    for (const stop of [0, 1, 3]) {
      const journal = join(folder, `stop-${stop}.journal`);
      const failing = fakeRunner(pairs, {
        beforeRun: (call) => {
          if (call === stop) throw new Error('killed');
        },
      });
      const first = ablateSubject(subjectOf(failing, pairs), { plan, journal, ...fast });
      await expect(first).rejects.toThrow('killed');
      const rest = fakeRunner(pairs);
      const table = await ablateSubject(subjectOf(rest, pairs), { plan, journal, ...fast });
      expect(JSON.stringify(table)).toBe(expected);
      const done = new Set(failing.calls.flat());
      expect(rest.calls.flat().some((name) => done.has(name))).toBe(false);
      expect(rest.calls.flat().length).toBeGreaterThan(0);
    }
  });

  it('gives the same bytes from a journal torn in the middle of a line', async () => {
    const expected = await whole();
    const journal = join(folder, 'torn.journal');
    await ablateSubject(subjectOf(fakeRunner(pairs), pairs), { plan, journal, ...fast });
    const bytes = await readFile(journal);
    for (const share of [0.2, 0.55, 0.9]) {
      await writeFile(journal, bytes.subarray(0, Math.floor(bytes.length * share)));
      const rest = fakeRunner(pairs);
      const table = await ablateSubject(subjectOf(rest, pairs), { plan, journal, ...fast });
      expect(JSON.stringify(table)).toBe(expected);
      expect(rest.calls.length).toBeGreaterThan(0);
    }
  });

  it('does not load the model when everything is there, and serves a longer plan', async () => {
    const journal = join(folder, 'done.journal');
    const runner = fakeRunner(pairs);
    await ablateSubject(subjectOf(runner, pairs), { plan: { ...plan, k: 2 }, journal, ...fast });
    const again = fakeRunner(pairs);
    await ablateSubject(subjectOf(again, pairs), { plan: { ...plan, k: 2 }, journal, ...fast });
    expect(again.calls).toEqual([]);
    const longer = fakeRunner(pairs);
    await ablateSubject(subjectOf(longer, pairs), { plan, journal, ...fast });
    const before = new Set(runner.calls.flat());
    expect(longer.calls.flat().some((name) => before.has(name))).toBe(false);
  });

  it('serves a longer list of factors with what it holds of the shorter one', async () => {
    const journal = join(folder, 'factors.journal');
    const runner = fakeRunner(pairs);
    const two = { ...plan, k: 2 };
    const one = { plan: two, journal, factors: [0.5], ...fast };
    const alone = await ablateSubject(subjectOf(runner, pairs), one);
    const rest = fakeRunner(pairs);
    const more = { ...one, factors: [0, 0.5, 2] };
    const table = await ablateSubject(subjectOf(rest, pairs), more);
    const names = rest.calls.flat();
    expect(names.some((name) => runner.calls.flat().includes(name))).toBe(false);
    expect(names.every((name) => / x[02]$/.test(name))).toBe(true);
    const fresh = subjectOf(fakeRunner(pairs), pairs);
    const whole = await ablateSubject(fresh, { plan: two, factors: [0, 0.5, 2], ...fast });
    expect(JSON.stringify(table)).toBe(JSON.stringify(whole));
    const halves = table.variants.filter(({ factor }) => factor === 0.5);
    expect(halves.map(({ values }) => values)).toEqual(alone.variants.map(({ values }) => values));
  });

  it('refuses a journal of other settings, naming the one that differs', async () => {
    const journal = join(folder, 'other.journal');
    const options = { plan, journal, ...fast };
    await ablateSubject(subjectOf(fakeRunner(pairs), pairs), options);
    const other = ablateSubject(subjectOf(fakeRunner(pairs), pairs), {
      ...options,
      ablation: 'mean',
    });
    await expect(other).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringContaining('ablation (journal: "zero", now: "mean")'),
    });
  });

  it('stops between chunks when the signal fires, and keeps what is finished', async () => {
    const journal = join(folder, 'cancelled.journal');
    const controller = new AbortController();
    const runner = fakeRunner(pairs, {
      beforeRun: (call) => {
        if (call === 1) controller.abort();
      },
    });
    const run = ablateSubject(subjectOf(runner, pairs), {
      plan,
      journal,
      signal: controller.signal,
      ...fast,
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    expect(runner.calls).toHaveLength(2);
    expect(runner.disposed).toBe(true);
    const rest = fakeRunner(pairs);
    await ablateSubject(subjectOf(rest, pairs), { plan, journal, ...fast });
    const done = new Set(runner.calls.flat());
    expect(rest.calls.flat().some((name) => done.has(name))).toBe(false);
  });
});
