// `headspark study` from the real binary: killed at random moments and resumed, other threads,
// memory and shards, and what it prints. HEADSPARK_STUDY_KILLS=50 kills more often than CI does;
// npm run check:kills does the same to the demo's study.
import type { ChildProcess } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../lib/stats/random.js';
import { digest, smallStudy } from '../native/study/small-study.js';
import { headspark, newFolder, root } from './bin.js';

// Plain JavaScript, since it is a program of its own too: npm run check:kills.
const killsScript = join(root, 'scripts', 'checks', 'study', 'kills.mjs');
const { killAndResume, killPlaces } = await import(pathToFileURL(killsScript).href);

const kills = Number(process.env['HEADSPARK_STUDY_KILLS'] ?? 10);

let cwd: string;
let reference: Record<string, string>;
let wholeMs: number;
let total: number;

const run = (out: string, more: string[] = [], onStart?: (child: ChildProcess) => void) =>
  headspark(['study', 'run', 'study.yaml', '--out', out, ...more], {
    cwd,
    ...(onStart ? { onStart } : {}),
  });

beforeAll(async () => {
  cwd = await newFolder();
  await writeFile(join(cwd, 'study.yaml'), smallStudy);
  const start = performance.now();
  const { code, stderr, stdout } = await run('whole');
  wholeMs = performance.now() - start;
  expect(stderr).not.toContain('ERR_');
  expect(stdout).toContain('Next: headspark report whole --out report.html');
  expect(code).toBe(0);
  reference = await digest(join(cwd, 'whole'));
  total = await storedIn('whole');
}, 240_000);

/** Results that are stored, and stages that left something to go on from. */
async function storedIn(out: string): Promise<number> {
  const results = join(cwd, out, 'results');
  const kinds = await readdir(results).catch(() => []);
  const entries = await Promise.all(kinds.map((kind) => readdir(join(results, kind))));
  return entries.flat().length;
}

describe('a study that is killed', () => {
  it(
    `${kills} times at random moments gives the same bytes when it is resumed`,
    async () => {
      const study = join(cwd, 'study.yaml');
      const whole = { digest: reference, ms: wholeMs, stored: total };
      const random = new Random(20260101);
      const result = await killAndResume({ study, folder: cwd, whole, kills, random });
      expect(result.faults).toEqual([]);
      expect(result.attempts.some(({ progressed }: { progressed: boolean }) => progressed)).toBe(
        true,
      );
      // The kills fell into the whole of the run, from its first results to its last.
      const places: number[] = killPlaces(result, whole);
      expect(places).toHaveLength(kills);
      expect(new Set(places.map((place) => Math.floor(4 * place))).size).toBeGreaterThanOrEqual(
        Math.min(4, Math.floor(kills / 12)),
      );
      if (kills > 10) console.info(`killed at ${places.map((p) => p.toFixed(2)).join(' ')}`);
    },
    kills * 30_000 + 120_000,
  );

  it('or interrupted by Ctrl-C says how to go on', async () => {
    const { code, stderr } = await run('stopped', [], (child) => {
      // One Ctrl-C: a second one would not wait for anything.
      const watch = async (): Promise<void> => {
        while ((await storedIn('stopped')) < 3) await setTimeout(10);
        child.kill('SIGINT');
      };
      void watch();
    });
    expect(stderr).toContain('stopped keeps what is finished: run the same command again');
    expect(code).toBe(130);
    expect((await run('stopped')).code).toBe(0);
    expect(await digest(join(cwd, 'stopped'))).toEqual(reference);
  }, 120_000);
});

