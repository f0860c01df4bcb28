// What is said of pairs without a model: files whose every line is looked at, figures of pairs, and
// pairs of tasks that come back from their file.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  describePair,
  inspectPairs,
  pairsHash,
  readPairs,
  reportPairs,
  writePairs,
} from '../../../lib/pairs.js';
import { generatePairs, type TaskName } from '../../../lib/tasks/index.js';
import { loadTokenizer } from '../../../lib/tokenizer.js';
import { sharedPath, tinyArith } from '../tokenizer/fixtures.js';

const arith = await loadTokenizer(tinyArith);
const smollmFolder = sharedPath('models', 'smollm2-135m');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-inspect-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, ...lines: (string | Buffer)[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, Buffer.concat(lines.map((line) => Buffer.from(line))));
  return path;
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;
const good = { clean: [1, 2, 3], corrupted: [1, 4, 3], correct: 5, incorrect: 6 };

describe('inspectPairs', () => {
  it('goes on after lines that are refused, and stops where it cannot read', async () => {
    const path = await file(
      'all.jsonl',
      ...[line(good), '[1]\n', '\n', line({ ...good, corrupted: [1, 4] }), line(good)],
      ...[Buffer.from([0xff, 0xfe, 0x0a]), line(good)],
    );
    const { pairs, refused } = await inspectPairs(path);
    expect(pairs.map((pair) => [pair.index, pair.line])).toEqual([
      [0, 1],
      [1, 5],
    ]);
    expect(refused).toEqual([
      {
        line: 2,
        reason: 'each line must be a JSON object with "clean" and "corrupted".',
        kind: 'broken',
      },
      {
        line: 4,
        reason:
          'the clean prompt has 3 tokens and the corrupted one 2; both must have the same number of tokens.',
        kind: 'unfit',
      },
      { line: 6, reason: 'the line is not UTF-8 text.', kind: 'unreadable' },
    ]);
  });

  it('reads CSV in the same way', async () => {
    const path = await file('p.csv', 'clean,corrupted,correct\n1+2=,1+3=,3\n1,2\n"1+2=\n');
    const { pairs, refused } = await inspectPairs(path, { tokenizer: arith });
    expect(pairs).toHaveLength(1);
    expect(refused.map(({ line: number, kind }) => [number, kind])).toEqual([
      [3, 'broken'],
      [4, 'unreadable'],
    ]);
    await expect(readPairs(path, { tokenizer: arith })).rejects.toThrow('p.csv:3: the row has 2');
    const header = await inspectPairs(await file('h.csv', 'a,b\n1,2\n'));
    expect(header.refused).toMatchObject([{ line: 1, kind: 'unreadable' }]);
  });

  it('counts, stops at a limit, and can be cancelled', async () => {
    const path = await file('many.jsonl', ...Array.from({ length: 5 }, () => line(good)));
    const seen: number[] = [];
    const onProgress = ({ done }: { done: number }): void => void seen.push(done);
    expect((await inspectPairs(path, { limit: 3, onProgress })).pairs).toHaveLength(3);
    expect(seen).toEqual([1, 2, 3]);
    const cancelled = { code: 'ERR_HEADSPARK_CANCELLED' };
    const signal = AbortSignal.abort();
    await expect(inspectPairs(path, { signal })).rejects.toMatchObject(cancelled);
    const broken = await file('broken.jsonl', 'x\n');
    await expect(inspectPairs(broken, { signal })).rejects.toMatchObject(cancelled);
    await expect(inspectPairs(join(folder, 'none.jsonl'))).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
    await expect(inspectPairs(path, { onUnfit: () => 0 } as object)).rejects.toThrow('no option');
  });
});

describe('figures of pairs', () => {
  it('are of tokens, shared prefixes, answers and what repeats', async () => {
    const path = await file(
      'figures.jsonl',
      line(good),
      line({ ...good, clean: [1, 2, 3, 4], corrupted: [2, 2, 3, 5], incorrect: undefined }),
      line({ clean: [7, 8], corrupted: [7, 8], correct: [5, 6], incorrect: 7 }),
      line(good),
    );
    const pairs = await readPairs(path);
    const report = reportPairs(pairs);
    expect(report).toMatchObject({
      ...{ pairs: 4, tokens: 12, shortest: 2, longest: 4, sharedTokens: 4 },
      ...{ hash: pairsHash(pairs), repeated: 1, samePrompts: 1, textMismatch: null },
    });
    expect(report.metrics).toEqual([
      {
        metric: 'logit-diff',
        pairs: 3,
        lack: { line: 2, reason: 'metric logit-diff needs the key "incorrect".' },
      },
      {
        metric: 'prob-diff',
        pairs: 3,
        lack: { line: 2, reason: 'metric prob-diff needs the key "incorrect".' },
      },
      { metric: 'kl', pairs: 4, lack: null },
      {
        metric: 'nll',
        pairs: 3,
        lack: { line: 3, reason: 'metric nll needs "continuation" (or one "correct" token).' },
      },
    ]);
    // The same as reading with the metric.
    for (const { metric, lack } of report.metrics) {
      const read = readPairs(path, { metric });
      if (lack === null) expect(await read).toHaveLength(4);
      else await expect(read).rejects.toThrow(`${path}:${lack.line}: ${lack.reason}`);
    }
    expect(describePair(pairs[1], arith)).toMatchObject({
      ...{ line: 2, tokens: 4, sharedPrefix: 0, firstDifference: 1, lastDifference: 4 },
      clean: arith.decode([1, 2, 3, 4], { skipSpecialTokens: false }),
    });
    expect(describePair(pairs[2])).toMatchObject({
      ...{ sharedPrefix: 2, firstDifference: null, lastDifference: null },
      ...{ clean: '7 8', correct: ['5', '6'], incorrect: ['7'], continuation: null },
    });
    expect(reportPairs([])).toMatchObject({ pairs: 0, tokens: 0, shortest: 0, hash: null });
  });
});

it.each<TaskName>(['arithmetic', 'ioi', 'greater-than'])(
  'pairs of %s are the same from their file',
  async (task) => {
    if (!smollmFolder) return;
    const tokenizer = await loadTokenizer(smollmFolder);
    const seen: [number, number][] = [];
    const pairs = await generatePairs(task, tokenizer, {
      ...{ count: 20, seed: 5 },
      onProgress: ({ done, total }) => void seen.push([done, total]),
    });
    expect(seen).toEqual(Array.from({ length: 20 }, (_, made) => [made, 20]));
    const path = join(folder, `${task}.jsonl`);
    await writePairs(path, pairs, { tokenizer });
    const { pairs: read, refused } = await inspectPairs(path, { tokenizer });
    expect(refused).toEqual([]);
    expect(pairsHash(read)).toBe(pairsHash(pairs));
    expect(read).toEqual(pairs);
    expect(reportPairs(read, tokenizer).textMismatch).toBeNull();
  },
);
