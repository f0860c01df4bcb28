// What training changes of the score: every checkpoint against its base on the same problems.

import { correctedOver } from '../../ablation/corrected-rows.js';
import { plural } from '../../format-number.js';
import { intervalCells, intervalColumns } from '../data-table.js';
import type { Figure } from '../figure.js';
import { confidenceText, type RunData } from '../run-data.js';
import { testCells, testColumns } from '../test-columns.js';
import { slug } from '../../study/study.js';
import { pointCells, pointColumns, type Point } from './benchmark-points.js';

type Changed = Point & { readonly change: NonNullable<Point['change']> };

function tableOf(rows: readonly Changed[]): Figure['table'] {
  // Every row is a hypothesis of its own, at no factor.
  const tested = rows.map(({ change }) => ({ factor: 0, change }));
  const mcnemar = correctedOver(tested, ({ change }) => change.outcomes?.mcnemar);
  const permutation = correctedOver(tested, ({ change }) => change.permutation);
  const hasOneAnswer = rows.every(({ file }) => file.table.settings.samples === 1);
  return {
    columns: [
      ...pointColumns(rows),
      { key: 'base', title: 'base', kind: 'text' },
      { key: 'base_solved', title: 'base solves', kind: 'percent' },
      { key: 'solved', title: 'solved', kind: 'percent' },
      ...intervalColumns('change', 'change (points)', 'points', ['low', 'high']),
      { key: 'lost', title: 'problems lost', kind: 'number' },
      { key: 'gained', title: 'problems gained', kind: 'number' },
      ...testColumns('mcnemar', 'McNemar'),
      // Of one answer each both tests are the same.
      ...testColumns('permutation', 'permutation', {
        showsQ: !hasOneAnswer,
        fileOnly: hasOneAnswer,
      }),
      { key: 'problems', title: 'problems', kind: 'number', fileOnly: true },
      { key: 'samples', title: 'samples', kind: 'number', fileOnly: true },
      { key: 'confidence', title: 'confidence', kind: 'number', fileOnly: true },
    ],
    rows: rows.map((point, index) => {
      const { accuracy, file, change } = point;
      const { outcomes } = change;
      const row = tested[index];
      return {
        ...pointCells(point),
        base: change.base.checkpoint,
        base_solved: change.base.table.rows[0].accuracy.estimate,
        solved: accuracy.estimate,
        ...intervalCells('change', change.accuracy, ['low', 'high']),
        lost: outcomes?.lost ?? null,
        gained: outcomes?.gained ?? null,
        ...testCells(
          'mcnemar',
          outcomes ? { pValue: outcomes.mcnemar, ...mcnemar(row) } : undefined,
        ),
        ...testCells('permutation', { pValue: change.permutation, ...permutation(row) }),
        problems: file.table.problems.length,
        samples: file.table.settings.samples,
        confidence: file.table.confidence,
      };
    }),
  };
}

/** The table of a benchmark's changes against the bases; none where there is no base to compare with. */
export function benchmarkChangeFigures(
  { manifest }: RunData,
  benchmark: string,
  points: readonly Point[],
): Figure[] {
  const rows = points.filter((point): point is Changed => point.change !== undefined);
  if (rows.length === 0) return [];
  const { problems, settings } = rows[0].file.table;
  const outcome = settings.samples > 1 ? ' by the majority of its answers' : '';
  return [
    {
      id: `benchmark-change-${slug(benchmark)}`,
      title: `Change of the score against the base on ${benchmark}`,
      caption:
        `Share of right answers to ${plural(problems.length, 'problem')}, ` +
        `${plural(settings.samples, 'answer')} each, minus that of the base, problems paired, with ` +
        `${confidenceText(manifest)} intervals over problems. A problem is lost where it comes out ` +
        `right${outcome} of the base and wrong of the checkpoint, and gained the other way round; ` +
        'McNemar’s test is of these, the permutation test of shares of right answers. p-values are ' +
        `corrected by Holm over all ${plural(rows.length, 'row')} of the table.`,
      tableFirst: true,
      table: tableOf(rows),
    },
  ];
}
