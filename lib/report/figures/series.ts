// Heads over training: cohorts stacked at every checkpoint with the training log below, and the
// survival of emergent heads.

import * as Plot from '@observablehq/plot';
import type { TrackingFile } from '../../study/stages/tracking.js';
import { cellText, intervalCells, intervalColumns, pValue, type DataTable } from '../data-table.js';
import { noHeadText, type Figure } from '../figure.js';
import { colour, seriesColour } from '../palette.js';
import { confidenceText, type RunData, type View } from '../run-data.js';
import { beside, draw, stack, stroke, swatch, titled, withLegend, type Picture } from '../svg.js';

const width = 460;
const margins = { marginLeft: 46, marginRight: 60, marginTop: 24, marginBottom: 34 };

/** Half the width of a bar, in steps. */
function halfBar(steps: readonly number[]): number {
  const all = [0, ...steps];
  const gaps = steps.map((step, index) => step - all[index]).filter((gap) => gap > 0);
  // Few checkpoints far apart would otherwise get bars as wide as the figure.
  return Math.min(0.36 * Math.min(...gaps), 0.045 * steps[steps.length - 1]);
}

/** From the base to the right edge of the last bar; the same for bars and logs. */
const stepDomain = ({ tracking }: TrackingFile): [number, number] => {
  const steps = tracking.steps.map(({ step }) => step);
  return [0, steps[steps.length - 1] + 1.15 * halfBar(steps)];
};

/** The later the cohort, the paler: the fifth and later ones look alike. */
const cohortOpacity = (cohort: number): number => Math.max(0.25, 1 - 0.2 * cohort);

interface Bar {
  readonly x1: number;
  readonly x2: number;
  readonly y1: number;
  readonly y2: number;
  readonly fill: string;
  readonly opacity: number;
  readonly text: string;
}

function barsOf({ tracking }: TrackingFile): Bar[] {
  const half = halfBar(tracking.steps.map(({ step }) => step));
  return tracking.steps.flatMap(({ step, name, retained, cohorts }) => {
    const x = { x1: step - half, x2: step + half };
    const text = `${name}: ${retained} base heads retained`;
    const bars: Bar[] = [{ ...x, y1: 0, y2: retained, fill: colour('base'), opacity: 0.9, text }];
    let top = retained;
    cohorts.forEach((count, cohort) => {
      if (count === 0) return;
      bars.push({
        ...x,
        y1: top,
        y2: top + count,
        fill: colour('emergent'),
        opacity: cohortOpacity(cohort),
        text: `${name}: ${count} emergent heads of the cohort of step ${tracking.steps[cohort].step}`,
      });
      top += count;
    });
    return bars;
  });
}

