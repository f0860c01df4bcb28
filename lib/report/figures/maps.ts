// Heat maps on the layer x head grid: how often a head was in the circuit (activation frequency),
// and how its importance changed (effect).

import * as Plot from '@observablehq/plot';
import type { HeadDifference } from '../../circuit-diff.js';
import { formatPercent } from '../../format-number.js';
import type { TrackedHead } from '../../tracking/cohorts.js';
import type { DataTable } from '../data-table.js';
import { noEndHeadText, noHeadText, type Figure } from '../figure.js';
import { pagePart } from '../page-rows.js';
import { colour } from '../palette.js';
import {
  confidenceText,
  finalCheckpoints,
  resultId,
  type RunData,
  type View,
} from '../run-data.js';
import { stack, swatch, withLegend, type Picture } from '../svg.js';
import { drawGrid, panelRows, type Panel } from './head-grid.js';

type FrequencyCell = TrackedHead & { panel: string };

function frequencyRow(panels: readonly Panel<TrackedHead>[]): Picture {
  const cells: FrequencyCell[] = panels.flatMap(({ name, rows }) =>
    rows.map((row) => ({ ...row, panel: name })),
  );
  const marks = (kind: TrackedHead['kind'], final: boolean) =>
    Plot.cell(
      cells.filter((cell) => cell.kind === kind && cell.final === final),
      {
        fx: 'panel',
        x: 'head',
        y: 'layer',
        fill: colour(kind),
        fillOpacity: ({ frequency }: FrequencyCell) => 0.12 + 0.78 * frequency,
        ...(final ? { stroke: 'currentColor', strokeWidth: 1.6 } : {}),
        title: ({ name, frequency, since }: FrequencyCell) =>
          `${name}: ${kind}, in ${formatPercent(frequency, 0)} of the checkpoints` +
          `${since === null ? '' : `, since step ${since}`}${final ? ', in the last' : ''}`,
      },
    );
  return drawGrid(panels, [
    ...(['base', 'emergent'] as const).flatMap((kind) => [marks(kind, false), marks(kind, true)]),
  ]);
}

const activationTable = (own: RunData['tracking']): DataTable => {
  return {
    columns: [
      { key: 'series', title: 'series', kind: 'text' },
      { key: 'head', title: 'head', kind: 'text' },
      { key: 'kind', title: 'kind', kind: 'text' },
      { key: 'frequency', title: 'active', kind: 'percent' },
      { key: 'since', title: 'since step', kind: 'number' },
      { key: 'survival', title: 'kept later', kind: 'percent' },
      { key: 'final', title: 'in the last', kind: 'flag' },
    ],
    rows: own.flatMap(({ tracking }) =>
      tracking.heads.map(({ name, kind, frequency, since, survival, final }) => ({
        series: tracking.label,
        head: name,
        kind,
        frequency,
        since,
        survival,
        final,
      })),
    ),
  };
};

/** Activation frequency of every series of a view. */
export function frequencyFigures(data: RunData, view: View): Figure[] {
  const own = data.tracking.filter(({ task, form }) => task === view.task && form === view.form);
  if (own.length === 0) return [];
  const panels = own.map(({ tracking }) => ({
    name: tracking.label,
    shape: tracking.shape,
    rows: tracking.heads,
  }));
  const table = activationTable(own);
  const common = {
    id: `activation-${view.slug}`,
    title: `Activation frequency: ${view.title}`,
    table,
  };
  if (table.rows.length === 0) return [{ ...common, caption: noHeadText }];
  const often = [...table.rows].sort((a, b) => Number(b['frequency']) - Number(a['frequency']));
  const { note, shown } = pagePart(table, often, 'of the heads that were active most often');
  return [
    {
      ...common,
      caption:
        'How often a head is in the circuit over the checkpoints of a series: the fuller the ' +
        'colour, the more often. An outline marks the heads of the last checkpoint.' +
        note,
      picture: withLegend(stack(panelRows(panels).map(frequencyRow)), [
        { label: 'head of the base', mark: swatch(colour('base')) },
        { label: 'emergent head', mark: swatch(colour('emergent')) },
        {
          label: 'in the last checkpoint',
          mark: swatch('none', 'stroke="currentColor" stroke-width="1.6"'),
        },
      ]),
      ...shown,
    },
  ];
}

