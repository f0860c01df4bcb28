// Outputs that cannot be written are refused before anything else is looked at: none of the models,
// scores and runs named here exist.
import { spawnSync } from 'node:child_process';
import { mkdir, open, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { base, bin, headspark, newFolder, pairs, type Ended } from './bin.js';

const below = (option: string, path: string): RegExp =>
  new RegExp(
    `${option} ${path} cannot be written \\(a part of its path is a file, not a folder\\)`,
  );
const ablate = ['ablate', 'none', '--heads', '0.1', '--pairs', 'none.jsonl'];
const solve = ['ablate', 'none', '--heads', '0.1', '--generate', '--benchmark', 'none'];
const evaluate = ['evaluate', 'none', '--benchmark', 'none'];
const made = ['pairs', 'none', '--task', 'ioi'];
const heads = ['heads', 'none', '--pairs', 'none.jsonl'];

/** In a folder with the file `file` and the folders `a.json` and `a.json.journal`. */
const cases: [string, string[], RegExp][] = [
  ['pairs --out', [...made, '--out', 'file/p.jsonl'], below('--out', 'file/p.jsonl')],
  ['pairs --csv', [...made, '--csv', 'file/p.csv'], below('--csv', 'file/p.csv')],
  ['attribute --out', ['attribute', 'none', '--out', 'file/s.json'], below('--out', 'file/s.json')],
  [
    'attribute --out',
    ['attribute', 'none', '--out', 'a.json'],
    /--out a\.json is a folder; name a/,
  ],
  ['attribute --out', ['attribute', 'none', '--out', 'no/s.pt'], /the folder no does not exist\./],
  [
    'circuit --out',
    ['circuit', 'none.json', '--top-n', '1', '--out', 'file/c.json'],
    below('--out', 'file/c.json'),
  ],
  ['diff --out', ['diff', 'a', 'b', '--out', 'file/d.json'], below('--out', 'file/d.json')],
  ['diff --csv', ['diff', 'a', 'b', '--csv', 'file/d.csv'], below('--csv', 'file/d.csv')],
  ['ablate --out', [...ablate, '--out', 'file/a.json'], below('--out', 'file/a.json')],
  ['ablate --csv', [...ablate, '--csv', 'file/a.csv'], below('--csv', 'file/a.csv')],
  ['ablate --journal', [...ablate, '--journal', 'file/j'], below('--journal', 'file/j')],
  ['ablate --journal', [...ablate, '--journal', 'a.json'], /--journal a\.json is a folder; name a/],
  ['ablate --generate', [...solve, '--out', 'file/a.json'], below('--out', 'file/a.json')],
  ['evaluate --out', [...evaluate, '--out', 'b.json'], /--out b\.json\.journal is a folder; name/],
  [
    'evaluate --parquet',
    [...evaluate, '--parquet', 'file/e.parquet'],
    below('--parquet', 'file/e.parquet'),
  ],
  ['evaluate --journal', [...evaluate, '--journal', 'file/j'], below('--journal', 'file/j')],
  ['merge --csv', ['merge', 'none', '--csv', 'file/m.csv'], below('--csv', 'file/m.csv')],
  [
    'generate --out',
    ['generate', 'none', '--prompt', 'x', '--out', 'file/g.jsonl'],
    below('--out', 'file/g.jsonl'),
  ],
  ['heads --out', [...heads, '--out', 'file'], /--out file is a file; name a folder\./],
  ['heads --out', [...heads, '--out', '/proc/none/h'], /--out \/proc\/none\/h cannot be written\b/],
  ['heads --csv', [...heads, '--csv', 'file/h.csv'], below('--csv', 'file/h.csv')],
  [
    'heads --parquet',
    [...heads, '--parquet', 'file/h.parquet'],
    below('--parquet', 'file/h.parquet'),
  ],
  [
    'study run --out',
    ['study', 'run', 'none.yaml', '--out', 'file'],
    /--out file is a file; name a/,
  ],
  [
    'study merge --out',
    ['study', 'merge', 'none', '--out', 'file'],
    /--out file is a file; name a/,
  ],
  ['report --out', ['report', 'none', '--out', 'file/r.html'], below('--out', 'file/r.html')],
  ['report --figures', ['report', 'none', '--figures', 'file/f/g'], below('--figures', 'file/f/g')],
  ['demo --out', ['demo', '--out', 'file'], /--out file is a file; name a folder\./],
];

describe('an output that cannot be written', () => {
  it.each(cases)('%s %j', async (_, args, message) => {
    const cwd = await newFolder();
    await writeFile(join(cwd, 'file'), '');
    await mkdir(join(cwd, 'a.json'));
    await mkdir(join(cwd, 'b.json.journal'));
    const { code, stdout, stderr } = await headspark(args, { cwd });
    expect(stderr).toMatch(message);
    expect(stderr).toContain('[ERR_HEADSPARK_FILE_WRITE]');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });
});

describe('an output that is what the command reads, or writes elsewhere', () => {
  const places = ['--pairs', 'p.csv', '--heads', '0.1'];
  it.each<[string[], string, string]>([
    [['attribute', 'none', '--pairs', 'p.json', '--out', 'p.json'], '--out', '--pairs'],
    [['attribute', 'none', '--out', 's.pt', '--out', './s.pt'], '--out', '--out'],
    [['circuit', 's.json', '--top-n', '1', '--out', 's.json'], '--out', '<scores>'],
    [['diff', 'a.json', 'b.json', '--out', 'link.json'], '--out', '<post>'],
    [['ablate', 'none', ...places, '--csv', 'p.csv'], '--csv', '--pairs'],
    [['ablate', 'none', ...places, '--out', 'o.json', '--journal', 'o.json'], '--out', '--journal'],
    [['evaluate', 'none', '--benchmark', 'm.json', '--out', 'm.json'], '--out', '--benchmark'],
    [['generate', 'none', '--prompts', 'x.jsonl', '--out', 'x.jsonl'], '--out', '--prompts'],
    [['heads', 'none', '--pairs', 'p.csv', '--csv', 'p.csv'], '--csv', '--pairs'],
    [['merge', 'a.json', 'b.json', '--out', 'b.json'], '--out', '<journals>'],
    [['report', 'run', '--out', 'r.html', '--figures', 'r.html'], '--out', '--figures'],
  ])('%j', async (args, option, other) => {
    const cwd = await newFolder();
    await writeFile(join(cwd, 'b.json'), 'as it was');
    await symlink('b.json', join(cwd, 'link.json'));
    const { code, stdout, stderr } = await headspark(args, { cwd });
    const [one, two] = [option, other].map((name) => `${name} \\S+`);
    const said = new RegExp(
      `^headspark: (${one} would overwrite ${two}|${one} and ${two} are one)`,
    );
    expect(stderr).toMatch(said);
    expect(stderr).toContain('[ERR_HEADSPARK_INVALID_ARGUMENT]');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect([code, stdout]).toEqual([1, '']);
    expect((await readdir(cwd)).sort()).toEqual(['b.json', 'link.json']);
    expect(await readFile(join(cwd, 'b.json'), 'utf8')).toBe('as it was');
  });
});

it('leaves nothing behind where it could be written', async () => {
  const cwd = await newFolder();
  await writeFile(join(cwd, 'h.csv'), 'as it was');
  const outputs = ['--out', 'deep/folder', '--csv', 'h.csv', '--parquet', 'h.parquet'];
  const { code, stderr } = await headspark([...heads, ...outputs], { cwd });
  expect(stderr).toMatch(/the model "none" is neither/);
  expect(code).toBe(1);
  expect(await readdir(cwd)).toEqual(['h.csv']);
});

it.each([[['doctor']], [['doctor', '--json']], [['diff', '--help']]])(
  'standard output on a full disk: %j',
  async (args) => {
    const full = await open('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [bin, ...args], {
      stdio: ['ignore', full.fd, 'pipe'],
      encoding: 'utf8',
    });
    await full.close();
    expect(stderr).toBe(
      'headspark: standard output cannot be written (no space left on the disk); ' +
        'free some space and run again. [ERR_HEADSPARK_FILE_WRITE]\n',
    );
    expect(status).toBe(1);
  },
);

describe('a reader that has seen enough', () => {
  const piped = async (args: readonly string[], cwd: string): Promise<Ended> =>
    headspark(args, {
      cwd,
      onStart: (child) => child.stdout!.destroy(),
    });

  it('costs no file', async () => {
    const cwd = await newFolder();
    const args = ['attribute', base, '--pairs', pairs, '--out', 'scores.json'];
    const { code, stderr } = await piped(args, cwd);
    expect(stderr).not.toMatch(/headspark:/);
    expect(code).toBe(0);
    expect(await readdir(cwd)).toEqual(['scores.json', 'scores.json.pairs.npy']);
  });

  it('ends what prints alone, long before it is done', async () => {
    // Minutes of completions; the test's time is up before.
    const args = [
      ...['generate', base, '--prompt', '3+4'],
      '--samples',
      '60000',
      '--temperature',
      '1',
    ];
    const { code, stdout } = await piped(args, await newFolder());
    expect(code).toBe(0);
    expect(stdout).toBe('');
  });
});
