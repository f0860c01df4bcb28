// How well every checkpoint does on the pairs and how faithful its circuit is, over training.

import * as Plot from '@observablehq/plot';
import type { EvaluationFile } from '../../study/stages/evaluation.js';
import { plural } from '../../format-number.js';
import { intervalCells, intervalColumns, intervalText, shortNumber } from '../data-table.js';
import type { Figure } from '../figure.js';
import { colour, seriesColour, seriesSymbol } from '../palette.js';
import { confidenceOf, confidenceText, resultId, type RunData, type View } from '../run-data.js';
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

/** Series at one step stand beside each other: pixels to the right. */
export const dodge = (series: number, count: number): number => 5 * (series - (count - 1) / 2);

interface Row extends Score {
  readonly estimate: number;
  /** Within what is drawn. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

function rowsOf(scores: readonly Score[], quantity: Quantity): Row[] {
  return scores.flatMap((score) => {
    const { estimate, low, high } = quantities[quantity](score.evaluation);
    if (estimate === null || !Number.isFinite(estimate)) return [];
    const value = clampTo(clampBounds(quantity), estimate);
    return [{ ...score, value, estimate, low: low ?? Number.NaN, high: high ?? Number.NaN }];
  });
}

const clampTo = ([floor, ceiling]: readonly [number, number], value: number): number =>
  Math.min(ceiling, Math.max(floor, value));

/** Where a value or an end of its interval lies outside what is drawn. */
interface Beyond {
  readonly step: number;
  readonly edge: number;
  readonly turn: number;
}

function beyondOf(rows: readonly Row[], [floor, ceiling]: readonly [number, number]): Beyond[] {
  return rows.flatMap(({ step, low, high, estimate }) => [
    ...(Math.min(low, estimate) < floor ? [{ step, edge: floor, turn: 180 }] : []),
    ...(Math.max(high, estimate) > ceiling ? [{ step, edge: ceiling, turn: 0 }] : []),
  ]);
}

/** The end of a caption: what arrowheads and open marks mean, where there are any. */
function beyondText(scores: readonly Score[]): string {
  const bounds = clampBounds('faithfulness');
  if (beyondOf(rowsOf(scores, 'faithfulness'), bounds).length === 0) return '';
  const [floor, ceiling] = bounds.map((bound) => shortNumber(bound));
  return (
    ` Faithfulness is drawn between ${floor} and ${ceiling}: arrowheads are intervals that go on, ` +
    'open marks values that lie beyond; the table has every value.'
  );
}

/** The end of a caption: what the intervals of faithfulness leave open, where they do. */
function undefinedText(scores: readonly Score[]): string {
  const counts = scores.map(({ evaluation }) => evaluation.faithfulness.undefinedResamples ?? 0);
  const most = Math.max(...counts);
  if (most === 0) return '';
  return (
    ` Of ${shownCount(counts.filter((count) => count > 0).length)} faithfulness is undefined in some ` +
    `resamples of the pairs (${most} at most): these widen the interval, and too many leave none.`
  );
}

const shownCount = (count: number): string =>
  count === 1 ? 'one checkpoint' : `${count} checkpoints`;

function seriesMarks(rows: readonly Row[], quantity: Quantity, dx: number, title: string) {
  const [{ series }] = rows;
  const bounds = clampBounds(quantity);
  const ink = seriesColour(series);
  return [
    Plot.ruleX(
      rows.filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high)),
      {
        x: 'step',
        dx,
        y1: ({ low }: Row) => clampTo(bounds, low),
        y2: ({ high }: Row) => clampTo(bounds, high),
        stroke: ink,
        strokeOpacity: 0.6,
        strokeWidth: 2,
      },
    ),
    Plot.dot(beyondOf(rows, bounds), {
      x: 'step',
      dx,
      y: 'edge',
      rotate: 'turn',
      symbol: 'triangle',
      r: 3.5,
      fill: ink,
    }),
    Plot.line(rows, { x: 'step', dx, y: 'value', stroke: ink, strokeWidth: 1.5 }),
    ...[false, true].map((isBeyond) =>
      Plot.dot(
        rows.filter(({ value, estimate }) => (value !== estimate) === isBeyond),
        {
          x: 'step',
          dx,
          y: 'value',
          r: 4,
          symbol: seriesSymbol(series),
          fill: isBeyond ? colour('page') : ink,
          stroke: ink,
          title: ({ name, estimate, low, high }: Row) =>
            `${name}: ${title} ${intervalText([estimate, low, high])}`,
        },
      ),
    ),
  ];
}

