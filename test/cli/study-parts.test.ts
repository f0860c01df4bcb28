// `parts` of an ablation in a study, from the real binary: two processes at once, a part that is killed and
// resumed, and other parts, to the bytes of one piece.
import type { ChildProcess } from 'node:child_process';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { readManifest, type RunSummary, type StudyStatus } from '../../lib/study/index.js';
import { grpoAlone } from '../native/study/small-study.js';
import { headspark, newFolder, pairs } from './bin.js';

/** Long enough that a part can be caught at work. */
const studyOf = (parts: number): string => `study: cut
${grpoAlone}tasks:
  - { name: sums, limit: 32, pairs: ${pairs} }
attribution: { metric: prob-diff, ig-steps: 1 }
selection: { rule: top-n, n: 60 }
ablations:
  - { name: named, heads: "0.0,1.1;2.*;3.1,3.2", controls: 500, match: write-norm, parts: ${parts} }
statistics: { null-repeats: 0 }
`;

let cwd: string;
let reference: string;

const args = (action: string, parts: number, out: string): string[] => [
  ...['study', action, `${parts}.yaml`, '--out', out, '--json'],
];

async function run(
  parts: number,
  out: string,
  options: { only?: string; more?: string[]; onStart?: (child: ChildProcess) => void } = {},
) {
  const { only = 'ablation', more = [], onStart } = options;
  return headspark([...args('run', parts, out), '--only', only, ...more], {
    cwd,
    ...(onStart ? { onStart } : {}),
  });
}

/** By kind, how many stages were computed. */
function countsOf({ code, stdout, stderr }: Awaited<ReturnType<typeof run>>) {
  expect(stderr).not.toContain('ERR_');
  expect(code).toBe(0);
  const counts: Record<string, number> = {};
  for (const { kind } of (JSON.parse(stdout) as RunSummary).computed) {
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

async function status(parts: number, out: string): Promise<StudyStatus> {
  const { stdout } = await headspark(args('status', parts, out), { cwd });
  return JSON.parse(stdout) as StudyStatus;
}

/** The table of the last run. */
async function table(out: string): Promise<string> {
  const { stages } = await readManifest(join(cwd, out));
  const { id, key } = stages.find(({ kind }) => kind === 'ablation')!;
  return readFile(join(cwd, out, 'results', 'ablation', `${id}@${key}`, 'ablation.json'), 'utf8');
}

/** How many lines the longest journal of the parts of the first process has. */
async function linesAtWork(out: string): Promise<number> {
  const work = join(cwd, out, 'work');
  const names = await readdir(work, { recursive: true }).catch(() => []);
  const own = names.filter((name) => /[13]-of-4.*journal\.jsonl$/.test(name));
  const texts = await Promise.all(
    own.map((name) => readFile(join(work, name), 'utf8').catch(() => '')),
  );
  return Math.max(0, ...texts.map((text) => text.split('\n').length));
}

beforeAll(async () => {
  cwd = await newFolder();
  for (const parts of [1, 3, 4]) await writeFile(join(cwd, `${parts}.yaml`), studyOf(parts));
  expect(countsOf(await run(1, 'one'))).toEqual({ pairs: 1, variants: 1, ablation: 1 });
  reference = await table('one');
}, 120_000);

describe('parts of an ablation', () => {
  it('come to the table of one piece, in two processes of which one was killed', async () => {
    // What both need, which one of them alone would make.
    expect(countsOf(await run(4, 'cut', { only: 'pairs' }))).toEqual({ pairs: 1 });
    let child: ChildProcess | undefined;
    const first = (more: string[] = []) =>
      run(4, 'cut', {
        only: 'variants',
        more: ['--shard', '1/2', ...more],
        onStart: (one) => (child = one),
      });
    const other = run(4, 'cut', { only: 'variants', more: ['--shard', '2/2'] });
    const killed = first(['--threads', '1']);
    while (child?.exitCode === null && (await linesAtWork('cut')) < 5) await setTimeout(3);
    child?.kill('SIGKILL');
    expect((await killed).code).toBeNull();
    countsOf(await other);
    const between = await status(4, 'cut');
    expect(between.complete).toBe(false);
    countsOf(await first());
    expect((await status(4, 'cut')).kinds.find(({ kind }) => kind === 'variants')).toMatchObject({
      stages: 4,
      done: 4,
    });
    countsOf(await run(4, 'cut'));
    expect(await table('cut')).toBe(reference);
    expect(await readdir(join(cwd, 'cut', 'work'))).toEqual([]);
  }, 120_000);

  it('begin with the variants of other parts, and run none again', async () => {
    await cp(join(cwd, 'one'), join(cwd, 'changed'), { recursive: true });
    expect(countsOf(await run(3, 'changed'))).toEqual({ variants: 3, ablation: 1 });
    expect(await table('changed')).toBe(reference);
    expect(countsOf(await run(1, 'changed'))).toEqual({});
  }, 120_000);

  it('are planned and shown like those of a benchmark', async () => {
    const { nodes } = await status(3, 'none');
    const ids = nodes.filter(({ kind }) => kind === 'variants').map(({ id }) => id);
    expect(ids).toEqual([1, 2, 3].map((part) => `named.post.sums.plain.x0.${part}-of-3`));
    const written = await headspark(
      [...args('run', 3, 'slurm'), '--slurm', '--no-submit', '--tasks', '3', '--only', 'ablation'],
      { cwd },
    );
    const { arrays } = JSON.parse(written.stdout) as {
      arrays: { stage: string; tasks: number[] }[];
    };
    expect(arrays.find(({ stage }) => stage === 'variants')!.tasks).toEqual([1, 2, 3]);
    expect(arrays.find(({ stage }) => stage === 'ablation')!.tasks).toEqual([2]);
    const script = await readFile(join(cwd, 'slurm', 'slurm', 'variants.sbatch'), 'utf8');
    expect(script).toContain('#SBATCH --array="1-3"');
  }, 60_000);
});