function cohortPicture(file: TrackingFile): Picture {
  const { tracking } = file;
  const bars = barsOf(file);
  const most = Math.max(tracking.base.heads, ...bars.map(({ y2 }) => y2), 1);
  return draw({
    width,
    height: 190,
    ...margins,
    x: { domain: stepDomain(file), label: 'training step' },
    y: {
      domain: [0, most * 1.08],
      label: 'heads in the circuit',
      nice: false,
      ticks: Math.min(6, most),
    },
    opacity: { type: 'identity' },
    marks: [
      Plot.rect(bars, {
        x1: 'x1',
        x2: 'x2',
        y1: 'y1',
        y2: 'y2',
        fill: 'fill',
        fillOpacity: 'opacity',
        stroke: colour('page'),
        title: 'text',
      }),
      Plot.ruleY([tracking.base.heads], {
        stroke: colour('base'),
        strokeDasharray: '4,3',
        title: (count: number) => `${count} heads in the base circuit`,
      }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  });
}

function logPicture(file: TrackingFile, index: number): Picture {
  const { tracking } = file;
  const log = file.logs[index];
  const last = tracking.steps.at(-1)!.step;
  const dots = tracking.steps.flatMap(({ step, name }, place) => {
    const value = log.atCheckpoints[place];
    return value === null
      ? []
      : [{ step, value, text: `${name}: ${log.name} ${value.toFixed(3)}` }];
  });
  const lineOf = log.points.length > dots.length ? log.points : dots;
  return draw({
    width,
    height: 120,
    ...margins,
    marginTop: 18,
    x: { domain: stepDomain(file), label: 'training step' },
    y: { label: log.name, grid: true, ticks: 4, nice: true },
    marks: [
      Plot.line(
        [...lineOf].filter(({ step }) => step <= last),
        {
          x: 'step',
          y: 'value',
          stroke: colour('faint'),
          strokeWidth: 1.2,
          strokeOpacity: lineOf === dots ? 1 : 0.55,
        },
      ),
      Plot.dot(dots, { x: 'step', y: 'value', r: 4, fill: colour('retained'), title: 'text' }),
    ],
  });
}

const inRows = (pictures: readonly Picture[]): Picture =>
  stack(
    Array.from({ length: Math.ceil(pictures.length / 2) }, (_, row) =>
      beside(pictures.slice(2 * row, 2 * row + 2)),
    ),
  );

const trackedIn = (data: RunData, view: View): TrackingFile[] =>
  data.tracking.filter(({ task, form }) => task === view.task && form === view.form);

const cohortTable = (files: readonly TrackingFile[]): DataTable => ({
  columns: [
    { key: 'series', title: 'series', kind: 'text' },
    { key: 'step', title: 'step', kind: 'number' },
    { key: 'heads', title: 'heads', kind: 'number' },
    { key: 'retained', title: 'retained', kind: 'number' },
    { key: 'lost', title: 'base heads lost', kind: 'number' },
    { key: 'emergent', title: 'emergent', kind: 'number' },
    { key: 'fresh', title: 'new', kind: 'number' },
    { key: 'returned', title: 'returned', kind: 'number' },
    { key: 'new_heads', title: 'new heads', kind: 'text' },
  ],
  rows: files.flatMap(({ tracking }) =>
    tracking.steps.map(({ step, heads, retained, lost, emergent, fresh, returned }) => ({
      series: tracking.label,
      step,
      heads,
      retained,
      lost,
      emergent: emergent.length,
      fresh: fresh.length,
      returned: returned.length,
      new_heads: fresh.join(' '),
    })),
  ),
});

/** Cohorts of every series of a view. */
export function cohortFigures(data: RunData, view: View): Figure[] {
  const files = trackedIn(data, view);
  if (files.length === 0) return [];
  const common = {
    id: `cohorts-${view.slug}`,
    title: `Cohorts: ${view.title}`,
    table: cohortTable(files),
  };
  const isEmpty = ({ tracking }: TrackingFile): boolean =>
    tracking.base.heads === 0 && tracking.steps.every(({ heads }) => heads === 0);
  if (files.every(isEmpty)) return [{ ...common, caption: noHeadText }];
  const pictures = files.map((file) =>
    titled(
      stack([cohortPicture(file), ...file.logs.map((_, index) => logPicture(file, index))], 2),
      file.tracking.label,
    ),
  );
  return [
    {
      ...common,
      caption:
        'Heads in the circuit at every checkpoint: base heads that are retained, and emergent heads ' +
        'by the checkpoint at which they first appeared (earlier cohorts fuller in colour). The dashed line is ' +
        'the base circuit.' +
        (files.some(({ logs }) => logs.length > 0)
          ? ' Below: the training log; dots are its values at the checkpoints.'
          : ''),
      picture: withLegend(inRows(pictures), [
        { label: 'retained base heads', mark: swatch(colour('base'), 'fill-opacity="0.9"') },
        { label: 'emergent, first cohort', mark: swatch(colour('emergent')) },
        { label: 'later cohorts', mark: swatch(colour('emergent'), 'fill-opacity="0.45"') },
        {
          label: 'heads of the base circuit',
          mark: stroke(colour('base'), 'stroke-dasharray="4,3"'),
        },
      ]),
    },
  ];
}

interface SurvivalStep {
  readonly time: number;
  readonly survival: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly atRisk: number;
  readonly ended: number;
}

const survivalSteps = ({ tracking }: TrackingFile): SurvivalStep[] =>
  tracking.survival.points.length === 0
    ? []
    : [
        { time: 0, survival: 1, low: null, high: null, atRisk: tracking.survival.count, ended: 0 },
        ...tracking.survival.points,
      ];

const survivalColumns = intervalColumns('survival', 'survival', 'percent', ['low', 'high']);
const [survivalColumn] = survivalColumns;

function survivalPicture(file: TrackingFile, index: number): Picture {
  const steps = survivalSteps(file);
  const banded = steps.filter(
    ({ low, high }) => Number.isFinite(low) && Number.isFinite(high) && low !== null,
  );
  return draw({
    width,
    height: 170,
    ...margins,
    x: {
      label: 'checkpoints since it appeared',
      ticks: Array.from({ length: (steps.at(-1)?.time ?? 0) + 1 }, (_, time) => time),
      tickFormat: 'd',
    },
    y: { domain: [0, 1], label: 'share still there', grid: true, tickFormat: '%', ticks: 5 },
    marks: [
      Plot.areaY(banded, {
        x: 'time',
        y1: 'low',
        y2: 'high',
        curve: 'step-after',
        fill: seriesColour(index),
        fillOpacity: 0.15,
      }),
      // The band of the last time would have no width.
      Plot.ruleX(banded.slice(-1), {
        x: 'time',
        y1: 'low',
        y2: 'high',
        stroke: seriesColour(index),
        strokeOpacity: 0.6,
        strokeWidth: 2,
      }),
      Plot.line(steps, {
        x: 'time',
        y: 'survival',
        curve: 'step-after',
        stroke: seriesColour(index),
        strokeWidth: 2,
      }),
      Plot.dot(steps, {
        x: 'time',
        y: 'survival',
        r: 3.5,
        fill: seriesColour(index),
        title: (step: SurvivalStep) =>
          `after ${step.time}: ${cellText(survivalColumn, { ...step })} (${step.ended} of ${step.atRisk} ended)`,
      }),
    ],
  });
}

/** Kaplan-Meier curves of the series that have emergent heads with later checkpoints. */
export function survivalFigures(data: RunData, view: View): Figure[] {
  const files = trackedIn(data, view).filter(({ tracking }) => tracking.survival.points.length > 0);
  if (files.length === 0) return [];
  return [
    {
      id: `survival-${view.slug}`,
      title: `Survival of emergent heads: ${view.title}`,
      caption:
        'Kaplan–Meier estimate of how long an emergent head stays in the circuit, with ' +
        `${confidenceText(data.manifest)} intervals (log–log; Wilson’s while none or all have ended); a head ends at the first checkpoint without it. ` +
        'Heads that first appear at the last checkpoint are not in it.',

      picture: inRows(
        files.map((file, index) =>
          titled(
            survivalPicture(file, index),
            `${file.tracking.label} (${file.tracking.survival.count} heads)`,
          ),
        ),
      ),
      table: {
        columns: [
          { key: 'series', title: 'series', kind: 'text' },
          { key: 'time', title: 'checkpoints', kind: 'number' },
          { key: 'at_risk', title: 'at risk', kind: 'number' },
          { key: 'ended', title: 'ended', kind: 'number' },
          ...survivalColumns,
        ],
        rows: files.flatMap((file) =>
          survivalSteps(file).map(({ time, atRisk, ended, survival, low, high }) => ({
            series: file.tracking.label,
            time,
            at_risk: atRisk,
            ended,
            survival,
            low,
            high,
          })),
        ),
      },
    },
  ];
}

/**
 * Where no ordering of a series' few checkpoints reaches 0.05: two of n! orderings are the most
 * extreme.
 */
function fewText(rows: readonly { series: string; points: number }[]): string {
  const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1));
  const few = new Map(
    rows.flatMap(({ series, points }) => {
      const least = Math.min(1, 2 / factorial(points));
      return least > 0.05
        ? [[series, `${series} (${points} checkpoints, p at least ${pValue(least)})`] as const]
        : [];
    }),
  );
  return few.size === 0
    ? ''
    : ` Too few for p < 0.05, and for intervals that mean much: ${[...few.values()].join('; ')}.`;
}