function picture(scores: readonly Score[], quantity: Quantity, title: string): Picture {
  const bounds = clampBounds(quantity);
  const rows = rowsOf(scores, quantity);
  const ends = rows.flatMap(({ value, low, high }) => [
    value,
    ...[low, high].flatMap((end) => (Number.isFinite(end) ? [clampTo(bounds, end)] : [])),
  ]);
  const [least, most] = leastDomain[quantity];
  const domain = [Math.min(least, ...ends), Math.max(most, ...ends)];
  const labels = [...new Set(rows.map(({ series }) => series))];
  return draw({
    width: 620,
    height: 180,
    marginLeft: 52,
    marginRight: 20,
    marginTop: 26,
    marginBottom: 34,
    x: { label: 'training step', nice: true },
    y: { label: title, grid: true, ticks: 5, domain, nice: true },
    marks: labels.flatMap((series, place) =>
      seriesMarks(
        rows.filter((row) => row.series === series),
        quantity,
        dodge(place, labels.length),
        title,
      ),
    ),
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

/** A clean run has no KL divergence from itself, so of that metric there is nothing to show. */
const hasOwnMetric = (metric: string): boolean => metric !== 'kl';

function captionOf(scores: readonly Score[], confidence: string): string {
  const { metric, pairs } = scores[0].evaluation;
  const what = hasOwnMetric(metric)
    ? `Mean ${metric} and share of right answers`
    : 'Share of right answers';
  return (
    `${what} on ${plural(pairs, 'pair')}, and the faithfulness of the circuit (1: it does all that ` +
    `the model does), with ${confidence} intervals over pairs: the bootstrap’s, Wilson’s of shares ` +
    `where all came out alike.${beyondText(scores)}${undefinedText(scores)}` +
    (hasOwnMetric(metric) ? '' : ` The ${metric} of a model from itself is 0 and left out.`)
  );
}

/** Score, accuracy and faithfulness of every checkpoint of a view. */
export function scoreFigures(data: RunData, view: View): Figure[] {
  const scores = scoresOf(data, view);
  if (scores.length === 0) return [];
  const { metric } = scores[0].evaluation;
  const confidence = confidenceText(data.manifest);
  const isOwn = hasOwnMetric(metric);
  return [
    {
      id: `scores-${view.slug}`,
      title: `Score per checkpoint: ${view.title}`,
      caption: captionOf(scores, confidence),
      picture: withLegend(
        stack([
          ...(isOwn ? [picture(scores, 'metric', metric)] : []),
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
          ...(isOwn ? intervalColumns('metric', metric, 'number') : []),
          ...intervalColumns('accuracy', 'right', 'percent'),
          ...intervalColumns('faithfulness', 'faithfulness', 'number'),
          { key: 'pairs', title: 'pairs', kind: 'number', fileOnly: true },
          { key: 'confidence', title: 'confidence', kind: 'number', fileOnly: true },
        ],
        rows: scores.map(({ label, name, step, evaluation }) => ({
          series: label,
          checkpoint: name,
          step,
          ...(isOwn ? intervalCells('metric', evaluation.clean) : {}),
          ...intervalCells('accuracy', evaluation.accuracy),
          ...intervalCells('faithfulness', evaluation.faithfulness),
          pairs: evaluation.pairs,
          confidence: confidenceOf(data.manifest),
        })),
      },
    },
  ];
}
