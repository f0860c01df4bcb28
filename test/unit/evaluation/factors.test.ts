// Evaluations that gate every set by several factors: one run, one table, one journal.
import { parquetReadObjects } from 'hyparquet';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  buildEvaluation,
  evaluateSubject,
  evaluationCsv,
  mergeJournals,
  samplesParquet,
  type EvaluateOptions,
} from '../../../lib/evaluation/index.js';
import type { GenerationRequest } from '../../../lib/generation-types.js';
import { fakeBenchmark, fakeSubject } from './fake.js';

const benchmark = fakeBenchmark(12);
const factors = [0, 0.5, 2];
const options: EvaluateOptions = {
  plan: { kind: 'sets', sets: [[{ layer: 0, head: 0 }], [{ layer: 1, head: 2 }]] },
  factors,
  controls: 2,
  seed: 3,
  resamples: 200,
};
const names = ['a0.h0', 'a1.h2'].flatMap((set) => factors.map((factor) => `${set} × ${factor}`));
/** The unablated model, and every set with two controls at three factors. */
const variants = 1 + 2 * 3 * 3;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-factors-'));
});
const path = (name: string): string => join(folder, name);

describe('an evaluation with several factors', () => {
  it('corrects p-values for the rows that change something', async () => {
    const adjusted = async (own: readonly number[]) => {
      const { table } = await evaluateSubject(fakeSubject(), benchmark, {
        ...options,
        factors: own,
      });
      return table.rows
        .filter(({ factor }) => factor !== 1)
        .map(({ change, controls }) => [
          change?.mcnemar.adjusted,
          change?.permutation.adjusted,
          controls?.rankAdjusted,
        ]);
    };
    expect(await adjusted([0, 0.5, 1])).toEqual(await adjusted([0, 0.5]));
  });

  it('asks for every set and control at every factor, in one run', async () => {
    const requests: GenerationRequest[] = [];
    const onRequest = (request: GenerationRequest): void => void requests.push(request);
    await evaluateSubject(fakeSubject({ onRequest }), benchmark, options);
    expect(requests.length).toBe(12 * variants);
    const own = requests.slice(0, variants).map(({ heads }) => heads!);
    expect(own[0]).toEqual([]);
    const [set, control] = [own[1], own[2]];
    expect(set).toEqual([{ layer: 0, head: 0, factor: 0 }]);
    expect(control[0]).toMatchObject({ layer: 0, factor: 0 });
    for (const [index, factor] of factors.entries()) {
      expect(own[1 + 3 * index]).toEqual(set.map((head) => ({ ...head, factor })));
      expect(own[2 + 3 * index]).toEqual(control.map((head) => ({ ...head, factor })));
    }
  });

  it('has a row for each, beside controls of its own factor, corrected over all of them', async () => {
    const { table, samples, own } = await evaluateSubject(fakeSubject(), benchmark, options);
    expect(table.settings.factors).toEqual(factors);
    expect(table.rows.map(({ name }) => name)).toEqual(['unablated', ...names]);
    expect(table.rows.map(({ factor }) => factor)).toEqual([1, ...factors, ...factors]);
    for (const row of table.rows.slice(1)) {
      const matched = table.controls.filter(({ of }) => of === row.name);
      expect(matched.map(({ factor }) => factor)).toEqual([row.factor, row.factor]);
      expect(row.controls?.sets).toBe(2);
    }
    // Six rows: the smallest p-value is multiplied by six.
    const tests = table.rows.slice(1).map(({ change }) => change!.mcnemar);
    const smallest = tests.reduce((a, b) => (b.pValue < a.pValue ? b : a));
    expect(smallest.adjusted).toBeCloseTo(Math.min(1, 6 * smallest.pValue), 12);
    expect(table.power.text).toContain('after correction over 6 rows');

    const [header, ...lines] = evaluationCsv(table).trim().split('\n');
    const column = header.split(',').indexOf('factor');
    expect(lines.map((line) => Number(line.split(',')[column]))).toEqual([
      ...[1, ...factors, ...factors],
      ...table.controls.map(({ factor }) => factor),
    ]);
    const bytes = await samplesParquet(table.settings, own, samples);
    const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
    expect(rows.length).toBe(12 * variants);
    expect(rows.slice(0, variants).map(({ factor }) => factor as number)).toEqual(
      table.settings.variants.map(({ factor }) => factor),
    );
  });

  it('gives every factor the answers that it has in a run of its own', async () => {
    const { table } = await evaluateSubject(fakeSubject(), benchmark, options);
    for (const factor of factors) {
      const alone = await evaluateSubject(fakeSubject(), benchmark, {
        ...options,
        factors: [factor],
      });
      const own = table.rows.filter((row) => row.factor === factor);
      expect(own.map(({ right }) => right)).toEqual(
        alone.table.rows.slice(1).map(({ right }) => right),
      );
      expect(alone.table.rows.slice(1).map(({ name }) => name)).toEqual(['a0.h0', 'a1.h2']);
    }
  });

  it('goes on after failures and joins shards to the same bytes', async () => {
    const whole = JSON.stringify((await evaluateSubject(fakeSubject(), benchmark, options)).table);
    const journal = path('resumed.journal');
    for (const failAfter of [1, 40, 90]) {
      const failing = evaluateSubject(fakeSubject({ failAfter }), benchmark, {
        ...options,
        journal,
      });
      await expect(failing).rejects.toThrow('the fake failed');
    }
    const resumed = await evaluateSubject(fakeSubject(), benchmark, { ...options, journal });
    expect(JSON.stringify(resumed.table)).toBe(whole);
    const paths = [1, 2].map((index) => path(`${index}.jsonl`));
    for (const [index, shardJournal] of paths.entries()) {
      const shard = { index: index + 1, count: 2 };
      await evaluateSubject(fakeSubject(), benchmark, { ...options, shard, journal: shardJournal });
    }
    const merged = await buildEvaluation({ ...(await mergeJournals(paths)), resamples: 200 });
    expect(JSON.stringify(merged)).toBe(whole);
  });
});
