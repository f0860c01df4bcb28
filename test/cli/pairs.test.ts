// `headspark pairs`: what it writes scores the same as --task does, what it says of a file, without
// weights, and mistakes.
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { ChildProcess } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { pairsHash, readPairs, type PairsReport, type RefusedLine } from '../../lib/pairs.js';
import type { PairDescription } from '../../lib/pairs/report.js';
import { loadTokenizer } from '../../lib/tokenizer.js';
import { base, headspark, newFolder, pairs, type Ended } from './bin.js';

type Report = PairsReport & { first: PairDescription[]; refused: RefusedLine[]; files: string[] };

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
});

const run = (...args: string[]): Promise<Ended> => headspark(args, { cwd });

async function done(...args: string[]): Promise<Ended> {
  const ended = await run(...args);
  expect(ended.stderr).not.toContain('ERR_');
  expect(ended.code).toBe(0);
  return ended;
}

async function report(...args: string[]): Promise<Report> {
  const { stdout } = await done('pairs', ...args, '--json');
  return JSON.parse(stdout) as Report;
}

async function file(name: string, ...lines: unknown[]): Promise<string> {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  await writeFile(join(cwd, name), `${text.join('\n')}\n`);
  return name;
}

const good = { clean: '1+2=', corrupted: '1+3=', correct: '3', incorrect: '4' };

