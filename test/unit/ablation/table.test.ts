// The numbers of the table: changes, tests, the comparison with controls, and what it says.
import { describe, expect, it } from 'vitest';
import {
  ablateSubject,
  ablationCsv,
  csvField,
  pairNotes,
  rankPValue,
  type AblateOptions,
  type AblationTable,
} from '../../../lib/ablation/index.js';
import { permutationsFor } from '../../../lib/ablation/ablate.js';
import { parseHeads } from '../../../lib/head-gate.js';
import {
  benjaminiHochberg,
  holmAdjust,
  mcnemarExact,
  mean,
  pairedPermutationTest,
} from '../../../lib/stats/index.js';
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
    expect([strong, weak].map((row) => row.permutation.qValue)).toEqual(benjaminiHochberg(tests));
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

describe('few pairs', () => {
  const single = { plan: { kind: 'single' }, resamples: 100 } as const;
  const of = async (count: number, options: Partial<AblateOptions> = {}): Promise<AblationTable> =>
    ablateSubject(subjectOf(fakeRunner(count), count), { ...single, ...options });
  const noteOf = ({ notes }: AblationTable): string | undefined =>
    notes.find((note) => note.includes('McNemar and permutation p-values cannot be below'));

  it('cannot reach significance over all heads, and the table says how many would', async () => {
    const table = await of(8);
    // 24 heads: 24 * 2 / 2^10 is 0.047, and 24 * 2 / 2^9 is 0.094.
    expect(noteOf(table)).toBe(
      "with 8 pairs McNemar and permutation p-values cannot be below 0.00781 (0.188 after Holm's over " +
        '24 rows); use at least 10 pairs to reach 0.05',
    );
    const adjusted = table.variants.map(({ permutation }) => permutation.adjusted);
    expect(Math.min(...adjusted)).toBe(24 * 2 ** -7);
    expect(noteOf(await of(9))).toBeDefined();
    const enough = await of(10);
    expect(noteOf(enough)).toBeUndefined();
    expect(Math.min(...enough.variants.map((row) => row.permutation.adjusted))).toBeLessThan(0.05);
  });

  it('count rows that change something, and what confidence asks for', async () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1,3.2')] } as const;
    expect(noteOf(await of(4, { plan, factors: [0, 1] }))).toBe(
      'with 4 pairs McNemar and permutation p-values cannot be below 0.125; use at least 6 pairs to ' +
        'reach 0.05',
    );
    expect(noteOf(await of(6, { plan }))).toBeUndefined();
    expect(noteOf(await of(6, { plan, confidence: 0.99 }))).toContain('8 pairs to reach 0.01');
    expect(noteOf(await of(4, { plan, confidence: 0.8 }))).toBeUndefined();
    expect(noteOf(await of(4, { plan, factors: [1] }))).toBeUndefined();
  });

  it('is what 21 pairs no longer are: their signs are drawn', () => {
    const values = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
    const zeros = (count: number): number[] => values(count).map(() => 0);
    expect(pairedPermutationTest(zeros(20), values(20)).pValue).toBe(2 ** -19);
    expect(pairedPermutationTest(zeros(21), values(21)).exact).toBe(false);
    const row = (exact: boolean) => ({
      factor: 0,
      permutation: { pValue: 1, adjusted: 1, qValue: 1, exact },
    });
    const settings = { pairs: 100, permutations: 9_999, confidence: 0.95 };
    const rows = Array.from({ length: 600 }, () => row(false));
    expect(pairNotes(settings, rows)).toEqual([
      'with 9999 sign patterns drawn of 100 pairs permutation p-values cannot be below 0.0001 (0.06 ' +
        "after Holm's over 600 rows); ablate fewer sets to reach 0.05",
    ]);
    expect(pairNotes(settings, rows.slice(0, 500))).toEqual([]);
    expect(pairNotes(settings, [...rows, row(true)])).toEqual([]);
    const many = Array.from({ length: 30_000 }, () => row(true));
    expect(pairNotes({ ...settings, pairs: 12 }, many)[0]).toContain(
      '; ablate fewer sets to reach',
    );
  });
});

it('as many permutations are drawn as rows need after their correction, while that is affordable', () => {
  for (const [rows, pairs] of [
    [1024, 100],
    [400, 1000],
    [336, 64],
  ] as const) {
    expect(rows / (permutationsFor(rows, pairs) + 1)).toBeLessThan(0.025);
  }
  expect(permutationsFor(20, 100)).toBe(99_999);
  expect(permutationsFor(200, 5000)).toBe(9_999);
  expect(permutationsFor(20_000, 1000)).toBe(9_999);
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
