// Ablations in the report: single heads as a map, sets beside random ones, and what they could show.
import { describe, expect, it } from 'vitest';
import type { AblationRow, AblationSettings } from '../../../lib/ablation/types.js';
import { ablationFigures } from '../../../lib/report/figures/ablations.js';
import { leastRankTexts } from '../../../lib/report/figures/change-plot.js';
import type { RunData } from '../../../lib/report/run-data.js';
import type { AblationStageFile } from '../../../lib/study/stages/ablation.js';
import { largeStudy } from './large-study.js';

const study = largeStudy();
const [view] = study.views;
const checkpoint = study.manifest.series[0].checkpoints.at(-1)!;

function rowOf(heads: string[], estimate: number, half: number, sets = 0): AblationRow {
  const change = { estimate, low: estimate - half, high: estimate + half };
  const test = { pValue: 0.5, adjusted: 1, qValue: 0.75 };
  const spread = { mean: -0.1, min: -0.2, max: 0 };
  return {
    name: sets === 0 ? heads[0] : `emergent top-${heads.length}`,
    heads,
    factor: 0,
    metric: 1 + estimate,
    accuracy: 0.5,
    values: [],
    correct: [],
    kind: sets === 0 ? 'single' : 'top-k',
    change,
    accuracyChange: { estimate: 0, low: -0.1, high: 0.1 },
    lost: 0,
    gained: 0,
    mcnemar: test,
    permutation: { ...test, exact: true },
    ...(sets === 0
      ? {}
      : {
          controls: {
            sets,
            change: spread,
            accuracyChange: spread,
            rankPValue: 1 / (sets + 1),
            rankAdjusted: 1,
            rankQValue: 1,
            difference: change,
            accuracyRankPValue: 1,
            accuracyDifference: change,
          },
        }),
  };
}

function figureOf(
  variants: AblationRow[],
  plan: AblationSettings['plan'],
  {
    worse = 'lower',
    factors = [0],
    pairs = 40,
    notesOf = (factor: number): string[] => (factor < 0 ? ['never'] : []),
  } = {},
) {
  const settings = {
    plan,
    metric: 'logit-diff',
    worse,
    match: 'layer',
    ablation: 'mean',
    pairs,
    permutations: 9_999,
    confidence: 0.95,
  } as AblationSettings;
  const files = factors.map((factor): AblationStageFile => ({
    format: 'headspark-ablation-stage',
    name: 'plan',
    checkpoint,
    task: view.task,
    form: view.form,
    factor,
    table: {
      format: 'headspark-ablation',
      version: 1,
      settings,
      baseline: rowOf([], 0, 0),
      variants,
      controls: [],
      notes: notesOf(factor),
    },
  }));
  const data: RunData = { ...study, ablations: files };
  return ablationFigures(data, view)[0];
}

describe('single heads', () => {
  // The later the head, the larger its change; every third head makes the model better.
  const heads = Array.from({ length: 36 * 32 }, (_, index) => {
    const size = 0.001 * (index + 1);
    const estimate = index % 3 === 0 ? size : -size;
    return rowOf([`a${Math.floor(index / 32)}.h${index % 32}`], estimate, 0.5);
  });
  const figure = figureOf(heads, 'single');

  it('are drawn one and all, counted, and the largest are on the page', () => {
    const cells = figure.picture!.body.match(/<title>a\d+\.h\d+: logit-diff changes by/g);
    expect(cells).toHaveLength(36 * 32);
    const clear = heads.filter(({ change }) => change.low > 0 || change.high < 0);
    const better = clear.filter(({ change }) => change.estimate > 0).length;
    expect(clear.length).toBeGreaterThan(500);
    expect(figure.caption).toContain(
      `${checkpoint} ${clear.length - better} worse and ${better} better of 1152`,
    );
    expect(figure.caption).not.toMatch(/random/);
    expect(figure.table.rows).toHaveLength(1152);
    expect(figure.pageTable!.rows).toHaveLength(600);
    expect(figure.pageTable!.rows[0]['set']).toBe('a35.h31');
    // Readers see no columns of random sets, which single heads have not.
    const read = figure.table.columns.filter(({ fileOnly }) => !fileOnly);
    expect(read.map(({ key }) => key)).toEqual([
      'checkpoint',
      'set',
      'change',
      'permutation_p_holm',
      'permutation_q',
      'accuracy_change',
      'mcnemar_p_holm',
    ]);
  });

  it('of one pair are not counted by intervals that they have not', () => {
    const row = JSON.parse(JSON.stringify(rowOf(['a1.h1'], -1, NaN))) as AblationRow;
    const { caption } = figureOf([row], 'single', { pairs: 1 });
    expect(caption).toContain('over 1 pair when');
    expect(caption).toContain('One pair has no intervals.');
    expect(caption).not.toContain('0 better');
  });

  it('of a metric that must fall are worse where it rises', () => {
    expect(figureOf([rowOf(['a0.h0'], 1, 0.5)], 'single', { worse: 'higher' }).caption).toContain(
      '1 worse and 0 better of 1',
    );
    expect(figureOf([rowOf(['a0.h0'], 1, 0.5)], 'single').caption).toContain(
      '0 worse and 1 better of 1',
    );
  });
});

