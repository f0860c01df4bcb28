// What heads do, as figures: a matrix of their properties, attention maps, and which properties go
// with the effect of ablation. Used by reports of studies and by `headspark heads`.

import * as Plot from '@observablehq/plot';
import { plural } from '../../format-number.js';
import { correlationName, noIntervalText, type HeadCorrelation } from '../../heads/correlation.js';
import { byEffect, type HeadProfile } from '../../heads/profile.js';
import { headPropertyTexts, type HeadPropertyText } from '../../heads/properties.js';
import type { HeadRow } from '../../heads/types.js';
import {
  intervalCells,
  intervalColumns,
  pValue,
  shortNumber,
  type Column,
  type DataTable,
} from '../data-table.js';
import type { Figure } from '../figure.js';
import { colour } from '../palette.js';
import type { RunData, View } from '../run-data.js';
import { dot, draw, stroke, withLegend, type Picture } from '../svg.js';
import { attentionMapPicture, shortOpacity, sideBySide, visibleToken } from './attention-maps.js';

/** More heads than this are in the table only. */
const drawnHeads = 24;

/** What figures of one profile are called. */
export interface ProfileName {
  /** For ids. */
  readonly slug: string;
  /** `grpo-step120: sums, thinking` */
  readonly title: string;
}

/** Properties that at least one head has. */
const measured = ({ table }: HeadProfile): HeadPropertyText[] =>
  headPropertyTexts.filter(({ name }) => table.heads.some(({ values }) => values[name] !== null));

/** Heads of a group first, then those whose ablation does most. */
function chosenHeads(profile: HeadProfile): HeadRow[] {
  const { groups } = profile;
  const heads = byEffect(profile);
  if (!groups) return heads.slice(0, drawnHeads);
  const rank = ({ name }: HeadRow): number =>
    groups[name] === undefined ? 2 : groups[name] === 'emergent' ? 0 : 1;
  return [...heads].sort((a, b) => rank(a) - rank(b)).slice(0, drawnHeads);
}

interface MatrixCell {
  readonly head: string;
  readonly column: string;
  readonly size: number;
  readonly negative: boolean;
  readonly text: string;
  readonly title: string;
}

interface MatrixColumn {
  readonly title: string;
  readonly value: (row: HeadRow) => number | null;
  /** What a reader sees beside the number. */
  readonly more: (row: HeadRow) => string;
}

function matrixColumns(profile: HeadProfile): MatrixColumn[] {
  const { effects, table } = profile;
  const harm: MatrixColumn = {
    title: 'harm of ablation',
    value: ({ name }) => effects?.heads[name] ?? null,
    more: () => '',
  };
  const columns = measured(profile).map(({ name, title, unit }): MatrixColumn => {
    const even = table.uniform[name];
    return {
      title,
      value: ({ values }) => values[name]?.estimate ?? null,
      more: ({ values }) =>
        (name === 'copying'
          ? ''
          : ` [${shortNumber(values[name]!.low)}, ${shortNumber(values[name]!.high)}]`) +
        ` ${unit}${even === null ? '' : `; uniform ${shortNumber(even)}`}`,
    };
  });
  return effects ? [harm, ...columns] : columns;
}

/**
 * Fills within a column, whose unit is its own: from the smallest to the largest where all have one
 * sign, else by magnitude.
 */
function matrixCells(profile: HeadProfile, heads: readonly HeadRow[]): MatrixCell[] {
  return matrixColumns(profile).flatMap(({ title, value, more }) => {
    const values = heads.map(value).filter((one) => one !== null);
    const sizes = values.map(Math.abs);
    const oneSign = values.every((one) => one >= 0) || values.every((one) => one <= 0);
    const least = oneSign ? Math.min(...sizes) : 0;
    const range = Math.max(...sizes) - least;
    return heads.flatMap((row): MatrixCell[] => {
      const own = value(row);
      if (own === null) return [];
      return [
        {
          head: row.name,
          column: title,
          size: range > 0 ? (Math.abs(own) - least) / range : 0,
          negative: own < 0,
          text: cellNumber(own),
          title: shortNumber(own) + more(row),
        },
      ];
    });
  });
}

/** Two digits that matter, without a leading zero: columns are narrow. */
function cellNumber(value: number): string {
  const size = Math.abs(value);
  const text = size >= 10 ? value.toFixed(0) : size >= 1 ? value.toFixed(1) : value.toFixed(2);
  return text
    .replace(/^(-?)0\./, '$1.')
    .replace(/^-(\.0+|0)$/, '$1')
    .replace(/^\.00$/, '0')
    .replace('-', '−');
}

