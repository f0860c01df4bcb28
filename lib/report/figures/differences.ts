// Differences against the base: how many heads emerge beside what noise alone makes, every head
// with its evidence, and the same weights under two prompt forms.

import * as Plot from '@observablehq/plot';
import type { DiffReport } from '../../circuit-diff.js';
import { intervalCells, intervalColumns, type Column } from '../data-table.js';
import type { Figure } from '../figure.js';
import { pagePart } from '../page-rows.js';
import { colour } from '../palette.js';
import {
  confidenceText,
  finalCheckpoints,
  resultId,
  type RunData,
  type View,
} from '../run-data.js';
import { dot, draw, swatch, withLegend, type Picture } from '../svg.js';

interface Compared {
  readonly name: string;
  readonly report: DiffReport;
}

function compared(data: RunData, view: View): Compared[] {
  return data.manifest.series.flatMap(({ checkpoints }) =>
    checkpoints.flatMap((name) => {
      const report = data.diffs.get(resultId(name, view));
      return report ? [{ name, report }] : [];
    }),
  );
}

const left = (names: readonly string[]): number =>
  Math.max(60, 14 + 6.3 * Math.max(...names.map((name) => name.length)));

/** Of two circuits without heads nothing is shared, and nothing is not. */
const jaccardOf = ({ counts, headJaccard }: DiffReport['comparisons'][number]): number | null =>
  counts.retained + counts.emergent + counts.vanished === 0 ? null : headJaccard;

/** How many heads emerge at each checkpoint, and how many noise alone makes. */
function noiseRows(data: RunData, view: View) {
  return compared(data, view).map(({ name, report }) => {
    const [comparison] = report.comparisons;
    const { emergentCount, nullPValue, counts } = comparison;
    const certain = comparison.heads.filter((head) => head.status === 'emergent' && head.certain);
    return {
      checkpoint: name,
      emergent: counts.emergent,
      certain: certain.length,
      low: emergentCount?.low ?? null,
      high: emergentCount?.high ?? null,
      retained: counts.retained,
      vanished: counts.vanished,
      null_mean: report.nullDiff?.emergent.mean ?? null,
      null_p95: report.nullDiff?.emergent.p95 ?? null,
      null_p: nullPValue ?? null,
      jaccard: jaccardOf(comparison),
    };
  });
}

type NoiseRow = ReturnType<typeof noiseRows>[number];

function noisePicture(rows: readonly NoiseRow[]): Picture {
  const names = rows.map(({ checkpoint }) => checkpoint);
  const most = Math.max(
    1,
    ...rows.flatMap((row) => [row.emergent, row.high ?? 0, row.null_p95 ?? 0]),
  );
  return draw({
    width: 640,
    height: 54 + 22 * rows.length,
    marginLeft: left(names),
    marginRight: 24,
    marginTop: 10,
    marginBottom: 36,
    x: { domain: [0, most * 1.05], label: 'emergent heads', grid: true, ticks: Math.min(8, most) },
    y: { type: 'band', domain: names, label: null, tickSize: 0, padding: 0.25 },
    marks: [
      Plot.barX(rows, {
        y: 'checkpoint',
        x: (row: NoiseRow) => row.null_p95 ?? 0,
        fill: colour('control'),
        fillOpacity: 0.28,
        title: (row: NoiseRow) =>
          `noise alone: ${row.null_mean?.toFixed(1)} on average, at most ${row.null_p95?.toFixed(0)} in 95 % of splits`,
      }),
      Plot.link(rows, {
        y1: 'checkpoint',
        y2: 'checkpoint',
        x1: (row: NoiseRow) => row.low ?? row.emergent,
        x2: (row: NoiseRow) => row.high ?? row.emergent,
        stroke: colour('emergent'),
        strokeWidth: 2,
        strokeOpacity: 0.7,
      }),
      Plot.dot(rows, {
        y: 'checkpoint',
        x: 'emergent',
        r: 4.5,
        fill: colour('page'),
        stroke: colour('emergent'),
        strokeWidth: 1.8,
        title: (row: NoiseRow) =>
          `${row.checkpoint}: ${row.emergent} emergent heads [${row.low?.toFixed(0)}, ${row.high?.toFixed(0)}], ` +
          `${row.certain} of them certain`,
      }),
      Plot.dot(rows, { y: 'checkpoint', x: 'certain', r: 3.4, fill: colour('emergent') }),
    ],
  });
}

