// `attribute --shard`, `ablate --shard` and `merge` through the real binary: the bytes of one run.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { base, headspark, newFolder, pairs, sft } from './bin.js';

const attribute = ['attribute', base, '--pairs', pairs];

it('scores of all shards merge to those of one run, byte for byte', async () => {
  const cwd = await newFolder();
  const run = async (args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await headspark(args, { cwd });
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const whole = await run([...attribute, '--out', 'scores.pt']);
  for (const index of [3, 1, 2]) {
    const shard = ['--shard', `${index}/3`, '--journal', `${index}.journal`];
    expect(await run([...attribute, ...shard])).toMatch(
      new RegExp(`shard ${index}/3\n[^]*Wrote ${index}.journal and ${index}.journal.scores, for`),
    );
  }
  const bytes = await Promise.all(
    ['scores.pt', 'scores.pt.pairs.npy'].map((file) => readFile(join(cwd, file))),
  );
  const merged = await run(['merge', '2.journal', '3.journal', '1.journal', '--out', 'scores.pt']);
  const heads = (text: string): string => text.slice(text.indexOf('Top heads'));
  expect(heads(merged)).toBe(heads(whole));
  expect(merged).toContain('from 3 shards');
  expect(await readFile(join(cwd, 'scores.pt'))).toEqual(bytes[0]);
  expect(await readFile(join(cwd, 'scores.pt.pairs.npy'))).toEqual(bytes[1]);
  const json = JSON.parse(
    await run(['merge', '1.journal', '2.journal', '3.journal', '--json']),
  ) as object;
  expect(json).toMatchObject({ method: 'eap-ig', task: pairs, files: [] });
  await rm(join(cwd, '1.journal.scores'));
  const { code, stderr } = await headspark(['merge', '1.journal', '2.journal', '3.journal'], {
    cwd,
  });
  expect(stderr).toMatch(
    /^headspark: 1\.journal\.scores does not exist; run the command of shard 1\/3 again/,
  );
  expect(code).toBe(1);
});

it('a journal of its own is kept without results, which the same command writes from it', async () => {
  const cwd = await newFolder();
  const journal = [...attribute, '--journal', 'j'];
  const first = await headspark(journal, { cwd });
  expect(first.stdout).toContain('Wrote j and j.scores, which hold every pair: the same command');
  expect(first.stdout).not.toContain('Nothing was written');
  expect((await readdir(cwd)).sort()).toEqual(['j', 'j.scores']);
  const merged = await headspark(['merge', 'j', '--out', 'm.json'], { cwd });
  expect(merged.stderr).toMatch(
    /give it to the run that it is of, which takes from it what is finished\./,
  );
  const again = await headspark([...journal, '--out', 'a.json'], { cwd });
  expect(again.stderr).toMatch(/j holds 96 of 96 pairs/);
  await headspark([...attribute, '--out', 'b.json'], { cwd });
  const [a, b] = await Promise.all(
    ['a', 'b'].map((file) => readFile(join(cwd, `${file}.json`), 'utf8')),
  );
  expect(a.replaceAll('a.json', 'b.json')).toBe(b);
});

it.each<[string, string[]]>([
  ['sets by factors', ['--heads', '0.3;1.0,1.1', '--controls', '3', '--factor', '0,0.5']],
  ['single heads', ['--single', '--ablation', 'mean']],
])('the table of all shards of %s is that of one run, byte for byte', async (_, plan) => {
  const cwd = await newFolder();
  const run = async (args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await headspark(args, { cwd });
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const ablate = ['ablate', sft, '--pairs', pairs, '--count', '12', ...plan];
  const statistics = ['--resamples', '300', '--confidence', '0.9'];
  const whole = await run([...ablate, ...statistics, '--out', 'a.json', '--csv', 'a.csv']);
  for (const index of [2, 3, 1]) {
    const shard = ['--shard', `${index}/3`, '--journal', `${index}.jsonl`];
    expect(await run([...ablate, ...shard])).toMatch(
      new RegExp(
        `shard ${index}/3\n  \\d+ of \\d+ variants\nWrote ${index}.jsonl, for headspark merge\n$`,
      ),
    );
  }
  const own = [...ablate, '--shard', '1/3', '--journal', '1.jsonl', '--json'];
  const done = JSON.parse(await run(own)) as { variants: number; ofVariants: number };
  expect(done).toMatchObject({ model: 'sft-step120', shard: '1/3', journal: '1.jsonl' });
  expect(done.variants).toBeLessThan(done.ofVariants);
  const journals = ['3.jsonl', '1.jsonl', '2.jsonl'];
  const files = ['--out', 'merged.json', '--csv', 'merged.csv'];
  const merged = await run(['merge', ...journals, ...statistics, ...files]);
  const table = (text: string): string =>
    text.slice(text.indexOf('  unablated'), text.indexOf('Wrote'));
  expect(table(merged)).toBe(table(whole));
  expect(merged).toContain('from 3 shards');
  for (const kind of ['json', 'csv']) {
    const bytes = await readFile(join(cwd, `a.${kind}`));
    expect(await readFile(join(cwd, `merged.${kind}`))).toEqual(bytes);
  }
  const fewer = await headspark(['merge', '1.jsonl', '3.jsonl'], { cwd });
  expect(fewer.stderr).toMatch(/^headspark: the journal of shard 2\/3 is missing\. \[.*\]\n$/);
  expect(fewer.code).toBe(1);
  const samples = await headspark(['merge', ...journals, '--parquet', 'a.parquet'], { cwd });
  expect(samples.stderr).toMatch(/--parquet holds samples, which are of evaluations/);
});

it.each<[string, string[], RegExp]>([
  ['a shard without a journal', [...attribute, '--shard', '1/2'], /--shard needs --journal FILE/],
  [
    'files of a shard',
    [...attribute, '--shard', '1/2', '--journal', 'a', '--out', 'a.json'],
    /--shard writes its journal alone: give --out to headspark merge/,
  ],
  [
    'statistics of a shard of an ablation',
    [
      ...['ablate', sft, '--pairs', pairs, '--single', '--shard', '1/2', '--journal', 'a'],
      ...['--confidence', '0.9'],
    ],
    /--shard writes its journal alone: give --confidence to headspark merge/,
  ],
  [
    'more shards than variants',
    ['ablate', sft, '--pairs', pairs, '--single', '--shard', '1/26', '--journal', 'a'],
    /the shard 1\/26 is of only 25 variants; use at most 25 shards/,
  ],
  [
    'no part',
    [...attribute, '--shard', '3/2', '--journal', 'a'],
    /the shard "3\/2" is not of the form/,
  ],
])('refuses %s', async (_, args, message) => {
  const { code, stderr } = await headspark(args, { cwd: await newFolder() });
  expect(stderr).toMatch(message);
  expect(code).toBe(1);
});