const effectTable = (panels: readonly Panel<HeadDifference>[]): DataTable => {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'head', title: 'head', kind: 'text' },
      { key: 'status', title: 'status', kind: 'text' },
      { key: 'effect', title: 'effect', kind: 'number' },
    ],
    rows: panels.flatMap(({ name, rows }) =>
      rows
        .filter(({ status }) => status !== 'absent')
        .map((row) => ({
          checkpoint: name,
          head: row.name,
          status: row.status,
          effect: row.effect,
        })),
    ),
  };
};

type EffectCell = HeadDifference & { panel: string };

function effectRow(panels: readonly Panel<HeadDifference>[]): Picture {
  const cells: EffectCell[] = panels.flatMap(({ name, rows }) =>
    rows.filter(({ status }) => status !== 'absent').map((row) => ({ ...row, panel: name })),
  );
  const marks = (rising: boolean, certain: boolean) =>
    Plot.cell(
      cells.filter((cell) => cell.effect > 0 === rising && (cell.certain !== false) === certain),
      {
        fx: 'panel',
        x: 'head',
        y: 'layer',
        inset: certain ? 0 : 1,
        fill: colour(rising ? 'emergent' : 'base'),
        fillOpacity: ({ effect }: EffectCell) =>
          (certain ? 1 : 0.45) * (0.15 + 0.8 * Math.abs(effect)),
        stroke: colour(rising ? 'emergent' : 'base'),
        strokeWidth: 1.3,
        ...(certain ? {} : { strokeDasharray: '2,2' }),
        title: ({ name, status, effect, emergenceProbability: p }: EffectCell) =>
          `${name}: ${status}, effect ${effect.toFixed(2)}` +
          `${p === undefined ? '' : `, emergent in ${formatPercent(p, 0)} of resamples`}`,
      },
    );
  return drawGrid(panels, [
    marks(true, true),
    marks(false, true),
    marks(true, false),
    marks(false, false),
  ]);
}

/** Effect maps of the last checkpoint of every series. */
export function effectFigures(data: RunData, view: View): Figure[] {
  const panels = finalCheckpoints(data.manifest).flatMap(({ name }) => {
    const report = data.diffs.get(resultId(name, view));
    return report ? [{ name, shape: report.shape, rows: report.comparisons[0].heads }] : [];
  });
  if (panels.length === 0) return [];
  const dashes = `fill-opacity="0.3" stroke="${colour('emergent')}" stroke-dasharray="2,2"`;
  const table = effectTable(panels);
  const common = {
    id: `effects-${view.slug}`,
    title: `Effect on importance: ${view.title}`,
    table,
  };
  if (table.rows.length === 0) return [{ ...common, caption: noEndHeadText }];
  const strong = [...table.rows].sort(
    (a, b) => Math.abs(Number(b['effect'])) - Math.abs(Number(a['effect'])),
  );
  const { note, shown } = pagePart(table, strong, 'of the strongest effects');
  return [
    {
      ...common,
      caption:
        'E = (post − base) / (post + base) of head importance, for heads of either circuit: +1 is ' +
        'new, −1 is gone; the fuller the colour, the larger. Dashed, pale cells are heads whose status fewer than ' +
        `${confidenceText(data.manifest)} of the resamples share.` +
        note,
      picture: withLegend(stack(panelRows(panels).map(effectRow)), [
        { label: 'more important than in the base', mark: swatch(colour('emergent')) },
        { label: 'less important', mark: swatch(colour('base')) },
        { label: 'uncertain', mark: swatch(colour('emergent'), dashes) },
      ]),
      ...shown,
    },
  ];
}
