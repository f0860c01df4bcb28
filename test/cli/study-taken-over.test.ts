// A setting that changes diffs but not the heads that later stages read of them, from the real binary:
// what is computed again and what is taken over, after kills and in shards, to the bytes of a fresh run.
import type { ChildProcess } from 'node:child_process';
import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary, StudyStatus } from '../../lib/study/index.js';
import { digest, smallStudy } from '../native/study/small-study.js';
import { headspark, newFolder } from './bin.js';

const studies = {
  first: smallStudy,
  // Another p-value of every diff.
  noise: smallStudy.replace('null-repeats: 20', 'null-repeats: 25'),
  // Other intervals everywhere, from the same scores, samples and ablated runs.
  intervals: smallStudy.replace('resamples: 60', 'resamples: 60, confidence: 0.9'),
  // A threshold that leaves the heads as they are.
  threshold: smallStudy.replace('tau: 0.1', 'tau: 0.101'),
  parts: smallStudy.replaceAll('parts: 2', 'parts: 3'),
};

type Name = keyof typeof studies;

let cwd: string;
const fresh = {} as Record<Name, Record<string, string>>;

const study = (action: string, name: Name, out: string, more: string[] = []): string[] => [
  ...['study', action, `${name}.yaml`, '--out', out, '--json'],
  ...more,
];

/** By kind, how many stages were computed. */
async function run(name: Name, out: string, more: string[] = []) {
  const { code, stdout, stderr } = await headspark(study('run', name, out, more), { cwd });
  expect(stderr).not.toContain('ERR_');
  expect(code).toBe(0);
  const { computed, takenOver } = JSON.parse(stdout) as RunSummary;
  const counts: Record<string, number> = {};
  for (const { kind } of computed) counts[kind] = (counts[kind] ?? 0) + 1;
  return { counts, takenOver: takenOver.length };
}

/** Every file of a fresh run of these settings, with its bytes. */
async function expectFresh(name: Name, out: string): Promise<void> {
  const own = await digest(join(cwd, out));
  const files = Object.keys(fresh[name]);
  expect(Object.fromEntries(files.map((file) => [file, own[file]]))).toEqual(fresh[name]);
  expect(await readdir(join(cwd, out, 'work'))).toEqual([]);
}

async function copyOfFirst(out: string): Promise<void> {
  await cp(join(cwd, 'first'), join(cwd, out), { recursive: true });
}

async function storedIn(out: string): Promise<number> {
  const results = join(cwd, out, 'results');
  const kinds = await readdir(results).catch(() => []);
  const entries = await Promise.all(kinds.map((kind) => readdir(join(results, kind))));
  return entries.flat().length;
}

beforeAll(async () => {
  cwd = await newFolder();
  for (const [name, text] of Object.entries(studies)) {
    await writeFile(join(cwd, `${name}.yaml`), text);
    await run(name as Name, name);
    fresh[name as Name] = await digest(join(cwd, name));
  }
}, 400_000);

