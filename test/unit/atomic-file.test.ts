// What a process leaves behind that is killed while it writes, and who may clear it away.
import { spawnSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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

it.each([
  ['a file', 'scratch/a.json', 'old'],
  ['nothing yet', 'scratch/a.json', undefined],
  ['another link', 'second.json', 'old'],
])('writes to what a link leads to: %s', async (_, target, old) => {
  await mkdir(join(folder, 'scratch'));
  const place = join(folder, 'scratch', 'a.json');
  if (old !== undefined) await writeFile(place, old);
  await symlink(join('scratch', 'a.json'), join(folder, 'second.json'));
  const link = join(folder, 'first.json');
  await symlink(target, link);
  await writeFileAtomic(link, 'new');
  expect((await lstat(link)).isSymbolicLink()).toBe(true);
  expect(await readFile(place, 'utf8')).toBe('new');
  expect(await readdir(join(folder, 'scratch'))).toEqual(['a.json']);
});

it('clears away what a killed process left of the file that it writes, and of no other', async () => {
  const leftOf = (name: string) => `.${name}.${deadPid()}.0123abcd@${hostname()}.tmp`;
  const other = leftOf('b.json');
  for (const name of [leftOf('a.json'), other]) await writeFile(join(folder, name), 'half');
  await writeFileAtomic(join(folder, 'a.json'), 'whole');
  expect((await readdir(folder)).sort()).toEqual([other, 'a.json']);
});

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