function matrixPicture(profile: HeadProfile): Picture {
  const heads = chosenHeads(profile);
  const cells = matrixCells(profile, heads);
  const { groups } = profile;
  const label = (name: string): string => {
    const group = groups?.[name];
    return group === undefined ? name : `${name} ${group}`;
  };
  const names = heads.map(({ name }) => name);
  const marginLeft = 16 + 6.2 * Math.max(...names.map((name) => label(name).length));
  const columns = matrixColumns(profile).map(({ title }) => title);
  const fill = (negative: boolean) =>
    Plot.cell(
      cells.filter((cell) => cell.negative === negative),
      {
        x: 'column',
        y: 'head',
        fill: colour(negative ? 'base' : 'emergent'),
        fillOpacity: ({ size }: MatrixCell) => shortOpacity(0.04 + 0.5 * size),
        title: 'title',
      },
    );
  return draw({
    width: marginLeft + 8 + 46 * columns.length,
    height: 118 + 19 * heads.length,
    marginLeft,
    marginRight: 62,
    marginTop: 110,
    marginBottom: 8,
    x: {
      type: 'band',
      domain: columns,
      axis: 'top',
      tickRotate: -50,
      tickSize: 0,
      label: null,
      padding: 0.06,
    },
    y: {
      type: 'band',
      domain: names,
      tickFormat: label,
      tickSize: 0,
      label: null,
      padding: 0.08,
    },
    opacity: { type: 'identity' },
    marks: [
      fill(false),
      fill(true),
      Plot.text(cells, { x: 'column', y: 'head', text: 'text', pointerEvents: 'none' }),
    ],
  });
}

/** Every head with every property and its interval. */
export function propertyTable(profile: HeadProfile): DataTable {
  const { table, groups, effects } = profile;
  const properties = measured(profile);
  const columns: Column[] = [
    { key: 'head', title: 'head', kind: 'text' },
    { key: 'layer', title: 'layer', kind: 'number' },
    ...(groups ? [{ key: 'group', title: 'group', kind: 'text' } as const] : []),
    ...(effects ? [{ key: 'effect', title: 'harm of ablation', kind: 'number' } as const] : []),
    ...properties.flatMap(({ name, key, title }): Column[] =>
      name === 'copying' ? [{ key, title, kind: 'number' }] : intervalColumns(key, title, 'number'),
    ),
  ];
  const rows = table.heads.map((row) => ({
    head: row.name,
    layer: row.layer,
    ...(groups ? { group: groups[row.name] ?? '' } : {}),
    ...(effects ? { effect: effects.heads[row.name] ?? null } : {}),
    ...Object.fromEntries(
      properties.flatMap(({ name, key }) => Object.entries(intervalCells(key, row.values[name]))),
    ),
  }));
  return { columns, rows };
}

/** For the page: the drawn heads, without intervals, which the picture shows on hover. */
function shortTable({ columns, rows }: DataTable, drawn: readonly HeadRow[]): DataTable {
  const names = new Set(drawn.map(({ name }) => name));
  return {
    columns: columns
      .filter(({ fileOnly }) => !fileOnly)
      .map(({ key, title, kind }) => ({ key, title, kind })),
    rows: rows.filter(({ head }) => names.has(String(head))),
  };
}

/** Which heads come first where not all are drawn. */
const orderText = ({ groups, effects }: HeadProfile): string =>
  (groups ? ', emergent ones first, then others of either circuit' : '') +
  (effects ? ', each by what their ablation does' : '');

function propertyFigure(profile: HeadProfile, { slug, title }: ProfileName): Figure {
  const { table } = profile;
  const full = propertyTable(profile);
  const drawn = Math.min(drawnHeads, table.heads.length);
  const which =
    drawn < table.heads.length
      ? `${drawn} of ${table.heads.length} heads are drawn${orderText(profile)}. `
      : '';
  const queries =
    table.settings.queries === 'all' ? 'every token but the first' : 'the tokens before an answer';
  const notes = table.notes.length === 0 ? '' : ` Notes: ${table.notes.join('; ')}.`;
  return {
    id: `head-properties-${slug}`,
    title: `What the heads do: ${title}`,
    caption:
      `Means over ${plural(table.settings.prompts, 'prompt')}, attention of ${queries}. ${which}Fills go ` +
      'from the smallest to the largest of a column, in a second colour where it is negative. ' +
      'Direct effect: logits that the head’s write adds to the answer, the scale of the final norm held ' +
      `fixed; OV copying: the eigenvalues’ sum over the sum of their magnitudes; entropy in nats, ` +
      `distance in tokens.${notes}`,
    picture: matrixPicture(profile),
    table: full,
    pageTable: shortTable(full, chosenHeads(profile)),
  };
}