describe('pairs of a task', () => {
  it.each(['logit-diff', 'nll'])('score the same from their file, by %s', async (metric) => {
    const made = ['--task', 'arithmetic', '--count', '6', '--seed', '3'];
    const { hash } = await report(base, ...made, '--out', 'sums.jsonl');
    const score = async (name: string, ...source: string[]) => {
      const files = ['--out', `${name}.npy`, '--out', `${name}.pt`];
      const { stdout } = await done(
        ...['attribute', base, ...source, '--metric', metric, '--ig-steps', '2', '--json'],
        ...files,
      );
      const { pairsHash: scored } = JSON.parse(stdout) as { pairsHash: string };
      return { scored, bytes: await readFile(join(cwd, `${name}.npy`)) };
    };
    const [task, written] = [await score('t', ...made), await score('f', '--pairs', 'sums.jsonl')];
    expect(written.bytes.equals(task.bytes)).toBe(true);
    expect(written.scored).toBe(task.scored);
    // Under nll the one right token is a continuation, too.
    expect(written.scored === hash).toBe(metric !== 'nll');
  });

  it('are written as token ids and as text', async () => {
    await done('pairs', base, '--task', 'arithmetic', '--count', '3', '--out', 'three.jsonl');
    const lines = (await readFile(join(cwd, 'three.jsonl'), 'utf8')).trim().split('\n');
    const tokenizer = await loadTokenizer(base);
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const pair = JSON.parse(line) as Record<string, string> & Record<string, number[] & number>;
      expect(pair['text']).toBe(tokenizer.decode(pair['clean'], { skipSpecialTokens: false }));
      expect(pair['corrupted_text']).toMatch(/^\d+ ?[+-] ?\d+ ?=/);
      expect(tokenizer.decode([pair['correct']])).toBe(pair['correct_text']);
      expect(tokenizer.decode([pair['incorrect']])).toBe(pair['incorrect_text']);
    }
  });

  it('are shown, with what to do to keep them', async () => {
    const { stdout } = await done(
      'pairs',
      base,
      '--task',
      'arithmetic',
      '--count',
      '3',
      '--top',
      '2',
    );
    expect(stdout).toMatch(/^base: 3 pairs of arithmetic, seed 0\n/);
    expect(stdout).toMatch(
      /First 2 of 3 pairs\n +line +tokens +shared +differ +correct +incorrect/,
    );
    expect(stdout.match(/^ {4}clean {6}"/gm)).toHaveLength(2);
    expect(stdout).toMatch(/metrics {2}logit-diff, prob-diff, kl, nll\n {2}hash {5}[0-9a-f]{64}\n/);
    expect(stdout).toMatch(/keep the pairs with --out pairs\.jsonl/);
  });

  it('leave nothing behind when they are interrupted', async () => {
    let child: ChildProcess | undefined;
    const ended = headspark(
      ['pairs', base, '--task', 'arithmetic', '--count', '400000', '--out', 'many.jsonl'],
      { cwd, onStart: (started) => (child = started) },
    );
    await setTimeout(3000);
    child!.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(stderr).toContain('headspark: interrupted. Nothing was written.');
    expect(stdout).toBe('');
    expect(code).toBe(130);
    expect((await readdir(cwd)).filter((name) => name.includes('many'))).toEqual([]);
  });
});

describe('a file of pairs', () => {
  const bad = () =>
    file(
      'bad.jsonl',
      good,
      'not json',
      { ...good, corrupted: '1+30=' },
      { ...good, clean: [1, 2, 99_999] },
      { clean: '2+2=', corrupted: '2+3=', correct: '4' },
      { ...good, clean: [5, 5, 5, 5], corrupted: [5, 5, 6, 5], text: '1+2=' },
    );

  it('is told line by line, without an error', async () => {
    const { refused, metrics, first, ...figures } = await report(base, '--pairs', await bad());
    expect(refused).toEqual([
      { line: 2, kind: 'broken', reason: expect.stringMatching(/^not valid JSON/) as string },
      {
        line: 3,
        kind: 'unfit',
        reason: expect.stringMatching(/^the clean prompt has 4/) as string,
      },
      { line: 4, kind: 'unfit', reason: expect.stringMatching(/^"clean" has 99999/) as string },
    ]);
    expect(figures).toMatchObject({ pairs: 3, tokens: 12, sharedTokens: 6, repeated: 0 });
    expect(figures.textMismatch).toEqual({ pairs: 1, line: 6 });
    expect(metrics.map(({ metric, pairs: count, lack }) => [metric, count, lack?.line])).toEqual([
      ['logit-diff', 2, 5],
      ['prob-diff', 2, 5],
      ['kl', 3, undefined],
      ['nll', 3, undefined],
    ]);
    expect(first[0]).toEqual({
      ...{ line: 1, tokens: 4, sharedPrefix: 2, firstDifference: 3, lastDifference: 3 },
      ...{ clean: '1+2=', corrupted: '1+3=', correct: ['3'], incorrect: ['4'], continuation: null },
    });
  });

  it('is told to a person in the lines of a narrow terminal', async () => {
    const { stdout, stderr } = await done('pairs', base, '--pairs', await bad(), '--top', '2');
    expect(stdout).toMatch(/^base: 3 pairs of bad\.jsonl, 3 lines refused\n/);
    expect(stdout).toMatch(/ logit-diff on 2 of 3: line 5 needs the key "incorrect"\n/);
    expect(stdout).toMatch(/Refused: 3 lines\n {2}line 2 {2}not valid JSON/);
    expect(stdout).toMatch(
      /and 1 more \(--top\)\n {2}Other commands stop at line 2, with --skip-u/,
    );
    expect(stderr).toContain('1 of 3 pairs do not spell their text (the first on line 6)');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  it('is written where other commands would read it, and has the same pairs then', async () => {
    const unfit = await file('unfit.jsonl', { ...good, corrupted: '1+30=' }, good);
    const refused = await run('pairs', base, '--pairs', unfit, '--out', 'fit.jsonl');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /unfit\.jsonl:1: the clean prompt has .*; nothing was written, since the line is refused: mend it, or leave out what does not fit with --skip-unfit\. \[ERR_HEADSPARK_PAIR_FORMAT\]/,
    );
    expect(await readdir(cwd)).not.toContain('fit.jsonl');
    const { hash, files } = await report(
      base,
      '--pairs',
      unfit,
      '--skip-unfit',
      '--out',
      'fit.jsonl',
    );
    expect(files).toEqual(['fit.jsonl']);
    expect(pairsHash(await readPairs(join(cwd, 'fit.jsonl')))).toBe(hash);
    const broken = await run(
      'pairs',
      base,
      '--pairs',
      await bad(),
      '--skip-unfit',
      '--out',
      'x.jsonl',
    );
    expect(broken.stderr).toMatch(
      /bad\.jsonl:2: not valid JSON .* the line is refused: mend it\. \[/,
    );
    expect(broken.code).toBe(1);
    const none = await file('none-fit.jsonl', { ...good, corrupted: '1+30=' });
    const empty = await run('pairs', base, '--pairs', none, '--skip-unfit', '--out', 'x.jsonl');
    expect(empty.stderr).toMatch(
      /nothing was written, since no pair fits: give pairs for this token/,
    );
    expect(empty.code).toBe(1);
  });

  it('is a table in CSV', async () => {
    const { stdout } = await done(
      'pairs',
      base,
      '--pairs',
      pairs,
      '--count',
      '4',
      '--csv',
      'p.csv',
    );
    expect(stdout).toContain('Wrote p.csv');
    const text = await readFile(join(cwd, 'p.csv'), 'utf8');
    expect(text).toMatch(
      /^line,tokens,shared_prefix,first_difference,last_difference,clean,corrupted,correct,incorrect,continuation\n1,/,
    );
    expect(text.match(/^[1-4],\d+,\d+,\d+,\d+,"?<\|im_start\|>/gm)).toHaveLength(4);
  });
});

describe('a folder without weights', () => {
  it('is enough: a tokenizer, or a configuration for pairs in token ids', async () => {
    const whole = await report(base, '--pairs', pairs);
    for (const name of ['tokenizer.json', 'config.json']) {
      await mkdir(join(cwd, name.slice(0, 6)), { recursive: true });
      await copyFile(join(base, name), join(cwd, name.slice(0, 6), name));
    }
    expect((await report('tokeni', '--pairs', pairs)).hash).toBe(whole.hash);
    const ids = await file('ids.jsonl', { clean: [1, 2], corrupted: [1, 3], correct: 351 });
    const { refused } = await report('config', '--pairs', ids);
    expect(refused[0].reason).toMatch(/"correct" has 351, .* vocabulary \(0 to 350\)/);
    const long = {
      clean: new Array<number>(300).fill(1),
      corrupted: new Array<number>(300).fill(2),
    };
    const positions = await report('config', '--pairs', await file('long.jsonl', long));
    expect(positions.refused[0].reason).toMatch(/300 tokens, but the model 256 positions/);
    const fit = await file('fit-ids.jsonl', { clean: [1, 2], corrupted: [1, 3] });
    expect((await report('config', '--pairs', fit)).first[0]).toMatchObject({ clean: '1 2' });
  });
});

it.each([
  [[], /give the pairs with --pairs FILE or --task/, 'INVALID_ARGUMENT'],
  [['--pairs', 'p', '--task', 'ioi'], /--pairs or --task, not both/, 'INVALID_ARGUMENT'],
  [['--task', 'ioi'], /the ioi task cannot be made with the tokenizer of/, 'TOKENIZER'],
  [['--pairs', 'nowhere.jsonl'], /nowhere\.jsonl does not exist/, 'FILE_NOT_FOUND'],
  [['--task', 'arithmetic', '--out', 'p.csv'], /must end in \.jsonl/, 'INVALID_ARGUMENT'],
  [['--task', 'arithmetic', '--out', 'no/p.jsonl'], /the folder no does not exist/, 'FILE_WRITE'],
  [['--metric', 'nll'], /no option --metric \(other commands have it\)/, 'INVALID_ARGUMENT'],
] as const)('refuses %j', async (args, message, code) => {
  const { code: exit, stdout, stderr } = await run('pairs', base, ...args);
  expect(stderr).toMatch(message);
  expect(stderr).toContain(`[ERR_HEADSPARK_${code}]`);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stdout).toBe('');
  expect(exit).toBe(1);
});

it('refuses a folder with neither tokenizer nor configuration', async () => {
  await mkdir(join(cwd, 'empty'));
  const { code, stderr } = await run('pairs', 'empty', '--task', 'ioi');
  expect(stderr).toMatch(/empty has no tokenizer\.json and no config\.json .*FILE_NOT_FOUND/);
  expect(code).toBe(1);
});
