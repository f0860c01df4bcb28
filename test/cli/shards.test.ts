// `attribute --shard` and `merge` through the real binary: the bytes of one run.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { base, headspark, newFolder, pairs } from './bin.js';

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
  expect(stderr).toMatch(/^headspark: 1\.journal is no whole journal of attribute/);
  expect(code).toBe(1);
});

it.each<[string, string[], RegExp]>([
  ['a shard without a journal', [...attribute, '--shard', '1/2'], /--shard needs --journal FILE/],
  [
    'files of a shard',
    [...attribute, '--shard', '1/2', '--journal', 'a', '--out', 'a.json'],
    /--shard writes its journal alone: give --out to headspark merge/,
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
