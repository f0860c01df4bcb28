// Locks whose owner ran on another machine: only its Slurm job tells whether it still runs. The
// queue is a stand-in that answers as squeue does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockFile } from '../../lib/lock-file.js';

let folder: string;
let path: string;

const owner = (more: object): string =>
  JSON.stringify({ pid: 1, host: 'another-node', started: '1', token: 'of-another', ...more });

/** squeue that knows job 11 as running and job 12 as over; the others it has forgotten. */
const squeue = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case "$*" in
*--jobs=11\\ *) echo RUNNING ;;
*--jobs=12\\ *) echo FAILED ;;
*--jobs=13\\ *) echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1 ;;
*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1 ;;
esac
`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-lock-'));
  path = join(folder, 'lock');
  await writeFile(join(folder, 'squeue'), squeue);
  await chmod(join(folder, 'squeue'), 0o755);
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH'] ?? ''}`);
  vi.stubEnv('SLURM_JOB_ID', '77');
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a lock that a power cut tore', () => {
  it.each([
    ['empty', ''],
    ['half-written', '{"pid":1'],
    ['full of zeros', '\0'.repeat(90)],
  ])('is taken over, %s', async (_, text) => {
    await writeFile(path, text);
    const lock = await lockFile(path, 'the stage');
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
    await expect(readFile(path)).rejects.toThrow();
  });

  it('is none where it is whole and of an unknown kind', async () => {
    await writeFile(path, '{"owner":"of a later version"}');
    await expect(lockFile(path, 'the stage')).rejects.toThrow(/in use by another process/);
  });
});

describe.runIf(process.platform === 'linux')('a lock of a process that was killed', () => {
  it('is taken over before its parent has noticed', async () => {
    // The shell becomes a sleep, which never waits for the child that the shell began.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 30']);
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(String(line));
      const stat = () => readFile(`/proc/${pid}/stat`, 'utf8');
      await vi.waitFor(async () => expect(await stat()).toContain(') Z '), 5_000);
      const fields = (await stat()).split(') ')[1].split(' ');
      await writeFile(path, owner({ pid, host: hostname(), started: fields[19] }));
      const lock = await lockFile(path, 'the stage');
      await lock.release();
    } finally {
      parent.kill('SIGKILL');
    }
  });
});

describe('a lock of another machine', () => {
  it.each([
    ['of a job that ended', '12'],
    ['of a job that the queue has forgotten', '14'],
    ['of the own job, which was requeued', '77'],
  ])('%s is taken over', async (_, job) => {
    await writeFile(path, owner({ job }));
    const lock = await lockFile(path, 'the stage');
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid, job: '77' });
    await lock.release();
    await expect(readFile(path)).rejects.toThrow();
  });

  it.each([
    ['of a job that runs', { job: '11' }, /in use by process 1 on another-node \(Slurm job 11\)/],
    ['whose queue does not answer', { job: '13' }, /Slurm job 13/],
    ['of no job', {}, /in use by process 1 on another-node\. Wait/],
    ['with a job that is none', { job: '12; rm' }, /in use by process 1 on another-node\. Wait/],
  ])('%s is refused', async (_, more, message) => {
    await writeFile(path, owner(more));
    await expect(lockFile(path, 'the stage')).rejects.toThrow(message);
    expect(await readFile(path, 'utf8')).toBe(owner(more));
  });

  it('does not ask the queue at every attempt', async () => {
    await writeFile(path, owner({ job: '11' }));
    for (let attempt = 0; attempt < 5; attempt++) {
      await expect(lockFile(path, 'the stage')).rejects.toThrow(/in use/);
    }
    const asked = await readFile(join(folder, 'asked'), 'utf8').catch(() => '');
    expect(asked.split('\n').filter(Boolean).length).toBeLessThanOrEqual(1);
  });
});
