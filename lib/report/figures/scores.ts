// How well every checkpoint does on the pairs and how faithful its circuit is, over training.

import * as Plot from '@observablehq/plot';
import type { EvaluationFile } from '../../study/stages/evaluation.js';
import { intervalCells, intervalColumns } from '../data-table.js';
import type { Figure } from '../figure.js';
import { seriesColour, seriesSymbol } from '../palette.js';
import { resultId, type RunData, type View } from '../run-data.js';
import { draw, stack, withLegend, type Picture } from '../svg.js';

interface Score {
  readonly series: number;
  readonly label: string;
  readonly name: string;
  readonly step: number;
  readonly evaluation: EvaluationFile;
}

/** Every series from its base on. */
function scoresOf({ manifest, evaluations }: RunData, view: View): Score[] {
  const steps = new Map(manifest.checkpoints.map(({ name, step }) => [name, step]));
  return manifest.series.flatMap(({ label, base, checkpoints }, series) =>
    [base, ...checkpoints].flatMap((name) => {
      const evaluation = evaluations.get(resultId(name, view));
      return evaluation ? [{ series, label, name, step: steps.get(name)!, evaluation }] : [];
    }),
  );
}

const quantities = {
  metric: ({ clean }: EvaluationFile) => clean,
  'right on the pairs': ({ accuracy }: EvaluationFile) => accuracy,
  faithfulness: ({ faithfulness }: EvaluationFile) => faithfulness,
} as const;

type Quantity = keyof typeof quantities;

/** Faithfulness is a ratio: where the denominator is small its interval leaves any picture. */
const clampBounds = (quantity: Quantity): [number, number] =>
  quantity === 'faithfulness' ? [-0.5, 1.75] : [-Infinity, Infinity];

/** What an axis has at least, so that noise looks like noise: shares from 0 to 1, metrics from 0. */
const leastDomain: Record<Quantity, readonly [number, number]> = {
  metric: [0, 0.01],
  'right on the pairs': [0, 1],
  faithfulness: [0, 1],
};

function picture(scores: readonly Score[], quantity: Quantity, title: string): Picture {
  const [floor, ceiling] = clampBounds(quantity);
  const clamp = (value: number): number => Math.min(ceiling, Math.max(floor, value));
  const rows = scores.flatMap((score) => {
    const { estimate, low, high } = quantities[quantity](score.evaluation);
    if (estimate === null || !Number.isFinite(estimate)) return [];
    return [{ ...score, value: clamp(estimate), estimate, low, high }];
  });
  type Row = (typeof rows)[number];
  const ends = rows.flatMap(({ value, low, high }) => [
    value,
    ...[low, high].flatMap((end) => (Number.isFinite(end) ? [clamp(end)] : [])),
  ]);
  const [least, most] = leastDomain[quantity];
  const domain = [Math.min(least, ...ends), Math.max(most, ...ends)];
  const labels = [...new Set(rows.map(({ series }) => series))];
  const own = (series: number): Row[] => rows.filter((row) => row.series === series);
  return draw({
    width: 620,
    height: 180,
    marginLeft: 52,
    marginRight: 20,
    marginTop: 26,
    marginBottom: 34,
    x: { label: 'training step', nice: true },
    y: { label: title, grid: true, ticks: 5, domain, nice: true },
    marks: labels.flatMap((series) => [
      Plot.ruleX(
        own(series).filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high)),
        {
          x: 'step',
          y1: ({ low }: Row) => clamp(low),
          y2: ({ high }: Row) => clamp(high),
          stroke: seriesColour(series),
          strokeOpacity: 0.6,
          strokeWidth: 2,
        },
      ),
      Plot.line(own(series), {
        x: 'step',
        y: 'value',
        stroke: seriesColour(series),
        strokeWidth: 1.5,
      }),
      Plot.dot(own(series), {
        x: 'step',
        y: 'value',
        r: 4,
        symbol: seriesSymbol(series),
        fill: seriesColour(series),
        title: ({ name, estimate, low, high }: Row) =>
          `${name}: ${title} ${estimate.toFixed(3)} [${low?.toFixed(3)}, ${high?.toFixed(3)}]`,
      }),
    ]),
  });
}

const marks: Record<string, string> = {
  circle: '<circle cx="6" cy="6" r="4.5" fill="FILL"/>',
  square: '<rect x="2" y="2" width="8" height="8" fill="FILL"/>',
  triangle: '<path d="M6,1L11,10H1Z" fill="FILL"/>',
  diamond: '<path d="M6,0L11,6L6,12L1,6Z" fill="FILL"/>',
};

export const seriesMark = (series: number): string =>
  (marks[seriesSymbol(series)] ?? marks['circle']).replace('FILL', seriesColour(series));

/** Score, accuracy and faithfulness of every checkpoint of a view. */
export function scoreFigures(data: RunData, view: View): Figure[] {
  const scores = scoresOf(data, view);
  if (scores.length === 0) return [];
  const { metric, pairs } = scores[0].evaluation;
  return [
    {
      id: `scores-${view.slug}`,
      title: `Score per checkpoint: ${view.title}`,
      caption:
        `Mean ${metric} and share of right answers on ${pairs} pairs, and the faithfulness of the ` +
        'circuit (1: it does all that the model does), with bootstrap intervals. Faithfulness is ' +
        'drawn between −0.5 and 1.75; the table has every value.',
      picture: withLegend(
        stack([
          picture(scores, 'metric', metric),
          picture(scores, 'right on the pairs', 'share right'),
          picture(scores, 'faithfulness', 'faithfulness'),
        ]),
        data.manifest.series.map(({ label }, series) => ({ label, mark: seriesMark(series) })),
      ),
      table: {
        columns: [
          { key: 'series', title: 'series', kind: 'text' },
          { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
          { key: 'step', title: 'step', kind: 'number' },
          ...intervalColumns('metric', metric, 'number'),
          ...intervalColumns('accuracy', 'right', 'percent'),
          ...intervalColumns('faithfulness', 'faithfulness', 'number'),
        ],
        rows: scores.map(({ label, name, step, evaluation }) => ({
          series: label,
          checkpoint: name,
          step,
          ...intervalCells('metric', evaluation.clean),
          ...intervalCells('accuracy', evaluation.accuracy),
          ...intervalCells('faithfulness', evaluation.faithfulness),
        })),
      },
    },
  ];
}
