// Heads over training in numbers: how many were ever active and which vanished again, and how long
// each cohort stays.

import { intervalCells, intervalColumns } from '../data-table.js';
import type { Figure } from '../figure.js';
import { confidenceText, type RunData, type View } from '../run-data.js';

/** Which heads a series brought up at all, and which of them are gone at its end. */
function everFigure(own: RunData['tracking'], view: View): Figure {
  return {
    id: `ever-${view.slug}`,
    title: `Heads that were ever active: ${view.title}`,
    caption:
      'Heads in the circuit of the base or of any checkpoint of a series. An emergent head that the ' +
      'last circuit lacks has vanished again.',
    tableFirst: true,
    table: {
      columns: [
        { key: 'series', title: 'series', kind: 'text' },
        { key: 'ever', title: 'ever active', kind: 'number' },
        { key: 'base', title: 'of the base', kind: 'number' },
        { key: 'retained', title: 'retained at the end', kind: 'number' },
        { key: 'emergent', title: 'emergent ever', kind: 'number' },
        { key: 'final', title: 'emergent at the end', kind: 'number' },
        { key: 'vanished', title: 'vanished again', kind: 'number' },
        { key: 'which', title: 'which', kind: 'text' },
      ],
      rows: own.map(({ tracking: { label, everActive, steps, vanishedAgain } }) => ({
        series: label,
        ever: everActive.total,
        base: everActive.base,
        retained: steps.at(-1)!.retained,
        emergent: everActive.emergent,
        final: steps.at(-1)!.emergent.length,
        vanished: vanishedAgain.length,
        which: vanishedAgain.join(' '),
      })),
    },
  };
}

/** How long the heads of each cohort stay; none where no cohort has later checkpoints. */
function keptFigures(data: RunData, own: RunData['tracking'], view: View): Figure[] {
  const rows = own.flatMap(({ tracking: { label, cohorts } }) =>
    cohorts.flatMap(({ step, heads, alive, survival }) =>
      survival === null
        ? []
        : [
            {
              series: label,
              step,
              heads: heads.length,
              last: alive.at(-1)!,
              ...intervalCells('kept', survival, ['low', 'high']),
            },
          ],
    ),
  );
  if (rows.length === 0) return [];
  return [
    {
      id: `cohort-survival-${view.slug}`,
      title: `How long cohorts stay: ${view.title}`,
      caption:
        'A cohort is the heads that first appeared at a checkpoint. Kept: the share of later checkpoints ' +
        `with a head in the circuit, mean over the heads, with ${confidenceText(data.manifest)} ` +
        'bootstrap intervals over heads; heads that all stay equally long give an interval no width.',
      tableFirst: true,
      table: {
        columns: [
          { key: 'series', title: 'series', kind: 'text' },
          { key: 'step', title: 'since step', kind: 'number' },
          { key: 'heads', title: 'heads', kind: 'number' },
          { key: 'last', title: 'in the last circuit', kind: 'number' },
          ...intervalColumns('kept', 'kept later', 'percent', ['low', 'high']),
        ],
        rows,
      },
    },
  ];
}

/** The tables of a view's series. */
export function cohortTables(data: RunData, view: View): Figure[] {
  const own = data.tracking.filter(({ task, form }) => task === view.task && form === view.form);
  return own.length === 0 ? [] : [everFigure(own, view), ...keptFigures(data, own, view)];
}