describe('sets', () => {
  it('of a single pair are drawn without the interval that they have not', () => {
    const row = JSON.parse(JSON.stringify(rowOf(['a1.h1'], -1, NaN, 20))) as AblationRow;
    const { body } = figureOf([row], 'top-k').picture!;
    expect(body).toContain('logit-diff changes by -1.000; random sets');
    expect(body).not.toMatch(/null|NaN/);
    const single = figureOf([{ ...row, kind: 'single' }], 'single').picture!;
    expect(single.body).toContain('logit-diff changes by −1<');
  });

  it('are named with their factor where there are several, and where it is not 0', () => {
    const rows = [rowOf(['a1.h1'], -1, 0.2, 20)];
    const names = (factors: number[]) => [
      ...new Set(
        figureOf(rows, 'top-k', { factors })
          .picture!.body.match(/[^>]+(?=: logit-diff changes by)/g)!
          .map((name) => name.replace(`${checkpoint} · `, '')),
      ),
    ];
    expect(names([0])).toEqual(['emergent top-1']);
    expect(names([0.5])).toEqual(['emergent top-1 × 0.5']);
    expect(names([0, 0.5])).toEqual(['emergent top-1 × 0', 'emergent top-1 × 0.5']);
  });

  it('say how small a corrected rank p can be', () => {
    const rows = [['a1.h1'], ['a1.h1', 'a2.h2'], ['a1.h1', 'a2.h2', 'a3.h3']].map((heads) =>
      rowOf(heads, -1, 0.2, 20),
    );
    const { notes, tableFirst } = figureOf(rows, 'top-k');
    expect(tableFirst).toBe(true);
    expect(notes).toContain(
      'with 20 random sets Holm’s correction over 3 rows leaves no rank p below 0.143',
    );
  });

  it('are corrected over all factors that the table has of a checkpoint', () => {
    const test = { pValue: 0.01, adjusted: 0.01, qValue: 0.01, exact: false };
    const row = { ...rowOf(['a1.h1'], -1, 0.2, 20), permutation: test };
    const { table, caption } = figureOf([row], 'top-k', { factors: [0, 0.5, 1.3] });
    const of = (key: string) => table.rows.map((one) => one[key]);
    expect(of('permutation_p')).toEqual([0.01, 0.01, 0.01]);
    expect(of('permutation_p_holm')).toEqual([0.03, 0.03, 0.03]);
    expect(of('permutation_q')).toEqual([0.01, 0.01, 0.01]);
    expect(of('rank_p')[0]).toBeCloseTo(1 / 21, 12);
    expect(of('rank_p_holm')[0]).toBeCloseTo(3 / 21, 12);
    expect(caption).toContain('corrected by Holm over all rows of a checkpoint');
  });

  it('say what replaced the heads, on how many pairs, and how sure intervals are', () => {
    const { table, caption } = figureOf([rowOf(['a1.h1'], -1, 0.2, 20)], 'top-k', {
      factors: [0.5],
    });
    expect(caption).toContain('over 40 pairs');
    expect(caption).toContain('95 % bootstrap intervals');
    expect(caption).toContain(
      'A gated head’s output is its mean over the pairs’ clean prompts (mean); at a factor s',
    );
    expect(table.rows[0]).toMatchObject({ ablation: 'mean', pairs: 40, confidence: 0.95 });
  });

  it('pass on every remark of their tables, once, and say of which', () => {
    const rows = [rowOf(['a1.h1'], -1, 0.2, 20)];
    const { notes } = figureOf(rows, 'top-k', {
      factors: [0, 0.5, 1.3],
      notesOf: (factor) => [
        'only 1 emergent head; top-2 was asked for',
        ...(factor === 0 ? ['emergent top-1: ablating it hurts more'] : []),
      ],
    });
    expect(notes).toEqual([
      'only 1 emergent head; top-2 was asked for',
      `${checkpoint} × 0: emergent top-1: ablating it hurts more`,
      expect.stringMatching(/over 3 rows leaves no rank p below 0\.143/),
    ]);
  });

  it('that are named by their heads do not name these twice', () => {
    const of = (name: string) =>
      figureOf([{ ...rowOf(['a1.h1', 'a2.h0'], -1, 0.2, 20), name }], 'sets').table.columns.find(
        ({ key }) => key === 'members',
      )!.fileOnly;
    expect(of('a1.h1,a2.h0')).toBe(true);
    expect(of('emergent top-2')).toBeUndefined();
  });

  it('say what few pairs can show of all factors', () => {
    const rows = [rowOf(['a1.h1'], -1, 0.2)];
    const { notes } = figureOf(rows, 'top-k', { factors: [0, 0.5], pairs: 6 });
    expect(notes!.join()).toContain("0.0625 after Holm's over 2 rows");
    expect(notes).toHaveLength(1);
  });

  it('say nothing of it where 0.05 is in reach', () => {
    const of = (sets: number, rows: number) =>
      leastRankTexts([Array.from({ length: rows }, () => ({ controls: { sets } }))]);
    expect(of(99, 5)).toEqual([]);
    expect(of(98, 5)).toHaveLength(1);
    // One row is not corrected; how few sets it has is a note of its table.
    expect(of(8, 1)).toEqual([]);
    expect(leastRankTexts([undefined, [{}]])).toEqual([]);
  });
});
