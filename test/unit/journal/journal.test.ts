// Journal, settings, lock file and atomic writes in one process.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, open as openFile, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  canonicalJson,
  differingKeys,
  Journal,
  readJournal,
  settingsHash,
  writeFileAtomic,
  writeJournal,
} from '../../../lib/journal.js';
import { decodeLine, encodeLine } from '../../../lib/journal-line.js';
import { lockFile } from '../../../lib/lock-file.js';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-journal-'));
  path = join(folder, 'run.journal');
});
afterEach(() => rm(folder, { recursive: true }));

const settings = { model: 'm', ig: { steps: 5, grid: 'left' }, seeds: [1, 2] };
const open = (change: Record<string, unknown> = {}): Promise<Journal> =>
  Journal.open({ path, settings: { ...settings, ...change } });

async function fill(count: number): Promise<void> {
  const journal = await open();
  for (let index = 0; index < count; index++) await journal.append(`k${index}`, { index, x: 0.1 });
  await journal.close();
}

describe('writeJournal', () => {
  it('writes what appends in that order would have written', async () => {
    await fill(3);
    const whole = join(folder, 'whole.journal');
    const records = [0, 1, 2].map((index) => [`k${index}`, { index, x: 0.1 }] as const);
    await writeJournal(whole, settings, records);
    expect(await readFile(whole, 'utf8')).toBe(await readFile(path, 'utf8'));
    expect([...(await readJournal(whole)).records]).toEqual(records);
    // Another order is another file with the same content.
    await writeJournal(whole, settings, [...records].reverse());
    expect(Object.fromEntries((await readJournal(whole)).records)).toEqual(
      Object.fromEntries(records),
    );
  });
});

