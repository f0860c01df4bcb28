// The diff report: written, read back as hostile, and its groups of heads in order.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diff, type DiffInput } from '../../../lib/circuit-diff.js';
import { printDiff } from '../../../lib/cli/diff-tables.js';
import { diffCsv, headsOfGroup, readDiffReport } from '../../../lib/diff-report.js';
import { graphOf, type GraphShape } from '../../../lib/circuit/index.js';
import { formatHead } from '../../../lib/head-gate.js';
import { Random } from '../../../lib/stats/random.js';
import { readContext } from './terminal.js';

const shape: GraphShape = {
  layers: 2,
  heads: 3,
  keyValueHeads: 3,
  parallelBlock: false,
  kvEdges: 'per-query-head',
};
const selection = { rule: 'threshold', tau: 0.5 } as const;

/** Scores with strong edges through the given heads, straight from input to logits. */
function tableOf(name: string, strengths: Record<string, number>, pairs = 12): DiffInput {
  const graph = graphOf(shape);
  const pairScores = new Float32Array(pairs * graph.edgeCount);
  const random = new Random(3);
  for (let pair = 0; pair < pairs; pair++) {
    for (const [head, strength] of Object.entries(strengths)) {
      const [layer, index] = head.split('.').map(Number);
      const source = graph.headSource(layer, index);
      const row = pair * graph.edgeCount;
      const noise = 0.8 + 0.4 * random.uniform();
      pairScores[row + graph.edgeIndex(source, graph.logitsDestination)] = strength * noise;
      const query = graph.headDestination(layer, index, 'q');
      pairScores[row + graph.edgeIndex(0, query)] = strength * noise;
    }
  }
  const mean = new Float32Array(graph.edgeCount);
  for (let edge = 0; edge < mean.length; edge++) {
    let sum = 0;
    for (let pair = 0; pair < pairs; pair++) sum += pairScores[pair * graph.edgeCount + edge];
    mean[edge] = sum / pairs;
  }
  return {
    name,
    table: { shape, scores: graph.expand(mean), pairScores, meta: { pairsHash: 'a' } },
  };
}

