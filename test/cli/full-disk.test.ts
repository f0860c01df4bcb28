// A disk that fills while a model answers: what was answered is kept, one sentence says so, and the
// same command then ends in the same bytes as a run with room.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readJournal } from '../../lib/journal.js';
import { headspark, newFolder, root, sft, type Ended } from './bin.js';

const preload = pathToFileURL(join(root, 'test', 'cli', 'full-disk.mjs')).href;
const sampled = ['--samples', '6', '--temperature', '1', '--seed', '3', '--max-new-tokens', '24'];

const generate = [
  ...['generate', sft, '--chat', '--prompt', '1 + 1 =', '--prompt', '7 - 3 ='],
  ...['--heads', '0.5', ...sampled],
];
const evaluate = ['evaluate', sft, '--benchmark', 'demo', '--count', '3', ...sampled];

interface Case {
  readonly args: readonly string[];
  readonly out: string;
  /** Bytes of the journal that the disk has room for: about half of it. */
  readonly room: number;
  readonly total: number;
  readonly unit: string;
}

const commands: [string, Case][] = [
  ['generate', { args: generate, out: 'c.jsonl', room: 2500, total: 24, unit: 'completions' }],
  ['evaluate', { args: evaluate, out: 'r.json', room: 6000, total: 18, unit: 'samples' }],
];

describe.each(commands)('%s', (_, { args, out, room, total, unit }) => {
  let cwd: string;
  let whole: string;
  const journal = `${out}.journal`;

  const run = (environment: Record<string, string> = {}): Promise<Ended> =>
    headspark([...args, '--out', out], { cwd, environment });
  const fullAfter = (bytes: number, call: 'appendFile' | 'writeFile'): Promise<Ended> =>
    run({
      NODE_OPTIONS: `--import ${preload}`,
      FULL_DISK_BYTES: String(bytes),
      FULL_DISK_CALL: call,
    });
  const sentence = (file: string): string =>
    `headspark: ${file} cannot be written (no space left on the disk); free some space and run ` +
    'again to go on. [ERR_HEADSPARK_FILE_WRITE]\n';
  const finished = async (): Promise<number> =>
    (await readJournal(join(cwd, journal))).records.size;

  async function resumes(): Promise<void> {
    const done = await finished();
    const { code, stderr } = await run();
    expect(stderr).toContain(`${journal} holds ${done} of ${total} ${unit}; going on from there.`);
    expect(code).toBe(0);
    expect(await readFile(join(cwd, out), 'utf8')).toBe(whole);
    expect(await readdir(cwd)).toEqual([out]);
  }

  beforeAll(async () => {
    cwd = await newFolder();
    expect((await run()).code).toBe(0);
    whole = await readFile(join(cwd, out), 'utf8');
    cwd = await newFolder();
  });

  it('keeps what was finished when its journal fills the disk', async () => {
    const { code, stderr } = await fullAfter(room, 'appendFile');
    expect(stderr.endsWith(sentence(journal))).toBe(true);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(1);
    expect(await readdir(cwd)).toEqual([journal]);
    expect(await finished()).toBeGreaterThan(3);
    expect(await finished()).toBeLessThan(total);
    await resumes();
  });

  it('keeps all of it when there is no room for the result', async () => {
    cwd = await newFolder();
    const { code, stderr } = await fullAfter(1000, 'writeFile');
    expect(stderr.endsWith(sentence(out))).toBe(true);
    expect(code).toBe(1);
    expect(await finished()).toBe(total);
    await resumes();
  });
});
