// `--heads-file` through the real binary: names in tables and files, the same numbers as with --heads,
// shards, and mistakes by their line.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AblationTable } from '../../lib/ablation.js';
import { headspark, newFolder, pairs, sft } from './bin.js';

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
  await writeFile(
    join(cwd, 'sets.jsonl'),
    '{"name": "top, 2", "heads": "1.0,1.1"}\n{"name": "one", "heads": ["a0.h3"]}\n' +
      '{"name": "one again", "heads": "0.3"}\n',
  );
  await writeFile(
    join(cwd, 'sets.csv'),
    'name,heads\n"top, 2","1.0,1.1"\none,0.3\none again,0.3\n',
  );
  await writeFile(
    join(cwd, 'bad.jsonl'),
    '{"name": "a", "heads": "0.1"}\n{"name": "b", "heads": "9.0"}\n',
  );
  const sets = Array.from({ length: 60 }, (_, index) => {
    const heads = `${index % 4}.${Math.floor(index / 4) % 6},${(index + 1) % 4}.${index % 5}`;
    return `${JSON.stringify({ name: `set ${index + 1}`, heads })}\n`;
  });
  await writeFile(join(cwd, 'many.jsonl'), sets.join(''));
});

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await headspark(args, { cwd });
  expect(code, stderr).toBe(0);
  return stdout;
}
const read = (name: string): Promise<string> => readFile(join(cwd, name), 'utf8');
const ablate = ['ablate', sft, '--pairs', pairs, '--count', '8', '--controls', '3'];
const quick = ['--resamples', '200'];

describe('ablate --heads-file', () => {
  it('names the rows, with the numbers of --heads', async () => {
    const files = ['--out', 'a.json', '--csv', 'a.csv'];
    const stdout = await done(...ablate, ...quick, '--heads-file', 'sets.jsonl', ...files);
    expect(stdout).toMatch(/^ {2}top, 2 +[\d.-]+ .*\n {2}one +.*\n {2}one again +/m);
    expect(stdout).toMatch(/computed once, and each counts in Holm's .*: one again \(as one\)$/m);
    const table = JSON.parse(await read('a.json')) as AblationTable;
    expect(table.variants.map(({ name }) => name)).toEqual(['top, 2', 'one', 'one again']);
    expect(table.variants.map(({ heads }) => heads.join())).toEqual([
      'a1.h0,a1.h1',
      'a0.h3',
      'a0.h3',
    ]);
    const plain = JSON.parse(
      await done(...ablate, ...quick, '--heads', '1.0,1.1;0.3', '--json'),
    ) as AblationTable;
    const values = plain.variants.map((row) => row.values);
    expect(table.variants.map((row) => row.values)).toEqual([...values, values[1]]);
    expect(table.controls[3].name).toBe('one control 1');
    const csv = (await read('a.csv')).trim().split('\n');
    expect(csv[2]).toMatch(/^"top, 2",sets,,a1\.h0 a1\.h1,0,/);
    expect(csv).toHaveLength(1 + 1 + 3 + 9);
  });

  it('reads CSV, and runs in shards, to the same bytes', async () => {
    await done(...ablate, ...quick, '--heads-file', 'sets.jsonl', '--out', 'whole.json');
    for (const index of [1, 2]) {
      const shard = ['--shard', `${index}/2`, '--journal', `${index}.journal`];
      await done(...ablate, '--heads-file', 'sets.csv', ...shard);
    }
    await done('merge', '2.journal', '1.journal', ...quick, '--out', 'merged.json');
    expect(await read('merged.json')).toBe(await read('whole.json'));
  });

  it('prints of many sets those that harm most, and their sentences', async () => {
    const many = ['--heads-file', 'many.jsonl', '--top', '4', '--controls', '1'];
    const stdout = await done(...ablate, ...many, '--resamples', '50');
    const rows = [...stdout.matchAll(/^ {2}(set \d+) +-?[\d.]+ +([+-]?[\d.]+) +\[/gm)];
    const changes = rows.slice(0, 4).map((row) => Number(row[2]));
    expect(changes).toEqual([...changes].sort((a, b) => a - b));
    expect(stdout).toContain('… and 56 more (--top, or --out and --csv)');
    expect(stdout.match(/^ {2}- set \d+: ablating it/gm)).toHaveLength(4);
  });
});

it('evaluate --heads-file names its variants', async () => {
  const demo = ['--benchmark', 'demo', '--count', '4', '--max-new-tokens', '8'];
  const table = JSON.parse(
    await done('evaluate', sft, ...demo, ...quick, '--heads-file', 'sets.jsonl', '--json'),
  ) as { rows: { name: string; right: number[] }[]; notes: string[] };
  expect(table.rows.map(({ name }) => name)).toEqual(['unablated', 'top, 2', 'one', 'one again']);
  expect(table.rows[3].right).toEqual(table.rows[2].right);
  expect(table.notes.join('\n')).toContain('one again (as one)');
});

it.each<[string, string[], RegExp]>([
  [
    'a head that is not there',
    [...ablate, '--heads-file', 'bad.jsonl'],
    /^headspark: bad\.jsonl:2: head "9\.0": the model has no layer 9/,
  ],
  ['no file', [...ablate, '--heads-file', 'none.csv'], /none\.csv does not exist/],
  [
    'heads beside the file',
    [...ablate, '--heads-file', 'sets.csv', '--heads', '0.1'],
    /give one of --heads and --heads-file, not both/,
  ],
])('refuses %s', async (_, args, message) => {
  const { code, stderr } = await headspark(args, { cwd });
  expect(stderr).toMatch(message);
  expect(code).toBe(1);
});
