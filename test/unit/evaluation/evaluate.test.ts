// Evaluations with a fake model: seeds and order, resuming after failures at any sample, shards,
// merging, the table's figures, CSV and Parquet.
import { parseShard } from '../../../lib/shard.js';
import { parquetReadObjects } from 'hyparquet';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  evaluateSubject,
  evaluationCsv,
  isNearTie,
  mergeJournals,
  nearestTieOf,
  nearTieMargin,
  sampleSeed,
  samplesParquet,
  shardProblems,
  buildEvaluation,
  type EvaluateOptions,
} from '../../../lib/evaluation/index.js';
import type { GenerationRequest } from '../../../lib/generation-types.js';
import { Journal } from '../../../lib/journal.js';
import { mcnemarExact, normalQuantile, passAtK, Random } from '../../../lib/stats/index.js';
import { printEvaluation } from '../../../lib/cli/evaluation-table.js';
import { readContext } from '../cli/terminal.js';
import { eos, fakeBenchmark, fakeSubject } from './fake.js';

const benchmark = fakeBenchmark(24);
const options: EvaluateOptions = {
  plan: { kind: 'sets', sets: [[{ layer: 0, head: 0 }], [{ layer: 1, head: 2 }]] },
  controls: 2,
  samples: 4,
  seed: 3,
  resamples: 300,
};
/** Unablated, two sets, two controls each. */
const total = 24 * 7 * 4;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-evaluation-'));
});
const path = (name: string): string => join(folder, name);

describe('the run', () => {
  it('asks for every sample once, with seeds that do not depend on the variant', async () => {
    const requests: GenerationRequest[] = [];
    await evaluateSubject(
      fakeSubject({ onRequest: (request) => requests.push(request) }),
      benchmark,
      options,
    );
    expect(requests.length).toBe(total);
    const seeds = new Map<string, Set<bigint>>();
    for (const { heads, seed } of requests) {
      const key = JSON.stringify(heads);
      seeds.set(key, (seeds.get(key) ?? new Set()).add(seed as bigint));
    }
    expect(seeds.size).toBe(7);
    expect(requests[0].stopTokens).toEqual([eos]);
    for (const own of seeds.values()) {
      expect(own.size).toBe(24 * 4);
      expect([...own]).toEqual([...seeds.get('[]')!]);
    }
    expect(sampleSeed(3, 'p0', 0)).not.toBe(sampleSeed(3, 'p0', 1));
    expect(sampleSeed(3, 'p0', 0)).not.toBe(sampleSeed(4, 'p0', 0));
    expect(requests[0].sampling).toEqual({
      temperature: 0.6,
      topP: 0.95,
      topK: 0,
      minP: 0,
      repetitionPenalty: 1,
    });
  });

  it('goes on after a failure at any sample, and gives the same bytes', async () => {
    const whole = await evaluateSubject(fakeSubject(), benchmark, options);
    const random = new Random(8);
    const journal = path('run.journal');
    let failures = 0;
    let result;
    let done = 0;
    while (!result) {
      const subject = fakeSubject({ failAfter: random.below(90), window: 2 + random.below(9) });
      let first: number | undefined;
      result = await evaluateSubject(subject, benchmark, {
        ...options,
        journal,
        onProgress: (progress) => (first ??= progress.done),
      }).catch((error: Error) => {
        expect(error.message).toBe('the fake failed');
        failures++;
      });
      // Nothing that was finished is run again.
      expect(first).toBeGreaterThanOrEqual(done);
      done = first!;
    }
    expect(failures).toBeGreaterThan(5);
    expect(JSON.stringify(result.table)).toBe(JSON.stringify(whole.table));
    const again = await evaluateSubject(fakeSubject({ failAfter: 0 }), benchmark, {
      ...options,
      journal,
    });
    expect(JSON.stringify(again.table)).toBe(JSON.stringify(whole.table));
  }, 300_000);

  it('stops on a signal and keeps what is finished', async () => {
    const controller = new AbortController();
    const run = evaluateSubject(fakeSubject(), benchmark, {
      ...options,
      journal: path('a.journal'),
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done >= 50) controller.abort(new Error('enough'));
      },
    });
    await expect(run).rejects.toThrow();
    let first: number | undefined;
    await evaluateSubject(fakeSubject(), benchmark, {
      ...options,
      journal: path('a.journal'),
      onProgress: (progress) => (first ??= progress.done),
    });
    expect(first).toBeGreaterThanOrEqual(50);
  });

  it('refuses a journal of other settings by name', async () => {
    await evaluateSubject(fakeSubject(), benchmark, { ...options, journal: path('b.journal') });
    const other = (change: EvaluateOptions) =>
      evaluateSubject(fakeSubject(), benchmark, {
        ...options,
        ...change,
        journal: path('b.journal'),
      });
    await expect(other({ seed: 4 })).rejects.toThrow(/other settings: .*seed/);
    await expect(other({ factors: [0.5] })).rejects.toThrow(
      /factors \(journal: \[0\], now: \[0.5\]\)/,
    );
    await expect(other({ stopTokens: [7] })).rejects.toThrow(
      /stopTokens \(journal: \[\], now: \[7\]\)/,
    );
    await expect(other({ shard: { index: 1, count: 2 } })).rejects.toThrow(/shard/);
    await expect(
      evaluateSubject(fakeSubject(), fakeBenchmark(25), { ...options, journal: path('b.journal') }),
    ).rejects.toMatchObject({ code: 'ERR_HEADSPARK_SETTINGS_MISMATCH' });
  });

  it('refuses a record that is no sample', async () => {
    const journal = path('c.journal');
    await evaluateSubject(fakeSubject(), benchmark, { ...options, journal });
    const [header] = (await readFile(journal, 'utf8')).split('\n');
    const { settings } = JSON.parse(header) as { settings: Record<string, unknown> };
    await writeFile(journal, '');
    const open = await Journal.open({ path: journal, settings });
    await open.append('0/0/0', { text: 'x', tokens: [1.5] });
    await open.close();
    await expect(
      evaluateSubject(fakeSubject(), benchmark, { ...options, journal }),
    ).rejects.toThrow(/record "0\/0\/0" is no sample \("tokens"/);
  });

  it('refuses options that make no sense', async () => {
    const run = (change: EvaluateOptions) =>
      evaluateSubject(fakeSubject(), benchmark, { ...options, ...change });
    await expect(run({ samples: 0 })).rejects.toThrow(/samples is 0/);
    await expect(run({ factors: [NaN] })).rejects.toThrow(/factor must be a number from/);
    await expect(run({ factors: [2, 2] })).rejects.toThrow(/the factor 2 is given twice/);
    await expect(run({ sources: [] })).rejects.toThrow(/answer sources are/);
    await expect(run({ maxNewTokens: 0 })).rejects.toThrow(/maxNewTokens is 0/);
    await expect(run({ positions: 'some' as 'all' })).rejects.toThrow(/positions "some"/);
    await expect(run({ plan: { kind: 'sets', sets: [[{ layer: 9, head: 0 }]] } })).rejects.toThrow(
      /a9.h0 is not in the model/,
    );
  });
});

