// What a process leaves behind that is killed while it writes, and who may clear it away.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clearTemporaryFiles, writeFileAtomic } from '../../lib/atomic-file.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** The id of a process that is over. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

it('clears away temporary files of processes of this machine that are gone', async () => {
  const dead = deadPid();
  const kept = [
    `.a.json.${process.pid}.0123abcd@${hostname()}.tmp`,
    `.a.json.${dead}.0123abcd@another-node.tmp`,
    `.a.json.${dead}.tmp`,
    `a.json.${dead}.0123abcd@${hostname()}.tmp`,
    'a.json',
  ];
  for (const name of [...kept, `.a.json.${dead}.0123abcd@${hostname()}.tmp`]) {
    await writeFile(join(folder, name), '');
  }
  await clearTemporaryFiles(folder);
  expect((await readdir(folder)).sort()).toEqual(kept.sort());
  await clearTemporaryFiles(join(folder, 'nowhere'));
});

it('clears away what a process really left that was killed while it wrote', async () => {
  const module = fileURLToPath(new URL('../../dist/atomic-file.js', import.meta.url));
  // The rename never happens: the process dies in the moment before.
  const script = `
    const files = await import('node:fs/promises');
    const { writeFileAtomic } = await import(${JSON.stringify(module)});
    const watcher = files.watch(${JSON.stringify(folder)})[Symbol.asyncIterator]();
    void watcher.next().then(() => process.kill(process.pid, 'SIGKILL'));
    await writeFileAtomic(${JSON.stringify(join(folder, 'big.bin'))}, new Uint8Array(256e6));`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  expect(signal).toBe('SIGKILL');
  const left = await readdir(folder);
  expect(left).toHaveLength(1);
  expect(left[0]).toMatch(/^\.big\.bin\..*\.tmp$/);
  await writeFileAtomic(join(folder, 'other.txt'), 'whole');
  await clearTemporaryFiles(folder);
  expect(await readdir(folder)).toEqual(['other.txt']);
});