describe('the same bytes', () => {
  it('come out with one thread and little memory, and from merged shards', async () => {
    expect((await run('single', ['--threads', '1', '--memory', '24M'])).code).toBe(0);
    expect(await digest(join(cwd, 'single'))).toEqual(reference);
    const shards = await Promise.all([
      run('shard1', ['--shard', '1/2']),
      run('shard2', ['--shard', '2/2']),
    ]);
    expect(shards.map(({ code }) => code)).toEqual([0, 0]);
    expect(shards[1].stdout).toContain('wait for results of other shards');
    const merged = await headspark(
      ['study', 'merge', 'shard1', 'shard2', '--out', 'merged', '--json'],
      { cwd },
    );
    expect(merged.code).toBe(0);
    expect(JSON.parse(merged.stdout)).toMatchObject({ equal: 2 });
    expect((await run('merged')).code).toBe(0);
    expect(await digest(join(cwd, 'merged'))).toEqual(reference);
  }, 240_000);
});

describe('the command', () => {
  it('plans with numbers, as text and as JSON', async () => {
    const text = await headspark(['study', 'plan', 'study.yaml', '--out', 'none'], { cwd });
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/attribution +10 +0 +480 +360 +0 +[\d.]+ s +\d+ MiB/);
    expect(text.stdout).not.toContain('sft-step10.sums.direct');
    const each = await headspark(['study', 'plan', 'study.yaml', '--out', 'none', '--each'], {
      cwd,
    });
    expect(each.stdout).toMatch(
      /attribution +sft-step10\.sums\.direct +waiting +48 +36 +0 +[\d.]+ s +\d+ MiB/,
    );
    expect(each.stdout.match(/^ +attribution +\S+\.sums\./gm)).toHaveLength(10);
    const status = await headspark(['study', 'status', 'study.yaml', '--out', 'whole', '--each'], {
      cwd,
    });
    expect(status.stdout).toMatch(/^ +head-table +all-heads\.sft-step120\.sums\.thinking +done$/m);
    const json = await headspark(['study', 'plan', 'study.yaml', '--out', 'whole', '--json'], {
      cwd,
    });
    const plan = JSON.parse(json.stdout) as {
      total: { stages: number; done: number; seconds: number };
    };
    expect(plan.total).toMatchObject({ done: plan.total.stages, seconds: 0 });
    // The second plan did not measure, and nothing but rates was written for a run to be.
    expect(text.stdout).toContain('rates measured now');
    expect(each.stdout).toContain(
      `rates measured before, on this machine (${join('none', 'rates.json')}`,
    );
    expect(await readdir(join(cwd, 'none'))).toContain('rates.json');
    expect(await readdir(join(cwd, 'none'))).not.toContain('results');
  }, 60_000);

  it('reports a run, and says where it lies', async () => {
    const args = [
      'report',
      'whole',
      '--out',
      'r.html',
      '--figures',
      'figs',
      '--formats',
      'svg,csv',
    ];
    const { code, stdout } = await headspark(args, { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(/Wrote r\.html: \d+ figures, \d+ KiB\.\nWrote \d+ files to figs\./);
    expect(await readdir(join(cwd, 'figs'))).toContain('heads-sums-thinking.csv');
  });

  it.each([
    [['report', 'whole', '--out', 'r.txt'], /the file name must end in \.html/],
    [['report', 'nowhere'], /nowhere is not the folder of a study run/],
    [['report', 'whole', '--formats', 'svg'], /--formats needs --figures/],
    [['report', 'whole', '--figures', 'f', '--formats', 'bmp'], /"bmp" is unknown: use svg/],
    [['study'], /no action|missing an argument/],
    [['study', 'rum', 'x'], /no action "rum".*Did you mean run\?/],
    [['study', 'run'], /study run takes one study file, got none/],
    [['study', 'run', 'study.yaml', '--shard', '3'], /of the form I\/N/],
    [['study', 'run', 'study.yaml', '--only', 'diffs'], /no stage "diffs".*Did you mean diff\?/],
    [['study', 'merge', 'whole'], /and --out for the merged one/],
    [['study', 'status', 'missing.yaml'], /the study file missing\.yaml does not exist/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await headspark(args, { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});