describe('the table', () => {
  it('holds the figures of its samples', async () => {
    const { table, samples } = await evaluateSubject(fakeSubject(), benchmark, options);
    const [unablated, set, idle] = table.rows;
    const rightOf = (variant: number): number[] =>
      Array.from(
        { length: 24 },
        (_, problem) =>
          [0, 1, 2, 3].filter((s) => samples.get(`${problem}/${variant}/${s}`)!.correct).length,
      );
    expect(unablated.right).toEqual(rightOf(0));
    expect(set.right).toEqual(rightOf(1));
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(unablated.accuracy.estimate).toBeCloseTo(mean(rightOf(0)) / 4, 12);
    expect(set.passAt.map(({ k }) => k)).toEqual([1, 2, 4]);
    const chosen = await evaluateSubject(fakeSubject(), benchmark, { samples: 4, ks: [3, 1] });
    expect(chosen.table.rows[0].passAt.map(({ k }) => k)).toEqual([1, 3]);
    expect(chosen.table.rows[0].successAt.map(({ k }) => k)).toEqual([1, 3]);
    for (const ks of [[5], [0], [1.5], []]) {
      const wrong = evaluateSubject(fakeSubject(), benchmark, { samples: 4, ks });
      await expect(wrong).rejects.toThrow(/whole numbers k from 1 to the 4 samples/);
    }
    expect(set.passAt[1].value.estimate).toBeCloseTo(
      mean(rightOf(1).map((right) => passAtK(4, right, 2))),
      12,
    );
    expect(set.successAt[2].value.estimate).toBeCloseTo(set.passAt[2].value.estimate, 12);
    expect(set.change!.accuracy.estimate).toBeCloseTo(
      (mean(rightOf(1)) - mean(rightOf(0))) / 4,
      12,
    );
    expect(set.change!.accuracy.high).toBeLessThan(0);
    expect(set.change!.permutation.adjusted).toBeLessThan(0.01);
    // Head a1.h2 does nothing in the fake: the same random numbers give the same samples.
    // 24 problems that did not change leave open what two that nobody saw could.
    const open = (normalQuantile(0.975) * Math.SQRT2) / 26;
    const bounds = {
      low: expect.closeTo(-open, 12) as number,
      high: expect.closeTo(open, 12) as number,
    };
    expect(idle.change!.accuracy).toEqual({ estimate: 0, ...bounds });
    expect(idle.flipCounts).toEqual({ rightToWrong: 0, wrongToRight: 0 });
    expect(set.controls!.difference.high).toBeLessThan(0);
    expect(set.controls!.rankPValue).toBeCloseTo(1 / 3, 12);
    expect(set.failures.modes['false-arithmetic'].rate.estimate).toBeCloseTo(
      1 - set.accuracy.estimate,
      12,
    );
    expect(set.flips!.length).toBe(
      Math.min(50, set.flipCounts!.rightToWrong + set.flipCounts!.wrongToRight),
    );
    // Of more flips than are kept, both directions have their share.
    const kept = (direction: string): number =>
      set.flips!.filter((flip) => flip.direction === direction).length;
    const { rightToWrong, wrongToRight } = set.flipCounts!;
    expect(rightToWrong).toBeGreaterThan(wrongToRight);
    expect(kept('wrong-to-right')).toBe(Math.min(wrongToRight, Math.max(25, 50 - rightToWrong)));
    expect(kept('right-to-wrong')).toBe(Math.min(rightToWrong, Math.max(25, 50 - wrongToRight)));
    expect(table.controls.length).toBe(4);
    expect(table.power.text).toMatch(/^with 24 problems × 4 samples this contrast could show/);
    expect(table.power.afterHolm).toBeGreaterThan(table.power.change!);
  });

  it("tests one answer per problem with McNemar's exact test", async () => {
    const { table } = await evaluateSubject(fakeSubject(), benchmark, { ...options, samples: 1 });
    const [unablated, set] = table.rows;
    const expected = mcnemarExact([...unablated.right], [...set.right]);
    expect(set.change!.mcnemar.pValue).toBe(expected.pValue);
    expect(set.change!.lost).toBe(expected.lost);
    expect(set.change!.passAtMost).toBeUndefined();
    expect(table.power.method).toBe('mcnemar-exact');
    expect(table.settings.sampling.temperature).toBe(0);
  });

  it('counts near-ties of greedy samples and lists them, the nearest first', async () => {
    const { table, samples } = await evaluateSubject(fakeSubject(), benchmark, {
      ...options,
      samples: 1,
    });
    const tied = ['p0', 'p5', 'p10', 'p15', 'p20'];
    for (const row of [...table.rows, ...table.controls]) expect(row.nearTies).toBe(5);
    const { below, count, samples: listed } = table.nearTies!;
    expect(below).toBe(nearTieMargin);
    expect(count).toBe(7 * 5);
    expect(listed.length).toBe(count);
    const margins = listed.map(({ margin }) => margin);
    expect(margins).toEqual([...margins].sort((a, b) => a - b));
    expect(new Set(margins)).toEqual(new Set([5e-5, 1e-4]));
    const unablated = listed.filter(({ variant }) => variant === 'unablated');
    expect(new Set(unablated.map(({ problem }) => problem))).toEqual(new Set(tied));
    for (const { problem, margin, token, answer, correct } of unablated) {
      const record = samples.get(`${problem.slice(1)}/0/0`)!;
      expect(record.nearestTie).toEqual({ margin, token });
      expect(token).toBe(3);
      expect({ answer, correct }).toEqual({ answer: record.answer, correct: record.correct });
      expect(margin).toBe(correct ? 1e-4 : 5e-5);
    }
    expect(samples.get('1/0/0')!.nearestTie).toEqual({ margin: 1, token: 0 });
    const drawn = await evaluateSubject(fakeSubject(), benchmark, options);
    expect(drawn.table.nearTies).toBeNull();
    expect(drawn.table.rows[0].nearTies).toBe(0);
    expect(drawn.samples.get('0/0/0')!.nearestTie).toBeNull();
  });

  it('finds the nearest tie of a sample', () => {
    expect(nearestTieOf([])).toBeNull();
    expect(nearestTieOf([Infinity])).toBeNull();
    expect(nearestTieOf([Infinity, 2, 0.5, 0.5])).toEqual({ margin: 0.5, token: 2 });
    expect(nearestTieOf([0])).toEqual({ margin: 0, token: 0 });
    expect(nearestTieOf([Math.fround(0.1)])).toEqual({ margin: 0.1, token: 0 });
    const at = (margin: number) => isNearTie({ nearestTie: { margin, token: 0 } });
    expect([at(0), at(nearTieMargin / 2), at(nearTieMargin)]).toEqual([true, true, false]);
  });

  it('says what it cannot show', async () => {
    const greedy = await evaluateSubject(fakeSubject(), benchmark, {
      samples: 2,
      sampling: { temperature: 0 },
      maxNewTokens: 5,
      plan: options.plan!,
      resamples: 100,
    });
    expect(greedy.table.notes.join('\n')).toMatch(/greedy decoding gives the same sample/);
    expect(greedy.table.notes.join('\n')).toMatch(
      /100 % of the unablated model's samples are cut off; raise the limit of new tokens/,
    );
    expect(greedy.table.notes.join('\n')).toMatch(/solves hardly anything/);
  });

  it('tells samples in a loop from those that a longer limit would end', async () => {
    const numbers = Array.from({ length: 100 }, (_, index) => `${index * index}`).join(' ');
    const cutOff = async (isLoop: (asked: number) => boolean): Promise<string> => {
      const answer = ({ prompt }: GenerationRequest): string => {
        const asked = Number(/\d+/.exec(String.fromCodePoint(...Array.from(prompt)))![0]);
        return isLoop(asked) ? 'again and '.repeat(60) : numbers;
      };
      const few = { maxNewTokens: 200, resamples: 50 };
      const { table } = await evaluateSubject(fakeSubject({ answer }), benchmark, few);
      return table.notes.find((note) => note.includes('cut off'))!;
    };
    const all = "100 % of the unablated model's samples are cut off";
    expect(await cutOff(() => false)).toBe(`${all}; raise the limit of new tokens`);
    expect(await cutOff(() => true)).toBe(`${all}, 100 % in a loop, which no limit ends`);
    expect(await cutOff((asked) => asked % 4 === 0)).toBe(
      `${all}, 25 % in a loop, which no limit ends; raise the limit of new tokens for the rest`,
    );
  });

  it('says what few random sets can show', async () => {
    const { table } = await evaluateSubject(fakeSubject(), fakeBenchmark(5), options);
    expect(table.notes).toContain(
      'with 2 control sets a rank p-value cannot be below 0.333; use at least 19 to reach 0.05',
    );
    const alone = await evaluateSubject(fakeSubject(), fakeBenchmark(5), {
      ...options,
      controls: 0,
    });
    expect(alone.table.notes.join()).not.toContain('rank p-value');
  });

  it('says so when no change could be significant', async () => {
    const few = await evaluateSubject(fakeSubject(), fakeBenchmark(5), { resamples: 50 });
    expect(few.table.power).toMatchObject({ change: null, method: 'mcnemar-exact' });
    expect(few.table.power.text).toMatch(/5 problems × 1 sample .* could show no change at all/);
  });

  it('is printed with a remark on failures that moved, where some did', async () => {
    const printed = async (problems: number): Promise<string> => {
      const { table } = await evaluateSubject(fakeSubject(), fakeBenchmark(problems), options);
      const { context, stdout } = readContext();
      printEvaluation(table, context, 10);
      return stdout();
    };
    const many = await printed(24);
    expect(many).toContain('How answers fail (share of samples; change against');
    expect(many).toContain('* the interval of the change leaves out 0');
    const one = await printed(1);
    expect(one).toContain('with 1 problem × 4 samples this contrast');
    expect(one).toContain('How answers fail (share of samples)\n');
    expect(one).toContain('every interval of a change holds 0');
    expect(one).not.toContain('*');
  });

  it('is written as CSV and Parquet', async () => {
    const { table, samples, own } = await evaluateSubject(fakeSubject(), benchmark, options);
    const lines = evaluationCsv(table).trim().split('\n');
    expect(lines.length).toBe(1 + 3 + 4);
    expect(new Set(lines.map((line) => line.split(',').length)).size).toBe(1);
    const bytes = await samplesParquet(table.settings, own, samples);
    const file = bytes.buffer.slice(
      bytes.byteOffset,
      bytes.byteOffset + bytes.byteLength,
    ) as ArrayBuffer;
    const rows = await parquetReadObjects({ file });
    expect(rows.length).toBe(total);
    const sample = samples.get('0/0/1')!;
    expect(rows[1]).toMatchObject({
      problem: 'p0',
      variant: 'unablated',
      sample: 1,
      correct: sample.correct,
      answer: sample.answer,
      text: sample.text,
      tokens: sample.tokens.length,
      nearest_tie: null,
      nearest_tie_token: null,
    });
    const greedy = await evaluateSubject(fakeSubject(), benchmark, { ...options, samples: 1 });
    const [header, first] = evaluationCsv(greedy.table).split('\n');
    expect(first.split(',')[header.split(',').indexOf('near_ties')]).toBe('5');
    const data = await samplesParquet(greedy.table.settings, greedy.own, greedy.samples);
    const [row] = await parquetReadObjects({ file: new Uint8Array(data).buffer });
    expect(row).toMatchObject({
      nearest_tie: greedy.samples.get('0/0/0')!.nearestTie!.margin,
      nearest_tie_token: 3,
    });
  });
});