/** Rows of the picture: what could be tested. */
const tested = (rows: readonly HeadCorrelation[]): HeadCorrelation[] =>
  rows.filter(({ result }) => result !== null);

/** The permutation test takes heads of one layer for independent; the interval does not. */
const isClear = ({ adjusted, result }: HeadCorrelation): boolean =>
  adjusted !== null && adjusted < 0.05 && !(result!.rho.low <= 0 && result!.rho.high >= 0);

const propertyOf = ({ property }: HeadCorrelation): string => correlationName(property);
const rhoOf = ({ result }: HeadCorrelation): number => result!.rho.estimate;

/** The interval; in brackets, with the reason where one is known, that there is none. */
function boundsOf({ result }: HeadCorrelation): string {
  const { low, high } = result!.rho;
  if (Number.isFinite(low)) return `[${low.toFixed(2)}, ${high.toFixed(2)}]`;
  const why = noIntervalText(result!);
  return why === undefined ? '(no interval)' : `(no interval: ${why})`;
}

/** Correlations, filled where Holm's correction leaves them clear. */
const correlationDots = (rows: readonly HeadCorrelation[], clear: boolean) =>
  Plot.dot(
    rows.filter((row) => isClear(row) === clear),
    {
      y: propertyOf,
      x: rhoOf,
      r: 4.5,
      fill: clear ? colour('emergent') : colour('page'),
      stroke: colour('emergent'),
      strokeWidth: 1.8,
      title: (row: HeadCorrelation) =>
        `${propertyOf(row)}: ρ = ${rhoOf(row).toFixed(2)} ${boundsOf(row)} over ` +
        `${row.points} heads, p (Holm) = ${pValue(row.adjusted!)}`,
    },
  );

const withinTicks = (rows: readonly HeadCorrelation[]) =>
  Plot.tickX(
    rows.filter(({ withinLayers }) => withinLayers !== null),
    {
      y: propertyOf,
      x: ({ withinLayers }: HeadCorrelation) => withinLayers!.rho,
      stroke: ({ withinLayers }: HeadCorrelation) =>
        withinLayers!.adjusted < 0.05 ? 'currentColor' : colour('control'),
      strokeOpacity: ({ withinLayers }: HeadCorrelation) =>
        withinLayers!.adjusted < 0.05 ? 1 : 0.6,
      strokeWidth: 2.4,
      title: (row: HeadCorrelation) =>
        `${propertyOf(row)} within layers: ρ = ` +
        `${row.withinLayers!.rho.toFixed(2)}, p (Holm) = ${pValue(row.withinLayers!.adjusted)}`,
    },
  );

function correlationPicture(rows: readonly HeadCorrelation[]): Picture {
  const domain = rows.map(propertyOf);
  return draw({
    width: 700,
    height: 52 + 22 * rows.length,
    marginLeft: 150,
    marginRight: 20,
    marginTop: 10,
    marginBottom: 36,
    x: { domain: [-1, 1], label: 'Spearman’s ρ with the harm of ablation', grid: true },
    // Inks are given, not scaled.
    color: { type: 'identity' },
    opacity: { type: 'identity' },
    y: { type: 'band', domain, label: null, tickSize: 0, padding: 0.2 },
    marks: [
      Plot.ruleX([0], { stroke: 'currentColor', strokeOpacity: 0.6 }),
      withinTicks(rows),
      Plot.link(
        rows.filter(({ result }) => Number.isFinite(result!.rho.low)),
        {
          y1: propertyOf,
          y2: propertyOf,
          x1: ({ result }: HeadCorrelation) => result!.rho.low,
          x2: ({ result }: HeadCorrelation) => result!.rho.high,
          stroke: colour('emergent'),
          strokeWidth: 2,
        },
      ),
      correlationDots(rows, true),
      correlationDots(rows, false),
    ],
  });
}

export function correlationTable(rows: readonly HeadCorrelation[]): DataTable {
  return {
    columns: [
      { key: 'property', title: 'property', kind: 'text' },
      { key: 'heads', title: 'heads', kind: 'number' },
      ...intervalColumns('rho', 'ρ', 'number', ['low', 'high']),
      { key: 'p', title: 'p', kind: 'p-value' },
      { key: 'p_holm', title: 'p (Holm)', kind: 'p-value' },
      { key: 'within_layers', title: 'ρ within layers', kind: 'number' },
      { key: 'within_layers_p', title: 'its p', kind: 'p-value' },
      { key: 'within_layers_p_holm', title: 'its p (Holm)', kind: 'p-value' },
    ],
    rows: rows.map(({ property, points, result, adjusted: p_holm, withinLayers }) => ({
      property: correlationName(property),
      heads: points,
      ...intervalCells('rho', result?.rho, ['low', 'high']),
      p: result?.pValue ?? null,
      p_holm,
      within_layers: withinLayers?.rho ?? null,
      within_layers_p: withinLayers?.pValue ?? null,
      within_layers_p_holm: withinLayers?.adjusted ?? null,
    })),
  };
}

