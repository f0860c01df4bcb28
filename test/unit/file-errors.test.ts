// What the system refuses, in words: every code has its sentence, and none shows the system's own.
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { HeadsparkError } from '../../lib/errors.js';
import { makeFolder, readError, writeError, writingTo } from '../../lib/file-errors.js';
import { readTextIfExists } from '../../lib/json-file.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** As Node throws it. */
function systemError(code: keyof typeof constants.errno, path = '/tmp/.x.tmp'): Error {
  const raw = new Error(`${code}: of the system, open '${path}'`);
  return Object.assign(raw, { code, errno: -constants.errno[code], path });
}

describe('a file that could not be written', () => {
  it.each([
    ['EACCES', 'x/y cannot be written (permission denied); name another place.'],
    ['EPERM', 'x/y cannot be written (permission denied); name another place.'],
    ['EROFS', 'x/y cannot be written (read-only file system); name another place.'],
    ['ENOSPC', 'x/y cannot be written (no space left on the disk); free some space and run again.'],
    ['EDQUOT', 'x/y cannot be written (disk quota exceeded); free some space and run again.'],
    [
      'EFBIG',
      'x/y cannot be written (larger than a file may be here, see ulimit -f); raise the limit and run again.',
    ],
    ['ENAMETOOLONG', 'x/y cannot be written (the name is too long); give a shorter one.'],
    ['EISDIR', 'x/y is a folder; name a file.'],
    ['EEXIST', 'x/y is a file; name a folder.'],
    ['ENOENT', 'x/y cannot be written: the folder x does not exist.'],
    ['EIO', 'x/y cannot be written (i/o error); name another place.'],
  ] as const)('%s', (code, message) => {
    const cause = systemError(code);
    const error = writeError('x/y', cause);
    expect(error).toMatchObject({ code: 'ERR_HEADSPARK_FILE_WRITE', message, cause });
  });

  it('names what the user named, not what was made of it', async () => {
    const inner = writeError('run.journal.lock', systemError('ENOSPC'));
    const outer = writingTo('run.journal', () => Promise.reject(inner), {
      label: '--journal ',
      resumes: true,
    });
    await expect(outer).rejects.toThrow(
      '--journal run.journal cannot be written (no space left on the disk); ' +
        'free some space and run again to go on.',
    );
  });

  it('leaves other errors alone', () => {
    const bug = new TypeError('x is not a function');
    const mistake = new HeadsparkError('ERR_HEADSPARK_TENSOR_VALUE', 'a score is NaN.');
    for (const error of [bug, mistake]) {
      expect(writeError('x', error)).toBe(error);
      expect(readError('x', error)).toBe(error);
    }
  });

  it('is what the system really says', async () => {
    await writeFile(join(folder, 'file'), '');
    for (const [path, message] of [
      [folder, /is a folder; name a file\.$/],
      [join(folder, 'no', 'x'), /cannot be written: the folder \S+no does not exist\.$/],
      [join(folder, 'file', 'x'), /\(a part of its path is a file, not a folder\)/],
      [join(folder, 'x'.repeat(300)), /\(the name is too long\); give a shorter one\.$/],
    ] as const) {
      const error: unknown = await writeFileAtomic(path, 'text').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'ERR_HEADSPARK_FILE_WRITE' });
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toMatch(/E[A-Z]{4,}|\.tmp/);
    }
    expect(await readdir(folder)).toEqual(['file']);
  });
});

describe('a file that could not be read', () => {
  it.each([
    ['ENOENT', 'x does not exist.'],
    ['EISDIR', 'x is a folder; name a file.'],
    ['EACCES', 'x cannot be read (permission denied).'],
  ] as const)('%s', (code, message) => {
    expect(readError('x', systemError(code))).toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message,
    });
  });

  it('may be a folder', async () => {
    await expect(readTextIfExists(folder)).rejects.toThrow(`${folder} is a folder; name a file.`);
  });
});

describe('makeFolder', () => {
  it('makes what is missing, and takes what is there', async () => {
    const deep = join(folder, 'a', 'b', 'c');
    await makeFolder(deep);
    await makeFolder(deep);
    expect((await stat(deep)).isDirectory()).toBe(true);
  });

  it.each([[''], ['below/it']])('names the file that is in its place: %s', async (below) => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(makeFolder(join(file, below))).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_WRITE',
      message: `${file} is a file; name a folder.`,
    });
  });

  it('ends where the system has no place for folders', async () => {
    await expect(makeFolder('/proc/x/y')).rejects.toThrow(/^\/proc\/x cannot be written \(/);
  });
});
