// What gating heads changes: a dot with its interval for every set of heads, and a tick for each of
// its matched random sets.

import * as Plot from '@observablehq/plot';
import { pValue, type Column } from '../data-table.js';
import { colour } from '../palette.js';
import { dot, draw, stroke, withLegend, type Picture } from '../svg.js';

/** A set of heads. */
export interface ChangeRow {
  /** Names the row; unique. */
  readonly y: string;
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
  readonly text: string;
  readonly controls: readonly {
    readonly y: string;
    readonly change: number;
    readonly text: string;
  }[];
}

/** What names say a factor beside: 0 alone is not said, as in the tables of the commands. */
export const namedFactors = (files: readonly { readonly factor: number }[]): number[] => [
  0,
  ...files.map(({ factor }) => factor),
];

/** Readers see the factor where heads are scaled too. */
export const factorColumn = (factors: readonly number[]): Column => ({
  key: 'factor',
  title: 'factor',
  kind: 'number',
  ...(factors.some((factor) => factor !== 0) ? {} : { fileOnly: true }),
});

/**
 * What random sets can show at all, of each table whose correction leaves no row a rank p of 0.05;
 * tables are lists of rows, undefined where there were no heads.
 */
export function leastRankTexts(
  tables: readonly (readonly { readonly controls?: { readonly sets: number } }[] | undefined)[],
): string[] {
  const texts = tables.flatMap((rows) => {
    const tested = (rows ?? []).flatMap(({ controls }) => controls ?? []);
    const sets = Math.max(0, ...tested.map((controls) => controls.sets));
    const least = Math.min(1, tested.length / (sets + 1));
    if (tested.length < 2 || least <= 0.05) return [];
    return [
      `with ${sets} random sets Holm’s correction over ${tested.length} rows leaves no rank p below ` +
        pValue(least),
    ];
  });
  return [...new Set(texts)];
}

const isClear = ({ low, high }: ChangeRow): boolean => low > 0 || high < 0;

const dots = (rows: readonly ChangeRow[], clear: boolean) =>
  Plot.dot(
    rows.filter((row) => isClear(row) === clear),
    {
      y: 'y',
      x: 'estimate',
      r: 4.5,
      fill: clear ? colour('emergent') : colour('page'),
      stroke: colour('emergent'),
      strokeWidth: 1.8,
      title: 'text',
    },
  );

const legend = [
  { label: 'the heads', mark: dot(colour('emergent')) },
  {
    label: 'interval holds 0',
    mark: dot('none', `stroke="${colour('emergent')}" stroke-width="1.8"`),
  },
  {
    label: 'matched random sets',
    mark: stroke(colour('control'), 'transform="rotate(90 6 6)"'),
  },
];

/** Rows below each other, with a legend; `percent` for changes of shares. */
export function changePicture(
  rows: readonly ChangeRow[],
  { label, percent = false }: { label: string; percent?: boolean },
): Picture {
  const names = rows.map(({ y }) => y);
  const picture = draw({
    width: 760,
    height: 50 + 22 * rows.length,
    marginLeft: Math.max(80, 14 + 6.1 * Math.max(...names.map((name) => name.length))),
    marginRight: 20,
    marginTop: 10,
    marginBottom: 36,
    x: { label, grid: true, nice: true, ...(percent ? { percent: true } : {}) },
    y: { type: 'band', domain: names, label: null, tickSize: 0, padding: 0.2 },
    marks: [
      Plot.ruleX([0], { stroke: 'currentColor', strokeOpacity: 0.6 }),
      Plot.tickX(
        rows.flatMap(({ controls }) => controls),
        {
          y: 'y',
          x: 'change',
          stroke: colour('control'),
          strokeWidth: 1.6,
          title: 'text',
        },
      ),
      Plot.link(rows, {
        y1: 'y',
        y2: 'y',
        x1: 'low',
        x2: 'high',
        stroke: colour('emergent'),
        strokeWidth: 2,
      }),
      dots(rows, true),
      dots(rows, false),
    ],
  });
  return withLegend(picture, legend);
}