const base = tableOf('base', { '0.0': 2, '1.0': 3 });
const copy = tableOf('copy', { '0.0': 2, '0.2': 1, '1.1': 4 });
const post = tableOf('post', { '0.0': 2, '0.2': 1, '1.1': 4 });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-diff-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('diff', () => {
  it('refuses two tables of one name, which no comparison could tell apart', async () => {
    await expect(
      diff([base, post, { ...post, name: 'base' }], { selection }),
    ).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(
        /^diff: two tables have the name "base"; give each its own/,
      ) as string,
    });
  });

  it('puts sets, evidence and the null diff into one plain report', async () => {
    const report = await diff([base, post], { selection, resamples: 50, nullRepeats: 10 });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report.notes).toEqual([]);
    const [comparison] = report.comparisons;
    expect(comparison.counts).toEqual({ retained: 1, emergent: 2, vanished: 1 });
    expect(comparison.nullPValue).toBeCloseTo(1 / 11, 12);
    const head = comparison.heads.find(({ name }) => name === 'a1.h1')!;
    expect(head).toMatchObject({ status: 'emergent', emergenceProbability: 1, certain: true });
    expect(head.baseImportance).toBe(0);
    expect(comparison.heads).toHaveLength(6);
    const [titles, ...lines] = diffCsv(report).trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    const cells = lines.find((line) => line.includes(',a1.h1,'))!.split(',');
    const place = titles.split(',').indexOf('importance_difference');
    const { estimate, low, high } = head.importanceDifference!;
    expect(cells.slice(place, place + 3).map(Number)).toEqual([estimate, low, high]);
  });

  it('tells by its share over all edges that an emergent head was there before', async () => {
    const before = tableOf('base', { '0.0': 2, '1.0': 3, '1.1': 0.25 });
    const report = await diff([before, post], { selection, nullRepeats: 0 });
    const head = report.comparisons[0].heads.find(({ name }) => name === 'a1.h1')!;
    expect(head).toMatchObject({ status: 'emergent', baseImportance: 0 });
    expect(head.baseScoreShare).toBeCloseTo(0.25 / 5.25, 1);
    expect(head.otherScoreShare).toBeCloseTo(4 / 7, 1);
    const heads = report.comparisons[0].heads;
    expect(heads.reduce((sum, row) => sum + row.baseScoreShare, 0)).toBeCloseTo(1, 12);
    const [titles, ...lines] = diffCsv(report).trimEnd().split('\n');
    expect(titles).toMatch(/,base_score_share,other_score_share$/);
    const line = lines.find((row) => row.includes('a1.h1'))!;
    expect(line.split(',').slice(-2).map(Number)).toEqual([
      head.baseScoreShare,
      head.otherScoreShare,
    ]);
  });

  it('does without evidence where pair scores are missing, and says so', async () => {
    const { scores, meta } = post.table;
    const bare = { name: 'bare', table: { shape, scores, meta } };
    const report = await diff([base, bare], { selection, nullRepeats: 5 });
    expect(report.bootstrap).toBeNull();
    expect(report.nullDiff).not.toBeNull();
    expect(report.comparisons[0].heads[0].certain).toBeUndefined();
    expect(report.notes).toEqual(['no intervals: bare has no per-pair scores']);
  });

  it('has no interval and no probability from one pair, and no certain head from few', async () => {
    const of = (pairs: number): DiffInput[] => [
      tableOf('one', { '0.0': 2, '1.0': 3 }, pairs),
      tableOf('other', { '0.0': 2, '1.1': 4 }, pairs),
    ];
    const single = await diff(of(1), { selection, nullRepeats: 0 });
    expect(single.bootstrap).toBeNull();
    expect(single.comparisons[0].emergentCount).toBeUndefined();
    for (const head of single.comparisons[0].heads) {
      expect(head.importanceDifference).toBeUndefined();
      expect(head.emergenceProbability).toBeUndefined();
      expect(head.certain).toBeUndefined();
    }
    expect(single.notes).toEqual([
      'no intervals and probabilities: one has one pair, and they need at least 2',
    ]);
    const few = await diff(of(4), { selection, resamples: 20, nullRepeats: 0 });
    expect(few.comparisons[0].heads.some(({ certain }) => certain)).toBe(false);
    expect(few.notes).toEqual([
      'few pairs: from 4 no head is certain, since a sign test of fewer than 6 cannot reach p = 0.05',
    ]);
    const { context, stdout } = readContext();
    printDiff(few, context, 10);
    expect(stdout()).toMatch(/a1\.h1 .* 1\.000 +few pairs/);
    expect(stdout()).not.toMatch(/\d +(un)?certain\n/);
  });

  it('says when the scores are of other pairs, and nothing of pairs that are the same', async () => {
    const on = ({ name, table }: DiffInput, task: string, pairsHash: string): DiffInput => ({
      name,
      table: { ...table, meta: { task, pairsHash } },
    });
    const options = { selection, resamples: 20, nullRepeats: 0 } as const;
    const [here, there] = [on(base, 'sums.jsonl', 'a'), on(post, 'ioi.jsonl', 'b')];
    expect((await diff([here, there], options)).notes).toEqual([
      'post was scored on other pairs (ioi.jsonl) than base (sums.jsonl): heads may differ by the ' +
        'prompts, not by the model alone',
    ]);
    const same = [here, there].map(({ name, table }) => ({
      name,
      table: { ...table, meta: { ...table.meta, fingerprint: 'aa' } },
    }));
    expect((await diff(same, options)).notes).toEqual([
      expect.stringMatching(/^post and base are scores of the same weights/),
      expect.stringMatching(/heads may differ by the prompts$/),
    ]);
    expect((await diff([here, on(post, 'copy.jsonl', 'a')], options)).notes).toEqual([]);
    expect((await diff([here, post], options)).notes).toEqual([]);
  });

  it('knows pairs by their hash: as many others are not resampled together, whatever their names', async () => {
    const on = (pairsHash?: string): DiffInput => {
      const meta = pairsHash === undefined ? {} : { pairsHash };
      return { name: 'post', table: { ...post.table, meta } };
    };
    const options = { selection, resamples: 20, nullRepeats: 0 } as const;
    const pairingOf = async (other: DiffInput, pairing?: 'paired') => {
      const report = await diff([base, other], { ...options, pairing });
      return [report.bootstrap!.pairing, ...report.notes];
    };
    expect(await pairingOf(on('a'))).toEqual(['paired']);
    expect(await pairingOf(on('b'))).toEqual([
      'independent',
      'post was scored on other pairs than base: heads may differ by the prompts, not by the model alone',
    ]);
    expect(await pairingOf(on())).toEqual([
      'independent',
      'post may be of other pairs than base: their files do not say (no pairsHash)',
    ]);
    expect(await pairingOf(on('b'), 'paired')).toEqual(['paired']);
    await expect(pairingOf(on('b'), 'pair' as 'paired')).rejects.toThrow(
      /^pairing is "pair"; it must be one/,
    );
  });

  it('says whose weights were compared, and when two tables are of the same', async () => {
    const of = ({ name, table }: DiffInput, fingerprint: string): DiffInput => ({
      name,
      table: { ...table, meta: { ...table.meta, fingerprint } },
    });
    const options = { selection, resamples: 20, nullRepeats: 0 } as const;
    const other = await diff([of(base, 'aa'), of(post, 'bb')], options);
    expect(other.circuits.map(({ fingerprint }) => fingerprint)).toEqual(['aa', 'bb']);
    expect(other.notes).toEqual([]);
    const same = await diff([of(base, 'aa'), of(post, 'bb'), of(copy, 'bb')], options);
    expect(same.notes).toEqual([
      'copy and post are scores of the same weights (their fingerprints are equal): what differs is ' +
        'pairs or settings, not training',
    ]);
    const unknown = await diff([base, post, copy], options);
    expect(unknown.notes).toEqual([]);
    expect(unknown.circuits.every((circuit) => !('fingerprint' in circuit))).toBe(true);
  });

  it('says that what halves of the pairs make is an upper estimate', async () => {
    const report = await diff([base, post], { selection, resamples: 20, nullRepeats: 10 });
    const { context, stdout } = readContext();
    printDiff(report, context, 10);
    expect(stdout()).toContain(
      'Halves of 6 pairs vary more than all 12, so this is an upper estimate.',
    );
  });

  it('asks for a selection where the files hold scores only', async () => {
    await expect(diff([base, post])).rejects.toThrow(/base holds scores but no circuit/);
  });
});