/** Rank correlations of the numbers of heads with the training logs. */
export function correlationFigures(data: RunData, view: View): Figure[] {
  const rows = trackedIn(data, view).flatMap(({ tracking, correlations }) =>
    correlations.map(({ log, quantity, points, result, adjusted: p_holm }) => ({
      series: tracking.label,
      log,
      quantity,
      points,
      ...intervalCells('rho', result?.rho, ['low', 'high']),
      p: result?.pValue ?? null,
      p_holm,
    })),
  );
  if (rows.length === 0) return [];
  return [
    {
      id: `correlations-${view.slug}`,
      title: `Heads and training logs: ${view.title}`,
      caption:
        'Spearman’s ρ over the checkpoints of a series with a circular block bootstrap interval; ' +
        'p by permutation, corrected by Holm within the series. No value where one side is constant.' +
        fewText(rows),
      tableFirst: true,
      table: {
        columns: [
          { key: 'series', title: 'series', kind: 'text' },
          { key: 'log', title: 'log', kind: 'text' },
          { key: 'quantity', title: 'quantity', kind: 'text' },
          { key: 'points', title: 'checkpoints', kind: 'number' },
          ...intervalColumns('rho', 'ρ', 'number', ['low', 'high']),
          { key: 'p', title: 'p', kind: 'p-value' },
          { key: 'p_holm', title: 'p (Holm)', kind: 'p-value' },
        ],
        rows,
      },
    },
  ];
}