describe('Journal', () => {
  it('keeps records over reopening', async () => {
    await fill(3);
    const journal = await open();
    expect(journal.keys()).toEqual(['k0', 'k1', 'k2']);
    expect(journal.has('k1')).toBe(true);
    expect(journal.has('k3')).toBe(false);
    expect(journal.get('k2')).toEqual({ index: 2, x: 0.1 });
    await journal.append('k3', -0);
    await journal.close();
    const again = await open();
    expect(again.size).toBe(4);
    expect(again.get('k3')).toBe(0);
    await again.close();
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(5);
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
  });

  it('gives back in this run what a resumed run would read', async () => {
    const journal = await open();
    const value = { b: 1, a: { d: [1e-300, 0.1 + 0.2], c: undefined } };
    await journal.append('k', value);
    const now = JSON.stringify(journal.get('k'));
    await journal.close();
    const later = await open();
    expect(JSON.stringify(later.get('k'))).toBe(now);
    expect(now).toBe('{"a":{"d":[1e-300,0.30000000000000004]},"b":1}');
    await later.close();
  });

  it('cuts a torn end off at every length', async () => {
    await fill(3);
    const whole = await readFile(path);
    const starts = [0];
    for (let at = whole.indexOf(10); at >= 0; at = whole.indexOf(10, at + 1)) starts.push(at + 1);
    for (let length = 0; length < whole.length; length += 3) {
      await writeFile(path, whole.subarray(0, length));
      const journal = await open();
      const complete = starts.filter((start) => start <= length).length - 1;
      expect(journal.size).toBe(Math.max(0, complete - 1));
      for (let index = journal.size; index < 3; index++) {
        await journal.append(`k${index}`, { index, x: 0.1 });
      }
      await journal.close();
      expect(await readFile(path)).toEqual(whole);
    }
  });

  it('cuts damaged lines at the end', async () => {
    await fill(3);
    const whole = await readFile(path);
    const flipped = Buffer.from(whole);
    flipped[whole.length - 5] ^= 1;
    await writeFile(path, Buffer.concat([flipped, Buffer.alloc(50)]));
    const journal = await open();
    expect(journal.keys()).toEqual(['k0', 'k1']);
    await journal.close();
    expect(await readdir(folder)).toEqual(['run.journal']);
  });

  /** With the second record, on line 3, damaged. */
  async function damageMiddle(): Promise<Buffer> {
    await fill(4);
    const bytes = await readFile(path);
    const line = bytes.indexOf(10, bytes.indexOf(10) + 1);
    bytes.fill(0, line + 20, line + 30);
    await writeFile(path, bytes);
    return bytes;
  }

  it.each([
    ['keeps what stands by itself around', false, ['k0', 'k2', 'k3']],
    ['keeps what stands before, of records in order,', true, ['k0']],
  ])('%s a damaged line, and the file as it was', async (_, inOrder, kept) => {
    const bytes = await damageMiddle();
    const remarks: string[] = [];
    const onRemark = (remark: string) => remarks.push(remark);
    const journal = await Journal.open({ path, settings, inOrder, onRemark });
    expect(journal.keys()).toEqual(kept);
    for (const key of ['k1', 'k2', 'k3'].filter((name) => !kept.includes(name))) {
      await journal.append(key, { index: Number(key.slice(1)), x: 0.1 });
    }
    await journal.close();
    expect(remarks).toEqual([
      `${path}:3: a line is damaged: ${kept.length} finished records are kept, what is lost is computed ` +
        `again; ${path}.damaged is the journal as it was.`,
    ]);
    expect(await readFile(`${path}.damaged`)).toEqual(bytes);
    expect((await readJournal(path)).records.size).toBe(4);
    const again = await Journal.open({ path, settings, inOrder, onRemark });
    await again.close();
    expect(remarks).toHaveLength(1);
    expect((await readdir(folder)).sort()).toEqual(['run.journal', 'run.journal.damaged']);
  });

  it('is not read as a whole one with a damaged line', async () => {
    await damageMiddle();
    await expect(readJournal(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message:
        `${path}:3: the line is damaged; run the command that wrote the journal again, which computes ` +
        'what is lost again.',
    });
  });

  it('never touches a file that is not a journal', async () => {
    for (const text of ['notes\n', '{"clean": [1]}', '{"crc":"00000000","a":1}\n', 'x']) {
      await writeFile(path, text);
      await expect(open()).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CORRUPT' });
      expect(await readFile(path, 'utf8')).toBe(text);
    }
    await writeFile(path, encodeLine({ format: 'other' }));
    await expect(open()).rejects.toThrow('not a headspark journal');
    await writeFile(path, encodeLine({ format: 'headspark-journal', version: 9, settings }));
    await expect(open()).rejects.toThrow('format version 9');
    expect((await readdir(folder)).sort()).toEqual(['run.journal']);
  });

  it('names the settings that differ', async () => {
    await fill(1);
    await expect(open({ ig: { steps: 6, grid: 'left' }, metric: 'kl' })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringContaining(
        'ig.steps (journal: 5, now: 6), metric (journal: absent, now: "kl")',
      ) as string,
    });
    const reordered = await Journal.open({
      path,
      settings: { seeds: [1, 2], ig: { grid: 'left', steps: 5 }, model: 'm' },
    });
    await reordered.close();
  });

  it('orders appends of several callers, and writes each once', async () => {
    const journal = await Journal.open({ path, settings, syncEvery: 7 });
    const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => journal.append(key, key)));
    await expect(journal.append('k3', 1)).rejects.toThrow('already has a record "k3"');
    await journal.close();
    await journal.close();
    await expect(journal.append('late', 1)).rejects.toThrow('closed');
    expect(journal.has('late')).toBe(false);
    const again = await open();
    expect(again.keys()).toEqual(keys);
    await again.close();
  });

  it('refuses values that JSON would change', async () => {
    const journal = await open();
    for (const [value, part] of [
      [{ a: [1, NaN] }, 'value.a[1] is NaN'],
      [Infinity, 'value is Infinity'],
      [{ scores: Float32Array.of(1) }, 'a Float32Array'],
      [undefined, 'type undefined'],
      [() => 1, 'type function'],
      [[undefined], 'value'],
    ] as const) {
      await expect(journal.append('bad', value)).rejects.toThrow(part);
    }
    expect(journal.size).toBe(0);
    await journal.close();
  });

  it('is one process at a time', async () => {
    const journal = await open();
    await expect(open()).rejects.toThrow(`process ${process.pid}`);
    await journal.close();
    await (await open()).close();
    expect(await readdir(folder)).toEqual(['run.journal']);
    const nowhere = { path: join(folder, 'no', 'run'), settings };
    await expect(Journal.open(nowhere)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_WRITE',
      message: `${nowhere.path} cannot be written: the folder ${join(folder, 'no')} does not exist.`,
    });
  });

  it('says how to go on when the disk is full, and goes on', async () => {
    const probe = await openFile(join(folder, 'probe'), 'w');
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    await rm(join(folder, 'probe'));
    const journal = await open();
    await journal.append('a', 1);
    const full = Object.assign(new Error('ENOSPC: raw'), { code: 'ENOSPC', errno: -28 });
    const append = vi.spyOn(handles, 'appendFile').mockRejectedValue(full);
    const sentence = `${path} cannot be written (no space left on the disk); free some space and run again to go on.`;
    const error = { code: 'ERR_HEADSPARK_FILE_WRITE', message: sentence };
    await expect(journal.append('b', 2)).rejects.toMatchObject(error);
    await expect(journal.close()).rejects.toMatchObject(error);
    append.mockRestore();
    const write = vi.spyOn(handles, 'writeFile').mockRejectedValue(full);
    await expect(open()).rejects.toMatchObject(error);
    write.mockRestore();
    expect(await readdir(folder)).toEqual(['run.journal']);
    const again = await open();
    expect(again.keys()).toEqual(['a']);
    await again.close();
  });
});

