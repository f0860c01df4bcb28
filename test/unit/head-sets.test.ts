// Files of named sets of heads: what is read, and that each mistake is named with its line.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planAblation } from '../../lib/ablation/index.js';
import { formatHeads } from '../../lib/head-gate.js';
import { readHeadSets } from '../../lib/head-sets.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-head-sets-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const shape = { layers: 6, heads: 4 };

async function read(text: string | Buffer, name = 'sets.jsonl'): Promise<[string, string][]> {
  await writeFile(join(folder, name), text);
  const sets = await readHeadSets(join(folder, name), shape);
  return sets.map((set) => [set.name, formatHeads(set.heads)]);
}

describe('readHeadSets', () => {
  it('reads lines of JSON, texts and lists, and leaves other keys and empty lines out', async () => {
    const lines = [
      '{"name": "emergent-top2", "heads": "5.0, a3.h1", "score": 3}',
      '',
      '{"name": " whole layer ", "heads": ["4.*", "5.0-1"]}\r',
      '{"name": "Köpfe «a»: ×2, \\"b\\"", "heads": ["a0.h0"]}',
    ];
    expect(await read(`\ufeff${lines.join('\n')}`)).toEqual([
      ['emergent-top2', 'a3.h1,a5.h0'],
      ['whole layer', 'a4.h0,a4.h1,a4.h2,a4.h3,a5.h0,a5.h1'],
      ['Köpfe «a»: ×2, "b"', 'a0.h0'],
    ]);
  });

  it('reads CSV in any order of columns', async () => {
    const text = 'heads,note,name\r\n"3.1,5.0",x,first\r\n3.1 5.0,,second\r\n0.*,,"a, ""b"""\r\n';
    expect(await read(text, 'sets.CSV')).toEqual([
      ['first', 'a3.h1,a5.h0'],
      ['second', 'a3.h1,a5.h0'],
      ['a, "b"', 'a0.h0,a0.h1,a0.h2,a0.h3'],
    ]);
  });

  const good = '{"name": "a", "heads": "0.1"}\n';
  const csv = 'name,heads\na,0.1\n';
  it.each<[string, string | Buffer, RegExp, string?]>([
    ['no JSON', `${good}{"name": "b"`, /sets\.jsonl:2: the line is not JSON\.$/],
    ['a list', `${good}\n["b", "0.1"]`, /:3: a line must be an object with "name" and "heads"\.$/],
    ['no name', `${good}{"heads": "0.1"}`, /:2: "name" must be a text that is not empty\.$/],
    ['an empty name', `${good}{"name": " ", "heads": "0.1"}`, /:2: "name" must be a text/],
    ['a number as name', `${good}{"name": 5, "heads": "0.1"}`, /:2: "name" must be a text/],
    [
      'a long name',
      `${good}{"name": "${'n'.repeat(201)}", "heads": "0.1"}`,
      /:2: the name is 201 characters long; use at most 200\.$/,
    ],
    [
      'a name with an escape',
      `${good}{"name": "\\u001b[31mred", "heads": "0.1"}`,
      /:2: the name "\\u001b\[31mred" holds a character that cannot be printed\.$/,
    ],
    ['half a character', `${good}{"name": "\\ud800", "heads": "0.1"}`, /:2: .* cannot be printed/],
    ['the name of the model itself', '{"name": "unablated", "heads": "0.1"}', /:1: "unablated" is/],
    [
      'a name twice',
      `${good}{"name": "b", "heads": "0.2"}\n{"name": "a ", "heads": "0.3"}`,
      /:3: line 1 has the name "a" too; use each name once\.$/,
    ],
    [
      'no heads',
      `${good}{"name": "b"}`,
      /:2: "heads" must be a text such as "3\.1,5\.0" or a list/,
    ],
    [
      'heads that are no texts',
      `${good}{"name": "b", "heads": [3.1]}`,
      /:2: "heads" must be a text/,
    ],
    [
      'endless heads',
      `${good}{"name": "b", "heads": "${'0.1,'.repeat(25_001)}"}`,
      /:2: "heads" is 100004 characters long; use at most 100000\.$/,
    ],
    ['no text', Buffer.from([0x7b, 0xff, 0x0a]), /:1: the line is not UTF-8 text\.$/],
    ['no sets', '\n\n', /sets\.jsonl has no sets of heads; write lines such as \{"name"/],
    ['no rows', 'name,heads\n', /sets\.csv has no sets of heads/, 'sets.csv'],
    ['other columns', 'set,heads\n', /:1: the columns are "set", "heads"; "name" and/, 'sets.csv'],
    [
      'heads without quotes',
      `${csv}b,3.1,5.0\n`,
      /:3: the row has 3 fields, the header 2; put several heads in quotes: "3\.1,5\.0"\.$/,
      'sets.csv',
    ],
    ['an open quote', `${csv}"b,0.1\n`, /:3: a quoted field is never closed\.$/, 'sets.csv'],
  ])('refuses %s', async (_, text, message, name) => {
    await expect(read(text, name)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_PAIR_FORMAT',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    ['heads of another model', '9.0', /:2: head "9\.0": the model has no layer 9/],
    ['what is no head', '3.1;4.0', /:2: head "3\.1;4\.0" is not of the form LAYER\.HEAD/],
    ['an empty list', '', /:2: the list of heads is empty/],
  ])('refuses %s', async (_, heads, message) => {
    await expect(read(`${good}{"name": "b", "heads": "${heads}"}`)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('refuses a file that is not there', async () => {
    await expect(readHeadSets(join(folder, 'none'), shape)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
  });
});

it('a plan notes the sets that have the heads of another', () => {
  const [a, b] = [[{ layer: 1, head: 1 }], [{ layer: 1, head: 2 }]];
  const many = Array.from({ length: 12 }, (_, index) => ({ name: `again ${index}`, heads: b }));
  const sets = [{ name: 'a', heads: a }, { name: 'b', heads: b }, ...many];
  const { rows, notes } = planAblation(
    { kind: 'sets', sets },
    { shape, factors: [0], controls: 0, seed: 0 },
  );
  expect(rows.map(({ name }) => name)).toEqual(sets.map(({ name }) => name));
  expect(notes).toEqual([
    "sets with the heads of another are computed once, and each counts in Holm's correction: " +
      `${many
        .slice(0, 10)
        .map(({ name }) => `${name} (as b)`)
        .join(', ')} and 2 more`,
  ]);
});
