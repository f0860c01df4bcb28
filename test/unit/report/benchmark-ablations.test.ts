// Solving with heads gated, in the report: tests corrected over all factors, and each checkpoint's own remarks.
import { describe, expect, it } from 'vitest';
import { benchmarkAblationFigures } from '../../../lib/report/figures/benchmark-ablations.js';
import { wholeCaption, type Figure } from '../../../lib/report/figure.js';
import type { BenchmarkAblationFile } from '../../../lib/study/stages/benchmark-ablation.js';
import { largeStudy } from './large-study.js';
import { gatedAnswers } from './small-benchmarks.js';

const study = largeStudy();
const [one, other] = study.manifest.series.map(({ checkpoints }) => checkpoints.at(-1)!);

const figureOf = (files: readonly BenchmarkAblationFile[]): Figure =>
  benchmarkAblationFigures({ ...study, benchmarkAblations: files })[0];

/** So many problems right of eight. */
const solved = (count: number): number[] => Array.from({ length: 8 }, (_, i) => Number(i < count));

describe('several factors', () => {
  it('are corrected together', async () => {
    const figure = figureOf([
      await gatedAnswers(one, { right: [solved(8), solved(0)], factor: 0 }),
      await gatedAnswers(one, { right: [solved(8), solved(0)], factor: 0.5 }),
      await gatedAnswers(other, { right: [solved(8), solved(0)], factor: 0 }),
    ]);
    const p = 2 / 2 ** 8;
    const of = (key: string) => figure.table.rows.map((row) => row[key]);
    expect(of('mcnemar_p')).toEqual([p, p, p]);
    expect(of('mcnemar_p_holm')).toEqual([2 * p, 2 * p, p]);
    expect(of('permutation_p_holm')).toEqual([2 * p, 2 * p, p]);
    expect(of('mcnemar_q')).toEqual([p, p, p]);
    expect(figure.notes).toContainEqual(
      expect.stringMatching(new RegExp(`^${one}: with 8 problems .* correction over 2 rows`)),
    );
  });
});

describe('several checkpoints', () => {
  it('have their own remarks and power', async () => {
    const figure = figureOf([
      await gatedAnswers(one, { right: [solved(0), solved(0)], samples: 4 }),
      await gatedAnswers(other, { right: [solved(6), solved(1)], samples: 4 }),
    ]);
    const notes = figure.notes!;
    expect(notes.filter((note) => /hardly anything/.test(note))).toEqual([
      `${one}: the unablated model solves hardly anything here, so that no ablation can show a loss`,
    ]);
    expect(
      notes.filter((note) => /80 % power/.test(note)).map((note) => note.split(':')[0]),
    ).toEqual([one, other]);
  });

  it('that are limited alike share a remark', async () => {
    const right = [solved(0), solved(0)];
    const files = [await gatedAnswers(one, { right }), await gatedAnswers(other, { right })];
    const { notes } = figureOf([...files, { ...files[0], checkpoint: 'base', table: null }]);
    expect(notes).toEqual([
      'no such heads to gate: base',
      'the unablated model solves hardly anything here, so that no ablation can show a loss',
      expect.stringMatching(/^with 8 problems/),
    ]);
  });
});

it('says what replaced the heads, what was answered, and what columns count', async () => {
  const right = [
    [4, 4, 0],
    [0, 3, 1],
  ];
  const figure = figureOf([await gatedAnswers(one, { right, samples: 4, factor: 0.5 })]);
  const text = wholeCaption(figure);
  expect(text).toContain('3 problems, 4 answers each');
  expect(text).toContain('95 % intervals');
  expect(text).toContain('its mean over runs of the unablated model (mean); at a factor s');
  expect(text).toContain('right by the majority of its answers without the gate');
  expect(figure.table.columns.find(({ key }) => key === 'lost')!.title).toBe('problems lost');
  expect(figure.table.rows[0]).toMatchObject({
    ablation: 'mean',
    problems: 3,
    samples: 4,
    confidence: 0.95,
    lost: 1,
    gained: 0,
  });
});