describe('lockFile', () => {
  const owner = (change: Record<string, unknown>): string =>
    JSON.stringify({ pid: process.pid, host: hostname(), started: '0', token: 't', ...change });
  const take = (): ReturnType<typeof lockFile> => lockFile(join(folder, 'a.lock'), 'the file');

  it('takes over from a process that has ended', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    await writeFile(join(folder, 'a.lock'), owner({ pid: dead }));
    const lock = await take();
    await expect(take()).rejects.toThrow('in use');
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('tells a reused process id apart', async () => {
    await writeFile(join(folder, 'a.lock'), owner({ started: '1' }));
    await (await take()).release();
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    await writeFile(join(folder, 'a.lock'), owner({ started }));
    await expect(take()).rejects.toThrow('in use');
  });

  it('respects other hosts and locks it cannot read', async () => {
    for (const text of [owner({ host: 'elsewhere' }), 'not json', '{}', owner({ pid: -1 })]) {
      await writeFile(join(folder, 'a.lock'), text);
      await expect(take()).rejects.toMatchObject({ code: 'ERR_HEADSPARK_INVALID_ARGUMENT' });
    }
  });

  it('lets one of many takers of a stale lock win', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    await writeFile(join(folder, 'a.lock'), owner({ pid: dead }));
    const taken = await Promise.allSettled(Array.from({ length: 12 }, take));
    expect(taken.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  });
});

describe('writeFileAtomic', () => {
  it('replaces a file and leaves nothing behind', async () => {
    const file = join(folder, 'out.json');
    await writeFileAtomic(file, 'one');
    await writeFileAtomic(file, Buffer.from('two'));
    expect(await readFile(file, 'utf8')).toBe('two');
    expect(await readdir(folder)).toEqual(['out.json']);
    await expect(writeFileAtomic(join(folder, 'no', 'x'), '')).rejects.toThrow('does not exist');
    await expect(writeFileAtomic(folder, 'x')).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_WRITE',
    });
    expect(await readdir(folder)).toEqual(['out.json']);
  });
});

describe('lines and settings', () => {
  it('checks every byte of a line', () => {
    expect(encodeLine({ key: 'k' })).toBe('{"crc":"f1a5930a","key":"k"}\n');
    const line = Buffer.from(encodeLine({ key: 'ä', value: [1, null] })).subarray(0, -1);
    expect(decodeLine(line)).toMatchObject({ key: 'ä', value: [1, null] });
    for (let at = 0; at < line.length; at++) {
      const broken = Buffer.from(line);
      broken[at] ^= 4;
      expect(decodeLine(broken)).toBeUndefined();
    }
  });

  it('hashes settings by content', () => {
    expect(canonicalJson({ b: 1, a: { d: null, c: 'x' }, e: undefined })).toBe(
      '{"a":{"c":"x","d":null},"b":1}',
    );
    expect(settingsHash({ a: 1, b: 2 })).toBe(settingsHash({ b: 2, a: 1 }));
    expect(settingsHash({ a: 1 })).not.toBe(settingsHash({ a: 2 }));
    expect(differingKeys({ a: { b: [1] }, c: 1 }, { a: { b: [2] }, c: 1 })).toEqual([
      { key: 'a.b', left: '[1]', right: '[2]' },
    ]);
  });
});
