// The numbers of the table: changes, tests, the comparison with controls, and what it says.
import { describe, expect, it } from 'vitest';
import {
  ablateSubject,
  ablationCsv,
  csvField,
  rankPValue,
  type AblateOptions,
  type AblationTable,
} from '../../../lib/ablation/index.js';
import { parseHeads } from '../../../lib/head-gate.js';
import { holmAdjust, mcnemarExact, mean, pairedPermutationTest } from '../../../lib/stats/index.js';
import { fakeRunner, subjectOf, worth } from './fake-runner.js';

const pairs = 40;

function ablate(options: AblateOptions, sign = 1): Promise<AblationTable> {
  const runner = fakeRunner(pairs, { metricSign: sign });
  return ablateSubject(subjectOf(runner, pairs), { resamples: 500, ...options });
}

describe('rankPValue', () => {
  it('counts the set itself and the controls with at least as large a drop', () => {
    expect(rankPValue(5, [1, 2, 3, 4])).toBe(1 / 5);
    expect(rankPValue(3, [1, 2, 3, 4])).toBe(3 / 5);
    expect(rankPValue(0, [1, 2, 3, 4])).toBe(1);
  });

  it('counts ties, however their shares were computed', () => {
    // 3 of 100 problems: the mean of differences, and a difference of two means.
    expect(0.69 - 0.66).toBeLessThan(0.03);
    expect(rankPValue(0.03, [0.69 - 0.66, 0.02])).toBe(2 / 3);
    // The other way round, and a drop that is less.
    expect(rankPValue(0.69 - 0.66, [0.03, 0.02])).toBe(2 / 3);
    expect(rankPValue(0.03, [0.029, 0.02])).toBe(1 / 3);
  });
});

describe('rows', () => {
  it('correct p-values for the rows that change something', async () => {
    const plan: AblateOptions['plan'] = { kind: 'sets', sets: [parseHeads('3.1')] };
    const alone = await ablate({ plan, factors: [0, 0.5] });
    const beside = await ablate({ plan, factors: [0, 0.5, 1] });
    const adjusted = (table: AblationTable) =>
      table.variants
        .filter(({ factor }) => factor !== 1)
        .map(({ mcnemar, controls }) => [mcnemar.adjusted, controls?.rankAdjusted]);
    expect(adjusted(beside)).toEqual(adjusted(alone));
    const same = beside.variants.find(({ factor }) => factor === 1)!;
    expect(same.permutation.adjusted).toBe(1);
  });

  it('carry the change, its interval and the tests of lib/stats', async () => {
    const table = await ablate({
      plan: { kind: 'sets', sets: [parseHeads('3.1'), parseHeads('0.0')] },
    });
    const [strong, weak] = table.variants;
    const lost = Array.from({ length: pairs }, (_, pair) => worth({ layer: 3, head: 1 }, pair));
    expect(strong.change.estimate).toBeCloseTo(-mean(lost), 5);
    expect(strong.change.low).toBeLessThan(strong.change.estimate);
    expect(strong.change.high).toBeGreaterThan(strong.change.estimate);
    const { correct } = table.baseline;
    expect(strong.mcnemar.pValue).toBe(mcnemarExact(correct, strong.correct).pValue);
    expect(strong.lost).toBe(mcnemarExact(correct, strong.correct).lost);
    const { permutations, seed } = table.settings;
    const tests = [strong, weak].map(
      (row, index) =>
        pairedPermutationTest(
          Float32Array.from(table.baseline.values),
          Float32Array.from(row.values),
          { permutations, seed: seed + index },
        ).pValue,
    );
    expect([strong, weak].map((row) => row.permutation.pValue)).toEqual(tests);
    expect([strong, weak].map((row) => row.permutation.adjusted)).toEqual(holmAdjust(tests));
    expect(strong.accuracy).toBe(mean(strong.correct));
    expect(strong.values).toHaveLength(pairs);
  });

  it('leave no rounding beside random sets at factor 1', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('0.0')] } as const;
    const table = await ablate({ plan, factors: [1] }, 0.07);
    const none = { estimate: 0, low: 0, high: 0 };
    expect(table.variants[0].controls).toMatchObject({ difference: none, sets: 5 });
  });

  it('change nothing at factor 1', async () => {
    const table = await ablate({ plan: { kind: 'single' }, factors: [1] });
    expect(table.variants).toHaveLength(24);
    for (const row of table.variants) {
      expect(row.change).toEqual({ estimate: 0, low: 0, high: 0 });
      expect(row.permutation.pValue).toBe(1);
      expect(row.mcnemar.pValue).toBe(1);
    }
  });
});

