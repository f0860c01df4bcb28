// Scores of benchmarks against the base: the same problems, paired.
import { expect, it } from 'vitest';
import { benchmarkScoreFigures } from '../../../lib/report/figures/benchmarks.js';
import type { Figure } from '../../../lib/report/figure.js';
import type { BenchmarkFile } from '../../../lib/study/stages/benchmark.js';
import { largeStudy } from './large-study.js';
import { answersOf } from './small-benchmarks.js';

const study = largeStudy();
const [{ base, checkpoints }] = study.manifest.series;

const figuresOf = (benchmarks: readonly BenchmarkFile[]): Figure[] =>
  benchmarkScoreFigures({ ...study, benchmarks });

/** Right from one problem to another, of forty. */
const solved = (from: number, to: number): number[] =>
  Array.from({ length: 40 }, (_, index) => Number(index >= from && index < to));

it('is told from chance by the problems that flipped, and corrected over all rows', async () => {
  // Both solve 24 of 40, the base 18: the first keeps all that the base solves, the second half.
  const [score, change] = figuresOf([
    await answersOf(base, { right: [solved(0, 18)] }),
    await answersOf(checkpoints[0], { right: [solved(0, 24)] }),
    await answersOf(checkpoints[1], { right: [solved(9, 33)] }),
  ]);
  expect(change.id).toBe('benchmark-change-sums');
  expect(change.tableFirst).toBe(true);
  const [first, second] = change.table.rows;
  const p = 2 / 2 ** 6;
  expect(first).toMatchObject({
    checkpoint: checkpoints[0],
    base,
    base_solved: 0.45,
    solved: 0.6,
    change: 0.15,
    lost: 0,
    gained: 6,
    mcnemar_p: p,
    mcnemar_p_holm: 2 * p,
    mcnemar_q: 2 * p,
    permutation_p: p,
    problems: 40,
    samples: 1,
    confidence: 0.95,
  });
  expect(Number(first['low'])).toBeGreaterThan(0);
  expect(second).toMatchObject({ lost: 9, gained: 15 });
  expect(Number(second['mcnemar_p'])).toBeCloseTo(0.3075, 3);
  expect(Number(second['low'])).toBeLessThan(0);
  expect(change.caption).toContain('corrected by Holm over all 2 rows of the table');
  // Marks of the picture say the same; the score of either is as far from that of the base.
  const mark = (name: string): string => {
    const end = score.picture!.body.indexOf(`${name}: `);
    return score.picture!.body.slice(0, end).split('<').at(-3)!;
  };
  expect(mark(checkpoints[1])).toContain('fill="var(--page)"');
  expect(mark(checkpoints[0])).not.toContain('fill="var(--page)"');
  expect(score.caption).toContain('Open marks: the interval of the change against the base');
  expect(score.caption).toContain('95 % bootstrap intervals over problems');
});

it('takes the majority of several answers, which results of older versions lack', async () => {
  const files = [
    await answersOf(base, { right: [[4, 4, 4, 1]], samples: 4 }),
    await answersOf(checkpoints[0], { right: [[4, 0, 3, 1]], samples: 4 }),
  ];
  const [, change] = figuresOf(files);
  expect(change.table.rows[0]).toMatchObject({ lost: 1, gained: 0, mcnemar_p: 1 });
  const older = files.map((file) => {
    const rows = file.table.rows.map((row) => ({ ...row, majorityRight: undefined }));
    return { ...file, table: { ...file.table, rows } } as unknown as BenchmarkFile;
  });
  const [row] = figuresOf(older)[1].table.rows;
  expect(row).toMatchObject({ lost: null, gained: null, mcnemar_p: null });
  expect(row['permutation_p']).toBe(change.table.rows[0]['permutation_p']);
});

it('has no table without a base, or of other problems', async () => {
  const after = await answersOf(checkpoints[0], { right: [solved(0, 24)] });
  expect(figuresOf([after])).toHaveLength(1);
  const before = await answersOf(base, { right: [[1, 0]] });
  expect(figuresOf([before, after])).toHaveLength(1);
});
