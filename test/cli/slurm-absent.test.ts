// `headspark study` where Slurm is absent, or its queue no longer knows a job: stand-ins for
// squeue, sbatch and sacct that say what the real ones say (the real ones are in slurm.test.ts).
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { smallStudy } from '../native/study/small-study.js';
import { headspark, newFolder } from './bin.js';

let cwd: string;

const study = ['study', 'run', 'study.yaml', '--out', 'run'];

/** A PATH with nothing but these commands. */
async function only(commands: Record<string, string>): Promise<{ PATH: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'headspark-path-'));
  for (const [name, text] of Object.entries(commands)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return { PATH: folder };
}

const submits = {
  squeue: ':',
  sbatch: 'read n <"$0.count" || n=40\nn=$((n+1))\necho $n >"$0.count"\necho "$n;cluster"',
};

beforeAll(async () => {
  cwd = await newFolder();
  await writeFile(join(cwd, 'study.yaml'), smallStudy);
});

describe('without Slurm', () => {
  it('says that it is absent, and keeps the scripts', async () => {
    const environment = await only({});
    const { code, stderr } = await headspark([...study, '--slurm'], { cwd, environment });
    expect(stderr).toMatch(/squeue could not be started \(ENOENT\); run this where Slurm is/);
    expect(code).toBe(1);
    expect(await readdir(join(cwd, 'run', 'slurm'))).toContain('submit.sh');
  }, 60_000);

  it('says it also where only sbatch is absent', async () => {
    const environment = await only({ squeue: ':' });
    const { code, stderr } = await headspark([...study, '--slurm'], { cwd, environment });
    expect(stderr).toMatch(/sbatch could not be started.*by hand: submit\.sh.*FILE_NOT_FOUND/s);
    expect(code).toBe(1);
  }, 60_000);

  it.each([
    [['--slurm', '--shard', '1/2'], /--slurm divides the study itself: leave --shard out/],
    [['--tasks', '4'], /--tasks needs --slurm/],
    [['--no-submit'], /--no-submit needs --slurm/],
    [['--slurm', '--device', 'auto'], /device auto may mean another device on every node/],
    [
      ['--slurm', '--time', 'long'],
      /the Slurm option time "long" does not fit: expected minutes, HOURS/,
    ],
    [
      ['--slurm', '--gpus', 'many'],
      /the Slurm option gpus "many" does not fit: expected a number of GPUs/,
    ],
    [['--slurm', '--partition', 'a"b'], /option partition .*without quotes/],
    [['--slurm', '--tasks', '0'], /--tasks needs a whole number from 1/],
  ])('refuses %j', async (more, message) => {
    const { code, stderr } = await headspark([...study, ...more], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});

describe('status', () => {
  const status = ['study', 'status', 'study.yaml', '--out', 'known'];

  it('tells of tasks that the queue has forgotten, with what the accounts know', async () => {
    const environment = await only(submits);
    const args = ['study', 'run', 'study.yaml', '--out', 'known', '--slurm', '--tasks', '2'];
    const { code, stderr } = await headspark(args, { cwd, environment });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const jobs = await readFile(join(cwd, 'known', 'slurm', 'jobs.jsonl'), 'utf8');
    expect(jobs.split('\n')[1]).toBe('{"job":42,"stage":"attribution","tasks":[1,2]}');

    const without = await headspark(status, { cwd, environment });
    expect(without.stdout).toContain(
      'attribution, task 2 of 2 (job 42_2) is no longer known to the queue',
    );
    expect(without.stdout).toContain('study run study.yaml --out known --slurm');

    await mkdir(join(cwd, 'known', 'slurm', 'logs'), { recursive: true });
    await writeFile(join(cwd, 'known', 'slurm', 'logs', 'attribution-2.log'), 'killed\n');
    const accounts = { ...submits, sacct: 'echo "42_1|TIMEOUT"; echo "42_2|CANCELLED by 1000"' };
    const told = await headspark(status, { cwd, environment: await only(accounts) });
    expect(told.stdout).toMatch(
      /task 1 of 2 \(job 42_1\) ended as TIMEOUT without all its results/,
    );
    expect(told.stdout).toMatch(/task 2 of 2 \(job 42_2\) ended as CANCELLED .*attribution-2\.log/);
  }, 60_000);

  it('goes without the queue where it does not answer', async () => {
    const fails = {
      squeue: 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1',
    };
    for (const [commands, message] of [
      [{}, /squeue could not be started/],
      [fails, /squeue could not be asked: slurm_load_jobs error: Unable to contact/],
    ] as const) {
      const environment = await only(commands);
      const { code, stdout, stderr } = await headspark(status, { cwd, environment });
      expect(stderr).toMatch(message);
      expect(stdout).toMatch(/attribution +10 +0/);
      expect(code).toBe(0);
    }
  }, 60_000);
});