describe('a changed setting', () => {
  it('computes diffs again, and nothing that reads only their heads', async () => {
    await copyOfFirst('changed');
    const before = await headspark(study('status', 'noise', 'changed'), { cwd });
    const { kinds, nodes } = JSON.parse(before.stdout) as StudyStatus;
    const samples = kinds.find(({ kind }) => kind === 'samples')!;
    expect(samples).toMatchObject({ done: 20, kept: 0, maybeKept: 4 });
    expect(nodes.find(({ kind, state }) => kind === 'samples' && state !== 'done')).toMatchObject({
      kept: 'maybe',
      keptWith: [expect.stringMatching(/^the emergent heads of diff \S+$/)],
    });
    expect(await run('noise', 'changed')).toEqual({
      counts: { 'null-diff': 2, diff: 8 },
      takenOver: 16,
    });
    await expectFresh('noise', 'changed');
    // Going back costs nothing, and neither does another change on top.
    expect(await run('first', 'changed')).toEqual({ counts: {}, takenOver: 0 });
    await expectFresh('first', 'changed');
  }, 60_000);

  it('says in words what may be kept', async () => {
    await copyOfFirst('words');
    const text = await headspark(['study', 'status', 'noise.yaml', '--out', 'words', '--each'], {
      cwd,
    });
    expect(text.stdout).toMatch(/samples +\S+ +waiting, maybe kept/);
    expect(text.stdout).toMatch(/24 stages of those left may keep results of earlier settings/);
    const ran = await headspark(['study', 'run', 'noise.yaml', '--out', 'words'], { cwd });
    expect(ran.stdout).toMatch(
      /10 stages computed, 16 the same as with earlier settings, 85 there/,
    );
  }, 60_000);

  it('of intervals runs no model where its values are stored', async () => {
    await copyOfFirst('intervals-changed');
    const { counts } = await run('intervals', 'intervals-changed');
    expect(counts).not.toHaveProperty('samples');
    expect(counts).not.toHaveProperty('variants');
    expect(counts).not.toHaveProperty('attribution');
    await expectFresh('intervals', 'intervals-changed');
  }, 60_000);

  it('of the threshold computes little where the heads stay', async () => {
    await copyOfFirst('threshold-changed');
    const { counts } = await run('threshold', 'threshold-changed');
    expect(Object.keys(counts).sort()).toEqual(['circuit', 'diff', 'form-diff', 'null-diff']);
    await expectFresh('threshold', 'threshold-changed');
  }, 60_000);

  it('of parts keeps the samples, where every problem has them in another part', async () => {
    await copyOfFirst('parts-changed');
    await run('parts', 'parts-changed');
    await expectFresh('parts', 'parts-changed');
  }, 60_000);
});

describe('a changed study', () => {
  it.each([1, 9, 14])(
    'killed after %i results comes to the same bytes',
    async (results) => {
      const out = `killed-${results}`;
      await copyOfFirst(out);
      const before = await storedIn(out);
      let child: ChildProcess | undefined;
      const ended = headspark(study('run', 'noise', out), { cwd, onStart: (one) => (child = one) });
      while (child?.exitCode === null && (await storedIn(out)) < before + results) {
        await setTimeout(2);
      }
      child?.kill('SIGKILL');
      await ended;
      const { counts } = await run('noise', out);
      expect(Object.keys(counts).every((kind) => kind.endsWith('diff'))).toBe(true);
      await expectFresh('noise', out);
    },
    60_000,
  );

  it('in shards, each in a folder of its own, comes to the same bytes merged', async () => {
    for (const part of [1, 2]) {
      await copyOfFirst(`part-${part}`);
      const { counts } = await run('noise', `part-${part}`, ['--shard', `${part}/2`]);
      expect(Object.keys(counts).every((kind) => kind.endsWith('diff'))).toBe(true);
    }
    const merged = await headspark(['study', 'merge', 'part-1', 'part-2', '--out', 'merged'], {
      cwd,
    });
    expect(merged.code).toBe(0);
    const { counts } = await run('noise', 'merged');
    expect(Object.keys(counts).every((kind) => kind.endsWith('diff'))).toBe(true);
    await expectFresh('noise', 'merged');
  }, 60_000);

  it('in shards of one folder at the same time, and kind by kind, likewise', async () => {
    await copyOfFirst('shared');
    const shard = (index: number) => run('noise', 'shared', ['--shard', `${index}/2`]);
    await Promise.all([shard(1), shard(2)]);
    await run('noise', 'shared');
    await expectFresh('noise', 'shared');
    await copyOfFirst('kinds');
    // As a submission to Slurm does, whose tasks refuse a study file that changed.
    await writeFile(join(cwd, 'kinds', 'study.yaml'), studies.noise);
    for (const kind of ['null-diff', 'diff', 'variants', 'ablation', 'samples', 'head-table']) {
      const { counts } = await run('noise', 'kinds', ['--only', kind, '--strict']);
      expect(Object.keys(counts).every((one) => one.endsWith('diff'))).toBe(true);
    }
    await run('noise', 'kinds');
    await expectFresh('noise', 'kinds');
  }, 120_000);
});
