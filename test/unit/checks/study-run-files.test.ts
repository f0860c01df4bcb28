// How the check that kills studies compares runs, and what it finds wrong with them.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { packageRoot } from '../../../lib/version.js';

const script = path.join(packageRoot, 'scripts', 'checks', 'study', 'run-files.mjs');
const { computedAgain, differences, digestOfRun, leftovers, storedResults } = await import(
  pathToFileURL(script).href
);

let folder: string;
let run: string;
const write = (name: string, text: string) => writeFile(path.join(run, name), text);
const time = (id: string) =>
  `${JSON.stringify({ kind: 'circuit', id, key: 'k', seconds: 1, threads: 0 })}\n`;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'headspark-run-files-'));
  run = path.join(folder, 'run');
  for (const id of ['a', 'b']) {
    await mkdir(path.join(run, 'results', 'circuit', `${id}@k`), { recursive: true });
    await write(`results/circuit/${id}@k/done.json`, '{}');
    await write(`results/circuit/${id}@k/summary.json`, id);
  }
  for (const name of ['work', 'running']) await mkdir(path.join(run, name));
  for (const name of ['manifest.json', 'study.yaml', 'fingerprints.json']) await write(name, '');
  await write('timings.jsonl', time('a') + time('b'));
});
afterEach(() => rm(folder, { recursive: true }));

it('finds nothing wrong with a run that is whole', async () => {
  const other = path.join(folder, 'other');
  await cp(run, other, { recursive: true });
  expect(differences(await digestOfRun(run), await digestOfRun(other))).toEqual([]);
  expect(await leftovers(run)).toEqual([]);
  expect(await computedAgain(run)).toEqual([]);
  expect(await storedResults(run)).toEqual(['circuit/a@k', 'circuit/b@k']);
});

it('names files that differ, are missing or too many', async () => {
  const before = await digestOfRun(run);
  await write('results/circuit/a@k/summary.json', 'A');
  await rm(path.join(run, 'results', 'circuit', 'b@k', 'summary.json'));
  await write('results/circuit/b@k/more.json', '');
  await write('timings.jsonl', '');
  expect(differences(before, await digestOfRun(run))).toEqual([
    'results/circuit/a@k/summary.json has other bytes',
    'results/circuit/b@k/more.json is not in the other run',
    'results/circuit/b@k/summary.json is missing',
  ]);
});

it('counts a result as stored only when it is whole', async () => {
  await rm(path.join(run, 'results', 'circuit', 'a@k', 'done.json'));
  expect(await storedResults(run)).toEqual(['circuit/b@k']);
});

it('names what killed processes left, and what was computed twice', async () => {
  await write('work/circuit.a@k', '');
  await write('running/token.json', '');
  await write('.manifest.json.1.0123abcd@here.tmp', '');
  expect(await leftovers(run)).toEqual([
    '.manifest.json.1.0123abcd@here.tmp',
    'work/circuit.a@k',
    'running/token.json',
  ]);
  // The torn line of a kill is no second time.
  await write('timings.jsonl', `${time('a')}${time('b')}${time('b').slice(0, 20)}\n${time('a')}`);
  expect(await computedAgain(run)).toEqual(['circuit/a@k']);
});