function correlationFigure(profile: HeadProfile, { slug, title }: ProfileName): Figure[] {
  const { correlations, effects } = profile;
  if (!correlations || !effects) return [];
  const rows = tested(correlations);
  const { ablation, metric } = effects.settings;
  return [
    {
      id: `head-correlations-${slug}`,
      title: `Properties and the harm of ablation: ${title}`,
      caption:
        `Do heads that do this matter more? Harm: how much worse ${metric} gets when the head alone ` +
        `is ablated (${ablation}). Spearman’s ρ over heads with block bootstrap intervals (a block is ` +
        'a layer’s worth of heads); filled dots have p < 0.05 after Holm’s correction over the ' +
        'properties, and an interval without 0. Ticks: the same within layers, without what depth ' +
        'explains; strong ones have p < 0.05 there after Holm’s correction.',
      ...(rows.length === 0
        ? {}
        : {
            picture: withLegend(correlationPicture(rows), [
              { label: 'p (Holm) < 0.05, interval without 0', mark: dot(colour('emergent')) },
              {
                label: 'not told from chance',
                mark: dot('none', `stroke="${colour('emergent')}" stroke-width="1.8"`),
              },
              {
                label: 'within layers, p (Holm) < 0.05',
                mark: stroke('currentColor', 'transform="rotate(90 6 6)"'),
              },
              {
                label: 'within layers',
                mark: stroke(colour('control'), 'transform="rotate(90 6 6)" stroke-opacity="0.6"'),
              },
            ]),
          }),
      table: correlationTable(correlations),
    },
  ];
}

/** A page is wide enough for this. */
const mapsWidth = 1100;

/** Attention of at least this much, one line each. */
function mapTable({ table }: HeadProfile, least: number): DataTable {
  return {
    columns: [
      { key: 'head', title: 'head', kind: 'text' },
      { key: 'prompt', title: 'prompt', kind: 'number' },
      { key: 'query', title: 'query', kind: 'number' },
      { key: 'query_token', title: 'its token', kind: 'text' },
      { key: 'key', title: 'key', kind: 'number' },
      { key: 'key_token', title: 'its token', kind: 'text' },
      { key: 'attention', title: 'attention', kind: 'number' },
    ],
    rows: table.maps.flatMap(({ head, prompt, rows, tokens }) =>
      rows.flatMap((row, query) =>
        row.flatMap((attention, key) => {
          if (attention < least) return [];
          const [query_token, key_token] = [tokens[query], tokens[key]].map(visibleToken);
          const places = { prompt: prompt + 1, query: query + 1, key: key + 1 };
          return [{ head, ...places, query_token, key_token, attention }];
        }),
      ),
    ),
  };
}

function mapFigure(profile: HeadProfile, { slug, title }: ProfileName): Figure[] {
  const { maps } = profile.table;
  if (maps.length === 0) return [];
  return [
    {
      id: `attention-maps-${slug}`,
      title: `Attention maps: ${title}`,
      caption:
        'Queries (rows) reading keys (columns), the fuller the more; attention below 0.03 is left ' +
        'out. ␣ is a space, ↵ a line break. The table on this page has attention of 0.2 and more.',
      picture: sideBySide(maps.map(attentionMapPicture), mapsWidth),
      table: mapTable(profile, 0.01),
      pageTable: mapTable(profile, 0.2),
    },
  ];
}

/** All figures of a profile. */
export function profileFigures(profile: HeadProfile, name: ProfileName): Figure[] {
  return [
    propertyFigure(profile, name),
    ...mapFigure(profile, name),
    ...correlationFigure(profile, name),
  ];
}

/** What `heads` of a study measured in a view. */
export function headsFigures(data: RunData, view: View): Figure[] {
  return data.heads
    .filter(({ task, form }) => task === view.task && form === view.form)
    .flatMap(({ name, checkpoint, profile }) => {
      if (!profile) return [];
      const own = [name, checkpoint].map((part) => part.replaceAll(' ', '-')).join('-');
      const several = new Set(data.heads.map((file) => file.name)).size > 1;
      const title = `${checkpoint}, ${view.title}${several ? ` (${name})` : ''}`;
      return profileFigures(profile, { slug: `${own}-${view.slug}`, title });
    });
}
