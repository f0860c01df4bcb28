// Who works on a run right now, and what those leave who were killed.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
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
  expect((await readdir(folder)).sort()).toEqual(['alive.json', 'far.json', 'torn-now.json.tmp']);
});