describe('a single pair', () => {
  it('has no intervals, and the table says how many are needed', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1,3.2,1.0')] } as const;
    const table = await ablateSubject(subjectOf(fakeRunner(1), 1), { plan, resamples: 500 });
    const [{ change, controls }] = table.variants;
    expect([change.low, change.high]).toEqual([NaN, NaN]);
    expect(controls!.difference.low).toBe(NaN);
    expect(table.notes[0]).toContain('but one pair has no interval');
    expect(table.notes).toContain('one pair has no intervals: they need at least 2 pairs');
    const [header, , row] = ablationCsv(table).split('\n');
    const cells = row.replace(/"[^"]*"/g, '').split(',');
    expect(cells[header.split(',').indexOf('change_low')]).toBe('');
  });
});

describe('several factors', () => {
  const plan = { kind: 'sets', sets: [parseHeads('3.1,3.2,1.0'), parseHeads('0.0')] } as const;
  const factors = [0, 0.5, 2];

  it('are rows of one table, each beside controls of its own factor', async () => {
    const table = await ablate({ plan, factors, controls: 20 });
    expect(table.settings.factors).toEqual(factors);
    expect(table.baseline.factor).toBe(1);
    const [strong, half, double] = table.variants;
    expect(table.variants.map(({ factor }) => factor)).toEqual([...factors, ...factors]);
    expect(half.change.estimate).toBeCloseTo(strong.change.estimate / 2, 5);
    expect(double.change.estimate).toBeCloseTo(-strong.change.estimate, 5);
    for (const row of table.variants) {
      const own = table.controls.filter(({ of }) => of === row.name);
      expect(own).toHaveLength(row.controls!.sets);
      expect(own.every(({ factor }) => factor === row.factor)).toBe(true);
      expect(row.controls!.change.mean).toBeCloseTo(mean(own.map(({ change }) => change)), 12);
    }
    const tests = table.variants.map(({ permutation }) => permutation.pValue);
    expect(table.variants.map(({ permutation }) => permutation.adjusted)).toEqual(
      holmAdjust(tests),
    );
    const verdicts = table.notes.filter((note) => /^a0\.h0 × \S+: (ablating|scaling)/.test(note));
    expect(verdicts.map((note) => note.split(' it is not')[0])).toEqual([
      'a0.h0 × 0: ablating',
      'a0.h0 × 0.5: scaling',
      'a0.h0 × 2: scaling',
    ]);
  });

  it('stand in a column of the CSV, with 1 for the unablated model', async () => {
    const lines = ablationCsv(await ablate({ plan, factors, controls: 2 })).split('\n');
    const rows = lines.slice(1, -1).map((line) => line.replace(/"[^"]*"/g, '').split(','));
    expect(rows).toHaveLength(1 + 6 + 12);
    expect(rows.slice(0, 7).map((row) => row[4])).toEqual(['1', '0', '0.5', '2', '0', '0.5', '2']);
    expect(rows.slice(7, 13).map((row) => row[4])).toEqual(['0', '0', '0.5', '0.5', '2', '2']);
  });
});

describe('controls', () => {
  it('are beaten by the heads that carry the task', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1,3.2,1.0')] } as const;
    const table = await ablate({ plan, controls: 20 });
    const { controls } = table.variants[0];
    expect(controls?.sets).toBe(20);
    expect(table.controls).toHaveLength(20);
    expect(controls?.rankPValue).toBe(1 / 21);
    const changes = table.controls.map(({ change }) => change);
    expect(controls?.change.mean).toBeCloseTo(mean(changes), 12);
    expect(controls?.change.min).toBe(Math.min(...changes));
    expect(controls?.difference.estimate).toBeCloseTo(
      table.variants[0].change.estimate - mean(changes),
      5,
    );
    expect(controls?.difference.high).toBeLessThan(0);
    expect(table.notes[0]).toContain(
      'hurts more than all 20 of its matched random sets, and the interval over pairs leaves out 0',
    );
  });

  it('are not beaten by heads that do nothing, and the table says so', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.0')] } as const;
    const table = await ablate({ plan, controls: 5 });
    expect(table.variants[0].controls!.rankPValue).toBeGreaterThan(0.3);
    expect(table.notes[0]).toContain('hurts less than its matched random sets do on average');
    expect(table.notes).toContain(
      'with 5 control sets a rank p-value cannot be below 0.167; use at least 19 to reach 0.05',
    );
  });

  it('read a metric that grows when the model gets worse the other way round', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1,3.2,1.0')] } as const;
    const table = await ablate({ plan, controls: 20, metric: 'nll' }, -1);
    expect(table.settings.worse).toBe('higher');
    expect(table.variants[0].change.estimate).toBeGreaterThan(0);
    expect(table.variants[0].controls?.rankPValue).toBe(1 / 21);
    expect(table.notes[0]).toContain('hurts more than all 20');
  });
});

