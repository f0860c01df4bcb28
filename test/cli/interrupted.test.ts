// Ctrl-C and kill -9 in the middle of an ablation and of an attribution: what is said, what is kept, and
// that the same command then ends in the same bytes as a run that was never disturbed.
import type { ChildProcess } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { headspark, newFolder, pairs, sft } from './bin.js';

const heads = ['0.0-1,1.0,2.0-1', '1.2-3,2.2-3,3.0-2'].join(';');
const args = (out: string): string[] => [
  'ablate',
  sft,
  ...['--pairs', pairs, '--count', '40', '--heads', heads, '--controls', '75'],
  ...['--factor', '0,0.5', '--threads', '1', '--resamples', '100', '--out', out],
];

let cwd: string;
let undisturbed: string;
/** Different sets of heads with their factors, the empty one included: what the whole journal would hold. */
let variants: number;

const read = (name: string): Promise<string> => readFile(join(cwd, name), 'utf8').catch(() => '');
const linesOf = async (name: string): Promise<number> => (await read(name)).split('\n').length - 1;

/** Runs the command and sends the signal once the journal has a few variants. */
async function disturbed(out: string, signal: 'SIGKILL' | 'SIGINT') {
  let child: ChildProcess | undefined;
  const ended = headspark(args(out), { cwd, onStart: (started) => (child = started) });
  while ((await linesOf(`${out}.journal`)) < 30 && child?.exitCode === null) await setTimeout(5);
  child?.kill(signal);
  return ended;
}

beforeAll(async () => {
  cwd = await newFolder();
  const { code, stderr } = await headspark(args('whole.json'), { cwd });
  expect(stderr).not.toContain('ERR_');
  expect(code).toBe(0);
  undisturbed = await read('whole.json');
  const table = JSON.parse(undisturbed);
  const rows: { heads: string[]; factor: number }[] = [
    table.baseline,
    ...table.variants,
    ...table.controls,
  ];
  variants = new Set(rows.map(({ heads, factor }) => `${heads.join()} x${factor}`)).size;
});

async function resumed(out: string): Promise<void> {
  const kept = await linesOf(`${out}.journal`);
  expect(kept).toBeGreaterThan(10);
  expect(kept - 1).toBeLessThan(variants);
  expect(await read(out)).toBe('');
  const { code, stderr } = await headspark(args(out), { cwd });
  expect(code).toBe(0);
  expect(stderr).toContain(`${out}.journal holds ${kept - 1} of ${variants} variants`);
  expect(await read(out)).toBe(undisturbed);
  expect(await read(`${out}.journal`)).toBe('');
}

describe('an ablation', () => {
  it('killed and started again gives the same bytes', async () => {
    const { code } = await disturbed('killed.json', 'SIGKILL');
    expect(code).toBeNull();
    await resumed('killed.json');
  });

  it('stopped by Ctrl-C says how to go on, exits 130, and gives the same bytes', async () => {
    const { code, stdout, stderr } = await disturbed('stopped.json', 'SIGINT');
    expect(stderr).toContain('headspark: interrupted.');
    expect(stderr).toContain('stopped.json.journal keeps what is finished: run the same command');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).not.toContain('Wrote');
    expect(code).toBe(130);
    await resumed('stopped.json');
  });

  it('refuses a journal of other settings', async () => {
    await disturbed('other.json', 'SIGKILL');
    const { code, stderr } = await headspark([...args('other.json'), '--metric', 'nll'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toContain('ERR_HEADSPARK_SETTINGS_MISMATCH');
    expect(stderr).toContain('metric (journal: "logit-diff", now: "nll")');
  });
});

describe('an attribution', () => {
  const args = (out: string): string[] => [
    ...['attribute', sft, '--pairs', pairs, '--ig-steps', '120', '--threads', '1', '--out', out],
  ];
  const files = (out: string) => [out, `${out}.pairs.npy`];
  const bytes = (out: string) =>
    Promise.all(files(out).map(async (name) => (await read(name)).replaceAll(out, 'OUT')));

  beforeAll(async () => {
    expect((await headspark(args('scores.json'), { cwd })).code).toBe(0);
  });

  it.each(['SIGKILL', 'SIGINT'] as const)('ended by %s gives the same bytes', async (signal) => {
    const out = `${signal}.json`;
    let child: ChildProcess | undefined;
    const ended = headspark(args(out), { cwd, onStart: (started) => (child = started) });
    while ((await linesOf(`${out}.journal`)) < 1 && child?.exitCode === null) await setTimeout(20);
    child?.kill(signal);
    const { code, stderr } = await ended;
    expect(code).toBe(signal === 'SIGINT' ? 130 : null);
    if (signal === 'SIGINT') expect(stderr).toContain(`${out}.journal keeps what is finished`);
    expect(await read(out)).toBe('');
    const again = await headspark(args(out), { cwd });
    expect(again.code).toBe(0);
    expect(again.stderr).toMatch(/json\.journal holds \d+ of 96 pairs; going on from there\./);
    expect(await bytes(out)).toEqual(await bytes('scores.json'));
    expect((await bytes(out))[1].length).toBeGreaterThan(1000);
    const left = await readdir(cwd);
    expect(left.filter((name) => name.startsWith(`${out}.journal`))).toEqual([]);
  });
});
