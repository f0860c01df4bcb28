// Who works on a run right now, and what those leave who were killed.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { thisProcess } from '../../../lib/lock-file.js';
import { Announcement, readRunning } from '../../../lib/study/running.js';

let run: string;
let folder: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'headspark-running-'));
  folder = join(run, 'running');
  await mkdir(folder);
});
afterEach(() => rm(run, { recursive: true }));

const dead = spawnSync(process.execPath, ['-e', '']).pid;

/** A word of a process; `minutes` ago. */
async function said(name: string, of: object | string, minutes = 0): Promise<void> {
  const path = join(folder, name);
  const owner = { pid: dead, host: hostname(), started: '1', token: name };
  const stage = { kind: 'circuit', id: name, share: 0.5, since: 1 };
  await writeFile(path, typeof of === 'string' ? of : JSON.stringify({ ...owner, ...of, stage }));
  const when = Date.now() / 1000 - 60 * minutes;
  await utimes(path, when, when);
}

it('clears the words of killed processes away when a process ends', async () => {
  await said('dead.json', {});
  await said('dead.json.tmp', {});
  await said('torn-long-ago.json.tmp', '{"pid":1', 10);
  await said('torn-now.json.tmp', '{"pid":1');
  // Killed between opening and writing: only the name tells whose it was.
  await said(`.empty.json.${dead}.0123abcd@${hostname()}.tmp`, '');
  const fromAfar = `.empty.json.${dead}.0123abcd@another-node.tmp`;
  await said(fromAfar, '');
  await said(`.old.json.${dead}.0123abcd@another-node.tmp`, '', 10);
  const goingOn = `.empty.json.${process.pid}.0123abcd@${hostname()}.tmp`;
  await said(goingOn, '');
  await said('far.json', { host: 'another-node' });
  await said('far-and-silent.json', { host: 'another-node' }, 10);
  await said('alive.json', thisProcess());
  await said('other-process-of-that-id.json', { pid: process.pid, started: '1' });
  const own = new Announcement(run);
  own.update('circuit', 'own', 0.25);
  const { processes, stages } = await readRunning(run);
  expect(processes).toBeGreaterThanOrEqual(2);
  const seen = stages.map(({ id }) => id);
  expect(seen).toEqual(expect.arrayContaining(['alive.json', 'far.json']));
  expect(seen).not.toContain('far-and-silent.json');
  await own.end();
  const kept = [fromAfar, goingOn, 'alive.json', 'far.json', 'torn-now.json.tmp'];
  expect((await readdir(folder)).sort()).toEqual(kept.sort());
});

it('clears away what a process left that was killed while it wrote its word', async () => {
  const module = fileURLToPath(new URL('../../../dist/study/running.js', import.meta.url));
  // Killed at the first sign of a file in the folder: as it opens the temporary one.
  const script = `
    const files = await import('node:fs/promises');
    const { Announcement } = await import(${JSON.stringify(module)});
    const watcher = files.watch(${JSON.stringify(folder)})[Symbol.asyncIterator]();
    void watcher.next().then(() => process.kill(process.pid, 'SIGKILL'));
    const announcement = new Announcement(${JSON.stringify(run)});
    for (let id = 0; ; id++) {
      announcement.update('circuit', String(id), 0);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  expect(signal).toBe('SIGKILL');
  expect(await readdir(folder)).not.toEqual([]);
  await new Announcement(run).end();
  expect(await readdir(folder)).toEqual([]);
});
