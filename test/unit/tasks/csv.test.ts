// CSV files of pairs: the two shared forms, plain answers, quoting and refusals.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPairs } from '../../../lib/pairs.js';
import { splitCsvRecord } from '../../../lib/tasks/csv.js';
import { ioiNames } from '../../../lib/tasks/csv-pairs.js';
import { loadTokenizer } from '../../../lib/tokenizer.js';
import { fixtures, sharedPath, tinyArith } from '../tokenizer/fixtures.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-csv-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function csv(text: string): Promise<string> {
  const path = join(folder, 'pairs.csv');
  await writeFile(path, text);
  return path;
}

describe('splitCsvRecord', () => {
  it.each([
    ['a,b,c', ['a', 'b', 'c']],
    [',a,', ['', 'a', '']],
    ['', ['']],
    ['"a,b","say ""x""",c', ['a,b', 'say "x"', 'c']],
    ['"two\nlines",1', ['two\nlines', '1']],
    ['"",""', ['', '']],
    ['"a",', ['a', '']],
  ])('splits %j', (text, fields) => expect(splitCsvRecord(text)).toEqual(fields));

  it('waits for the end of a quoted field', () => {
    expect(splitCsvRecord('a,"b')).toBeUndefined();
    expect(splitCsvRecord('a,"b""')).toBeUndefined();
  });
});

describe('ioiNames', () => {
  it('finds the subject by the corrupted prompt', () => {
    const text = 'When Amy and Tom got a kiss, Tom gave it to';
    const names = { subject: 'Tom', indirectObject: 'Amy' };
    expect(ioiNames(text, text.replace('Tom gave', 'Sue gave'))).toEqual(names);
    expect(ioiNames(text, text.replace('Tom gave', 'Amy gave'))).toEqual(names);
    expect(ioiNames(text, text)).toBeUndefined();
    expect(ioiNames('Tom ran home', 'Sue ran home')).toBeUndefined();
  });
});

describe('CSV pairs', () => {
  it('reads plain answers', async () => {
    const tokenizer = await loadTokenizer(tinyArith);
    const path = await csv('clean,corrupted,correct,incorrect\n1+2=,4+5=,3,9\n\n"1+1=",2+2=,2,4\n');
    const pairs = await readPairs(path, { tokenizer });
    expect(pairs.map((pair) => [pair.line, pair.correct, pair.incorrect])).toEqual([
      [2, [4], [10]],
      [4, [3], [5]],
    ]);
  });

  it.each([
    ['clean,other\n1,2\n', /:1: the columns are "clean", "other"; known forms/],
    ['clean,corrupted,correct\n1,2\n', /:2: the row has 2 fields, the header 3/],
    ['clean,corrupted,correct\n"1,2,3\n', /:2: a quoted field is never closed/],
    ['clean,corrupted,correct_idx\n1+1,1+2,3\n', /:2: no "X and Y"/],
    ['clean,corrupted,label\n1,2,100\n', /:2: the label "100"/],
    ['clean,corrupted,label\n1,2,5\n', /:2: year 5 leaves no tokens/],
    ['clean,corrupted,correct\n', /has no pairs/],
  ])('refuses %j', async (text, message) => {
    const tokenizer = await loadTokenizer(tinyArith);
    await expect(readPairs(await csv(text), { tokenizer })).rejects.toThrow(message);
  });

  const smollm = sharedPath('models', 'smollm2-135m');
  it.skipIf(!smollm)('reads the IOI and greater-than forms', async () => {
    const tokenizer = await loadTokenizer(smollm!);
    const unfit: string[] = [];
    const onUnfit = (error: Error): number => unfit.push(error.message);
    const ioi = await readPairs(join(fixtures, 'pairs', 'ioi.csv'), { tokenizer, onUnfit });
    expect(ioi.length + unfit.length).toBe(6);
    for (const message of unfit) expect(message).toMatch(/ioi\.csv:\d+: .*tokens/);
    const jonathan = ioi.find((pair) => pair.text?.startsWith('Then, Jonathan and Steven'))!;
    expect(tokenizer.decode(jonathan.correct)).toBe(' Steven');
    expect(tokenizer.decode(jonathan.incorrect)).toBe(' Jonathan');
    const years = await readPairs(join(fixtures, 'pairs', 'greater-than.csv'), {
      tokenizer,
      onUnfit,
    });
    // Year 1491: no first digit is above 9.
    expect(years).toHaveLength(5);
    expect(unfit.at(-1)).toMatch(/greater-than\.csv:7: year 91 leaves no tokens above/);
    expect(tokenizer.decode(years[0].correct)).toBe('6789');
    expect(tokenizer.decode(years[0].incorrect)).toBe('01234');
  });

  const ioi = sharedPath('data', 'ioi.csv');
  it.skipIf(!ioi || !smollm)('reads another corrupted column of the shared file', async () => {
    const tokenizer = await loadTokenizer(smollm!);
    let unfit = 0;
    const pairs = await readPairs(ioi!, {
      tokenizer,
      corruptedColumn: 'corrupted_hard',
      onUnfit: () => unfit++,
    });
    expect(pairs.length + unfit).toBe(499);
    expect(pairs.length).toBeGreaterThan(100);
    for (const pair of pairs) {
      const name = tokenizer.decode(pair.correct).trim();
      expect(pair.corruptedText!.split(name)).toHaveLength(3);
    }
  });
});
