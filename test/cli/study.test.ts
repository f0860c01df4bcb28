// `headspark study` from the real binary: killed at random moments and resumed, other threads,
// memory and shards, and what it prints. HEADSPARK_STUDY_KILLS=50 kills more often than CI does.
import type { ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../lib/stats/random.js';
import { digest, smallStudy } from '../native/study/small-study.js';
import { headspark, newFolder } from './bin.js';

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

/** Threads, memory and shards of an attempt; none of them changes a byte. */
const settings = [
  [],
  ['--threads', '1'],
  ['--threads', '2', '--memory', '24M'],
  ['--memory', '96M'],
  ['--shard', '1/2'],
  ['--threads', '3', '--shard', '2/3'],
];

/** Results that are stored, and stages that left something to go on from. */
async function storedIn(out: string): Promise<number> {
  const root = join(cwd, out, 'results');
  const kinds = await readdir(root).catch(() => []);
  const entries = await Promise.all(kinds.map((kind) => readdir(join(root, kind))));
  return entries.flat().length;
}

describe('a study that is killed', () => {
  it(
    `${kills} times at random moments gives the same bytes when it is resumed`,
    async () => {
      const random = new Random(20260101);
      let [killed, progressed] = [0, 0];
      /** When an attempt was killed, and how many results there were then. */
      const moments: [number, number][] = [];
      let out = 'killed-0';
      let spanMs = 0.7 * wholeMs;
      for (let round = 0; killed < kills; round++) {
        const before = await storedIn(out);
        const delay = random.uniform() * spanMs;
        const more = settings[Math.floor(random.uniform() * settings.length)];
        const { code } = await run(out, ['--quiet', ...more], (child) => {
          setTimeout(() => child.kill('SIGKILL'), delay);
        });
        const after = await storedIn(out);
        // What was stored stays stored.
        expect(after).toBeGreaterThanOrEqual(before);
        if (after > before) progressed++;
        moments.push([code === null ? Math.round(delay) : Infinity, after]);
        if (code === null) killed++;
        else if (more.includes('--shard')) expect(code).toBe(0);
        else {
          expect(code).toBe(0);
          expect(await digest(join(cwd, out))).toEqual(reference);
          // Finished before its time: once more from the start, with earlier kills.
          out = `killed-${round + 1}`;
          spanMs *= 0.8;
        }
      }
      expect(progressed).toBeGreaterThan(0);
      // The kills fell into the whole of the run, from its first results to its last.
      const places = moments.filter(([at]) => at < Infinity).map(([, stored]) => stored / total);
      expect(new Set(places.map((place) => Math.floor(4 * place))).size).toBeGreaterThanOrEqual(
        Math.min(4, Math.floor(kills / 12)),
      );
      if (kills > 10) console.info(`killed at ${places.map((p) => p.toFixed(2)).join(' ')}`);
      const { code, stderr } = await run(out);
      expect(stderr).not.toContain('ERR_');
      expect(code).toBe(0);
      expect(await digest(join(cwd, out))).toEqual(reference);
      // Nothing is left of the attempts.
      expect(await readdir(join(cwd, out, 'work')).catch(() => [])).toEqual([]);
    },
    kills * 30_000 + 120_000,
  );

  it('goes on with the variants of an ablation that a kill interrupted', async () => {
    const plan =
      '  - { name: many, heads: "0.0-1,1.0,2.0-1;1.2-3,2.2-3,3.0-2", controls: 150, ' +
      'prompt-forms: [thinking] }';
    const text = smallStudy
      .replace(/ablations:\n.*\n.*\n/, `ablations:\n${plan}\n`)
      .replace('limit: 12', 'limit: 16');
    expect(text).toContain('many');
    await mkdir(join(cwd, 'long'));
    await writeFile(join(cwd, 'long', 'study.yaml'), text);
    const args = ['study', 'run', 'long/study.yaml', '--out', 'long/run', '--only', 'ablation'];
    const journals = async (): Promise<string[]> => {
      const work = join(cwd, 'long', 'run', 'work');
      const names = await readdir(work, { recursive: true }).catch(() => []);
      return names.filter((name) => name.endsWith('journal.jsonl')).map((name) => join(work, name));
    };
    let child: ChildProcess | undefined;
    const ended = headspark(args, { cwd, onStart: (started) => (child = started) });
    let lines = 0;
    while (lines < 3 && child?.exitCode === null) {
      await new Promise((wait) => setTimeout(wait, 5));
      for (const path of await journals()) {
        lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').length - 1;
      }
    }
    child?.kill('SIGKILL');
    expect((await ended).code).toBeNull();
    const [journal] = await journals();
    const kept = await readFile(journal, 'utf8');
    expect(kept.split('\n').length).toBeGreaterThan(2);
    const status = await headspark(
      ['study', 'status', 'long/study.yaml', '--out', 'long/run', '--json'],
      { cwd },
    );
    const { kinds } = JSON.parse(status.stdout) as { kinds: { kind: string; begun: number }[] };
    expect(kinds.find(({ kind }) => kind === 'ablation')).toMatchObject({ begun: 1 });
    expect((await headspark(args, { cwd })).code).toBe(0);
    const fresh = args.map((word) => (word === 'long/run' ? 'long/fresh' : word));
    const again = await headspark(fresh, { cwd });
    expect(again.code).toBe(0);
    expect(await digest(join(cwd, 'long/run'))).toEqual(await digest(join(cwd, 'long/fresh')));
  }, 240_000);

  it('or interrupted by Ctrl-C says how to go on', async () => {
    const { code, stderr } = await run('stopped', [], (child) => {
      const timer = setInterval(() => {
        void storedIn('stopped').then((count) => {
          if (count < 3) return;
          clearInterval(timer);
          child.kill('SIGINT');
        });
      }, 10);
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
    const json = await headspark(['study', 'plan', 'study.yaml', '--out', 'whole', '--json'], {
      cwd,
    });
    const plan = JSON.parse(json.stdout) as {
      total: { stages: number; done: number; seconds: number };
    };
    expect(plan.total).toMatchObject({ done: plan.total.stages, seconds: 0 });
    expect(await readdir(cwd)).not.toContain('none');
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