const noiseColumns: readonly Column[] = [
  { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
  ...intervalColumns('emergent', 'emergent', 'number', ['low', 'high']),
  { key: 'certain', title: 'certain', kind: 'number' },
  { key: 'retained', title: 'retained', kind: 'number' },
  { key: 'vanished', title: 'vanished', kind: 'number' },
  { key: 'null_mean', title: 'noise, mean', kind: 'number' },
  { key: 'null_p95', title: 'noise, 95 %', kind: 'number' },
  { key: 'null_p', title: 'p against noise', kind: 'p-value' },
  { key: 'jaccard', title: 'Jaccard of heads', kind: 'number' },
];

/** Emergent heads of every checkpoint against the null diff. */
export function noiseFigures(data: RunData, view: View): Figure[] {
  const rows = noiseRows(data, view);
  if (rows.length === 0) return [];
  const confidence = confidenceText(data.manifest);
  return [
    {
      id: `emergent-${view.slug}`,
      title: `Emergent heads and noise: ${view.title}`,
      caption:
        'Open dots: emergent heads with the range over bootstrap resamples; filled dots: those that ' +
        `are emergent in at least ${confidence} of them. Grey: what two random halves of the base’s own ` +
        'pairs make in 95 % of splits; halves vary more than all pairs, so this is an upper estimate.',
      picture: withLegend(noisePicture(rows), [
        {
          label: 'emergent',
          mark: dot('none', `stroke="${colour('emergent')}" stroke-width="1.8"`),
        },
        { label: `certain at ${confidence}`, mark: dot(colour('emergent')) },
        { label: 'noise alone', mark: swatch(colour('control'), 'fill-opacity="0.28"') },
      ]),
      table: {
        columns: noiseColumns,
        rows,
      },
    },
  ];
}

const headColumns: readonly Column[] = [
  { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
  { key: 'head', title: 'head', kind: 'text' },
  { key: 'status', title: 'status', kind: 'text' },
  { key: 'certain', title: 'certain', kind: 'flag' },
  { key: 'base_importance', title: 'importance, base', kind: 'number' },
  { key: 'importance', title: 'importance', kind: 'number' },
  { key: 'effect', title: 'effect', kind: 'number' },
  { key: 'base_score_share', title: 'all edges, base', kind: 'number' },
  { key: 'score_share', title: 'all edges', kind: 'number' },
  ...intervalColumns('difference', 'difference', 'number'),
  { key: 'emergence', title: 'emergence', kind: 'percent' },
  { key: 'vanishing', title: 'vanishing', kind: 'percent' },
  { key: 'retention', title: 'retention', kind: 'percent' },
];

const headRows = ({ name, report }: Compared) =>
  report.comparisons[0].heads
    .filter(({ status }) => status !== 'absent')
    .map((head) => ({
      checkpoint: name,
      head: head.name,
      status: head.status,
      certain: head.certain ?? null,
      base_importance: head.baseImportance,
      importance: head.otherImportance,
      effect: head.effect,
      base_score_share: head.baseScoreShare,
      score_share: head.otherScoreShare,
      ...intervalCells('difference', head.importanceDifference),
      emergence: head.emergenceProbability ?? null,
      vanishing: head.vanishingProbability ?? null,
      retention: head.retentionProbability ?? null,
    }));

/** Every head of every comparison that is in either circuit. */
export function headSetFigures(data: RunData, view: View): Figure[] {
  const rows = compared(data, view).flatMap(headRows);
  if (rows.length === 0) return [];
  const finals = new Set(finalCheckpoints(data.manifest).map(({ name }) => name));
  const table = { columns: headColumns, rows };
  const { note, shown } = pagePart(
    table,
    rows.filter(({ checkpoint }) => finals.has(checkpoint)),
    'of the last checkpoints',
  );
  return [
    {
      id: `heads-${view.slug}`,
      title: `Heads: ${view.title}`,
      caption:
        'Every head that is in the base’s or the checkpoint’s circuit. Importance: its share of all heads’ outgoing ' +
        '|score| in the circuit; all edges: the same of edges in the circuit or not, which an emergent head has in the ' +
        'base, too. Emergence, vanishing and ' +
        'retention are shares of bootstrap resamples; a status that fewer than ' +
        `${confidenceText(data.manifest)} share is uncertain.` +
        note,
      tableFirst: true,
      table,
      ...shown,
    },
  ];
}

/** The same weights under two prompt forms. */
export function formFigures(data: RunData): Figure[] {
  const rows = data.manifest.tasks.flatMap(({ name: task, forms }) =>
    data.manifest.checkpoints.flatMap(({ name }) =>
      forms.slice(1).flatMap((form) => {
        const report = data.formDiffs.get(resultId(name, { task, form: `${forms[0]}-${form}` }));
        if (!report) return [];
        const [comparison] = report.comparisons;
        const { counts, emergentCount, heads } = comparison;
        const certain = heads.filter((head) => head.status === 'emergent' && head.certain).length;
        return [
          {
            checkpoint: name,
            task,
            forms: `${forms[0]} → ${form}`,
            both: counts.retained,
            only_second: counts.emergent,
            low: emergentCount?.low ?? null,
            high: emergentCount?.high ?? null,
            certain,
            only_first: counts.vanished,
            jaccard: jaccardOf(comparison),
          },
        ];
      }),
    ),
  );
  if (rows.length === 0) return [];
  return [
    {
      id: 'prompt-forms',
      title: 'The same weights under two prompt forms',
      caption:
        'Heads of a checkpoint’s circuits under the first and under another prompt form, compared as ' +
        'base and post-trained checkpoint are.',
      tableFirst: true,
      table: {
        columns: [
          { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
          { key: 'task', title: 'task', kind: 'text' },
          { key: 'forms', title: 'forms', kind: 'text' },
          { key: 'both', title: 'in both', kind: 'number' },
          ...intervalColumns('only_second', 'only second', 'number', ['low', 'high']),
          { key: 'certain', title: 'certain', kind: 'number' },
          { key: 'only_first', title: 'only first', kind: 'number' },
          { key: 'jaccard', title: 'Jaccard of heads', kind: 'number' },
        ],
        rows,
      },
    },
  ];
}