describe('kl', () => {
  it('is said to change with any heads, and other metrics are not', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.0')] } as const;
    const notes = async (metric: 'kl' | 'nll'): Promise<string> =>
      (await ablate({ plan, controls: 5, metric }, -1)).notes.join('\n');
    expect(await notes('kl')).toContain(
      'kl is 0 for the unablated model and above 0 for all others',
    );
    expect(await notes('nll')).not.toContain('kl is 0');
  });
});

describe('the result', () => {
  it('is plain JSON and the same for the same seed', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1,2.0')] } as const;
    const [first, second] = [await ablate({ plan }), await ablate({ plan })];
    expect(JSON.parse(JSON.stringify(first))).toEqual(first);
    expect(second).toEqual(first);
    const other = await ablate({ plan, seed: 1 });
    expect(other.controls.map(({ heads }) => heads)).not.toEqual(
      first.controls.map(({ heads }) => heads),
    );
  });

  it('becomes CSV with one line per variant and control', async () => {
    const table = await ablate({
      plan: { kind: 'sets', sets: [parseHeads('3.1,2.0')] },
      controls: 3,
    });
    const lines = ablationCsv(table).trimEnd().split('\n');
    expect(lines).toHaveLength(1 + 1 + 1 + 3);
    expect(lines[0].startsWith('name,kind,of,heads,factor,metric,change')).toBe(true);
    expect(lines[2].startsWith('"a2.h0,a3.h1",sets,,a2.h0 a3.h1,0,')).toBe(true);
    const width = lines[0].split(',').length;
    expect(
      lines.slice(3).every((line) => line.replace(/"[^"]*"/g, '').split(',').length === width),
    ).toBe(true);
    expect(csvField('say "a,b"')).toBe('"say ""a,b"""');
  });

  it.each([
    [{ factors: [0, NaN] }, /number from/],
    [{ factors: [0, 0] }, /factor 0 is given twice/],
    [{ ablation: 'none' as never }, /ablation "none" is unknown/],
    [{ positions: 'some' as never }, /positions "some"/],
    [{ controls: 1.5 }, /controls must be/],
    [{ seed: -1 }, /seed must be/],
    [{ confidence: 1 }, /confidence/],
  ])('refuses %j', async (options, message) => {
    await expect(ablate({ plan: { kind: 'single' }, ...options })).rejects.toThrow(message);
  });
});
