// Stages of a study that keep a journal, killed in the middle of it: what the journal held is not
// computed again, a torn last line is, and the results have the same bytes.
import type { ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { digest, models } from '../native/study/small-study.js';
import { headspark, newFolder } from './bin.js';

const head = `study: journals
seed: 3
base: { model: ${models}/base }
series:
  - label: SFT
    regime: sft
    checkpoints:
      - { name: sft-step120, step: 120, model: ${models}/sft-step120 }
prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: sums, limit: 16, pairs: { thinking: ${models}/pairs-steps.jsonl } }
attribution: { metric: prob-diff }
selection: { rule: threshold, tau: 0.1 }
`;
const sets = '"0.0-1,1.0,2.0-1;1.2-3,2.2-3,3.0-2"';

const studies = {
  variants: `${head}ablations:
  - { name: many, heads: ${sets}, controls: 150 }
`,
  // Answers alone, and under gates whose means come from other runs of the model.
  samples: `${head}ablations:
  - { name: solving, heads: ${sets}, controls: 4, ablation: mean, benchmarks: [chains] }
benchmarks:
  - { name: chains, file: demo, limit: 20, checkpoints: final }
sampling: { samples: 8, temperature: 0.8, max-new-tokens: 60, k: [1, 8] }
`,
};

type Kind = keyof typeof studies;

// Long enough to be killed after the first pairs were kept.
const scores = head
  .replace('limit: 16', 'limit: 64')
  .replace('metric: prob-diff', 'metric: prob-diff, ig-steps: 100');

let cwd: string;

const args = (kind: Kind, out: string, ...more: string[]): string[] => [
  ...['study', 'run', join(kind, 'study.yaml'), '--out', join(kind, out), '--only', kind],
  ...more,
];

async function journals(kind: Kind, out: string): Promise<string[]> {
  const work = join(cwd, kind, out, 'work');
  const names = await readdir(work, { recursive: true }).catch(() => []);
  return names.filter((name) => name.endsWith('journal.jsonl')).map((name) => join(work, name));
}

const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n');

/** Runs a stage and kills it when the lines of its journal are such; gives the journal's path. */
async function killedAt(
  kind: Kind,
  of: { out: string; when: (lines: readonly string[]) => boolean; more?: string[] },
): Promise<string> {
  const { out, when, more = [] } = of;
  let child: ChildProcess | undefined;
  const ended = headspark(args(kind, out, ...more), {
    cwd,
    onStart: (started) => (child = started),
  });
  let journal: string | undefined;
  while (child?.exitCode === null && !journal) {
    await setTimeout(3);
    for (const path of await journals(kind, out)) {
      if (when(await linesOf(path))) journal = path;
    }
  }
  child?.kill('SIGKILL');
  const { code, stderr } = await ended;
  expect(stderr).not.toContain('ERR_');
  expect(code).toBeNull();
  return journal!;
}

beforeAll(async () => {
  cwd = await newFolder();
  for (const [kind, text] of Object.entries(studies)) {
    await mkdir(join(cwd, kind));
    await writeFile(join(cwd, kind, 'study.yaml'), text);
    const { code, stderr } = await headspark(args(kind as Kind, 'whole'), { cwd });
    expect(stderr).not.toContain('ERR_');
    expect(code).toBe(0);
  }
}, 240_000);

describe.each(Object.keys(studies) as Kind[])('the stage %s', (kind) => {
  it('goes on from its journal after kills, torn last line included', async () => {
    const journal = await killedAt(kind, { out: 'killed', when: ({ length }) => length > 13 });
    const before = await linesOf(journal);
    const whole = before.length - 1;
    // As a power cut leaves it: the last line lacks its end.
    const last = before[whole - 1];
    const kept = before.slice(0, whole - 1);
    await writeFile(journal, [...kept, last.slice(0, last.length / 2)].join('\n'));

    const status = await headspark(
      ['study', 'status', join(kind, 'study.yaml'), '--out', join(kind, 'killed'), '--json'],
      { cwd },
    );
    const { kinds } = JSON.parse(status.stdout) as { kinds: { kind: string; begun: number }[] };
    expect(kinds.find((one) => one.kind === kind)).toMatchObject({ begun: 1 });

    const second = await killedAt(kind, {
      out: 'killed',
      // What was torn is there again, the same.
      when: (lines) => lines.length > whole + 10 && lines.includes(last),
      more: ['--threads', '1', '--memory', '64M'],
    });
    expect(second).toBe(journal);
    const after = await linesOf(journal);
    // What was whole is as it was and comes once.
    expect(after.slice(0, kept.length)).toEqual(kept);
    expect(new Set(after).size).toBe(after.length);

    expect((await headspark(args(kind, 'killed', '--threads', '3'), { cwd })).code).toBe(0);
    const digests = await digest(join(cwd, kind, 'killed'));
    expect(Object.keys(digests).some((name) => name.startsWith(`results/${kind}/`))).toBe(true);
    expect(digests).toEqual(await digest(join(cwd, kind, 'whole')));
    expect(await readdir(join(cwd, kind, 'killed', 'work'))).toEqual([]);
  }, 240_000);
});

describe('the stage attribution', () => {
  it('goes on from the pairs that its journal holds, to the same bytes', async () => {
    await mkdir(join(cwd, 'scores'));
    await writeFile(join(cwd, 'scores', 'study.yaml'), scores);
    const run = (out: string, onStart?: (child: ChildProcess) => void) =>
      headspark(
        [
          ...['study', 'run', join('scores', 'study.yaml'), '--only', 'attribution'],
          ...['--threads', '1', '--out', join('scores', out)],
        ],
        { cwd, ...(onStart ? { onStart } : {}) },
      );
    expect((await run('whole')).code).toBe(0);
    let child: ChildProcess | undefined;
    const ended = run('killed', (started) => (child = started));
    const work = join(cwd, 'scores', 'killed', 'work');
    let journal: string | undefined;
    while (child?.exitCode === null && !journal) {
      await setTimeout(10);
      const names = await readdir(work, { recursive: true }).catch(() => []);
      journal = names.find((name) => name.endsWith('scores.journal'));
    }
    child?.kill('SIGKILL');
    expect((await ended).code).toBeNull();
    const { clean } = JSON.parse(await readFile(join(work, journal!), 'utf8')) as {
      clean: number[];
    };
    expect(clean.length).toBeGreaterThan(3);
    expect(clean.length).toBeLessThan(64);
    expect((await run('killed')).code).toBe(0);
    const digests = await digest(join(cwd, 'scores', 'killed'));
    expect(Object.keys(digests).some((name) => name.startsWith('results/attribution/'))).toBe(true);
    expect(digests).toEqual(await digest(join(cwd, 'scores', 'whole')));
    expect(await readdir(work)).toEqual([]);
  }, 120_000);
});