describe('reading a report', () => {
  async function written(value: unknown): Promise<string> {
    const path = join(folder, 'diff.json');
    await writeFile(path, JSON.stringify(value));
    return path;
  }

  it('gives groups, most important first', async () => {
    const report = await diff([base, post], { selection, resamples: 20, nullRepeats: 0 });
    const read = await readDiffReport(await written(report));
    const names = (group: 'emergent' | 'vanished' | 'retained') =>
      headsOfGroup(read, group).heads.map(formatHead);
    expect(names('emergent')).toEqual(['a1.h1', 'a0.h2']);
    expect(names('vanished')).toEqual(['a1.h0']);
    expect(names('retained')).toEqual(['a0.h0']);
    expect(() => headsOfGroup(read, 'emergent', 'other')).toThrow(/no comparison with "other"/);
  });

  it('gives the weights that the circuits name, and no others', async () => {
    const report = await diff([base, post], { selection, resamples: 20, nullRepeats: 0 });
    const circuits = [{ name: 'base', fingerprint: 'aa' }, { name: 'post' }];
    expect((await readDiffReport(await written({ ...report, circuits }))).circuits).toEqual([
      { name: 'base', fingerprint: 'aa' },
    ]);
    for (const damaged of [undefined, 3, [null, 'a', { name: 1, fingerprint: 'aa' }]]) {
      const read = await readDiffReport(await written({ ...report, circuits: damaged }));
      expect(read.circuits).toEqual([]);
      expect(headsOfGroup(read, 'emergent').heads).toHaveLength(2);
    }
  });

  it.each([
    [{}, /is not a diff report/],
    [{ format: 'headspark-diff', version: 2 }, /has report version 2/],
    [{ format: 'headspark-diff', version: 1 }, /damaged comparisons/],
    [{ format: 'headspark-diff', version: 1, comparisons: [] }, /damaged comparisons/],
    [
      {
        format: 'headspark-diff',
        version: 1,
        comparisons: [{ base: 'a', other: 'b', heads: [{ layer: -1 }] }],
      },
      /damaged comparisons/,
    ],
  ])('refuses %j', async (value, message) => {
    const path = await written(value);
    await expect(readDiffReport(path)).rejects.toThrow(message);
    await expect(readDiffReport(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
    });
  });

  it('names a report that is not there', async () => {
    await expect(readDiffReport(join(folder, 'none.json'))).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
  });
});