describe('the statistics of one row', () => {
  it('let the event loop run, and end with the signal', async () => {
    const { samples, own, table } = await evaluateSubject(fakeSubject(), benchmark, {
      ...options,
      plan: undefined,
    });
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 1);
    const job = { settings: table.settings, own, samples, resamples: 200_000 };
    await expect(buildEvaluation({ ...job, signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
      cause: reason,
    });
  });
});

describe('shards', () => {
  const few = { ...options, samples: 1, controls: 1 };
  const shards = [1, 2, 3].map((index) => ({ index, count: 3 }));
  const runShards = async (): Promise<string[]> => {
    const paths: string[] = [];
    for (const shard of shards) {
      const journal = path(`${shard.index}.jsonl`);
      await evaluateSubject(fakeSubject(), benchmark, { ...few, shard, journal });
      paths.push(journal);
    }
    return paths;
  };

  it('join into the table of the whole run, in any order', async () => {
    const whole = await evaluateSubject(fakeSubject(), benchmark, few);
    const paths = await runShards();
    const merged = await mergeJournals([...paths.reverse(), paths[0]]);
    const table = await buildEvaluation({ ...merged, resamples: 300 });
    expect(JSON.stringify(table)).toBe(JSON.stringify(whole.table));
  });

  it('refuse mixtures, gaps and damage', async () => {
    const paths = await runShards();
    await expect(mergeJournals(paths.slice(1))).rejects.toThrow(
      /40 of 120 samples are missing .*finish or add the other shards/,
    );
    const shard = shards[0];
    const other = path('other.jsonl');
    await evaluateSubject(fakeSubject(), benchmark, { ...few, seed: 9, shard, journal: other });
    await expect(mergeJournals([other, ...paths.slice(1)])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringMatching(/different settings .* seed \(9 and 3\)/) as string,
    });
    const foreign = path('foreign.jsonl');
    const journal = await Journal.open({ path: foreign, settings: { verb: 'ablate' } });
    await journal.close();
    await expect(mergeJournals([foreign])).rejects.toThrow(/no journal of an evaluation/);
    await writeFile(path('text.jsonl'), 'hello\n');
    await expect(mergeJournals([path('text.jsonl')])).rejects.toThrow(/not a headspark journal/);
    await expect(mergeJournals([path('none.jsonl')])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
    await expect(mergeJournals([])).rejects.toThrow(/no journals/);
  });

  it('are parsed and never empty', () => {
    expect(parseShard('2/8')).toEqual({ index: 2, count: 8 });
    for (const text of ['0/3', '4/3', '1', 'a/b', '1/0', '-1/2', '1/2/3']) {
      expect(() => parseShard(text)).toThrow(/of the form I\/N/);
    }
    expect(shardProblems(5, { index: 2, count: 2 })).toEqual([1, 3]);
    expect(() => shardProblems(2, { index: 3, count: 3 })).toThrow(/is empty/);
  });
});
