// What every picture on a layer x head grid shares: scales, the background of all heads, widths.

import * as Plot from '@observablehq/plot';
import type { HeadShape } from '../../head-gate.js';
import { colour } from '../palette.js';
import { draw, type Picture, type PlotOptions } from '../svg.js';

/** A head's place and what is drawn there. */
export interface GridHead {
  readonly layer: number;
  readonly head: number;
}

/** Pixels of one head; large models get small cells. */
export const cellSize = ({ layers, heads }: HeadShape): number =>
  Math.max(7, Math.min(26, Math.floor(300 / Math.max(heads, layers * 0.7))));

/** So many heads that a mark for each that does nothing would be most of the page. */
export const isLarge = ({ layers, heads }: HeadShape): boolean => layers * heads > 600;

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Every few layers or heads gets a number, so that they do not run into each other. */
export const everyFew = (count: number, size: number): number[] => {
  const step = Math.max(1, Math.ceil(18 / size));
  return range(count).filter((index) => index % step === 0);
};

/** Panels of one row: as many as fit into a page's width. */
const panelsPerRow = (shape: HeadShape): number =>
  Math.max(1, Math.floor(900 / (cellSize(shape) * shape.heads + 28)));

/** Cuts panels into rows. */
export function rowsOf<T>(panels: readonly T[], perRow: number): T[][] {
  return range(Math.ceil(panels.length / perRow)).map((row) =>
    panels.slice(row * perRow, (row + 1) * perRow),
  );
}

/** Options of a row of heat maps, one panel for each name; `fx` is the panel. */
function gridOptions(
  shape: HeadShape,
  panels: readonly string[],
): PlotOptions & { width: number; height: number } {
  const size = cellSize(shape);
  const [marginLeft, marginRight, marginTop, marginBottom] = [40, 8, 28, 34];
  const gap = 20;
  return {
    width: marginLeft + marginRight + panels.length * (size * shape.heads + gap),
    height: marginTop + marginBottom + size * shape.layers,
    marginLeft,
    marginRight,
    marginTop,
    marginBottom,
    x: {
      type: 'band',
      domain: range(shape.heads),
      ticks: everyFew(shape.heads, size),
      label: 'head',
      padding: 0.08,
      tickSize: 0,
    },
    y: {
      type: 'band',
      domain: range(shape.layers).reverse(),
      ticks: everyFew(shape.layers, size),
      label: 'layer',
      padding: 0.08,
      tickSize: 0,
    },
    fx: { domain: [...panels], label: null, padding: gap / (size * shape.heads + gap) },
    opacity: { type: 'identity' },
  };
}

/** What one heat map shows. */
export interface Panel<Row> {
  readonly name: string;
  readonly shape: HeadShape;
  readonly rows: readonly Row[];
}

const sameShape = (a: HeadShape, b: HeadShape): boolean =>
  a.layers === b.layers && a.heads === b.heads;

/** Rows of panels of one shape each. */
export function panelRows<Row>(panels: readonly Panel<Row>[]): Panel<Row>[][] {
  const groups: Panel<Row>[][] = [];
  for (const panel of panels) {
    const last = groups.at(-1);
    if (last && sameShape(last[0].shape, panel.shape)) last.push(panel);
    else groups.push([panel]);
  }
  return groups.flatMap((group) => rowsOf(group, panelsPerRow(group[0].shape)));
}

/** Faint cells of every head, so that the grid can be seen where nothing happened. */
const background = (panels: readonly Panel<unknown>[]) => {
  if (isLarge(panels[0].shape)) return Plot.frame({ fill: colour('line'), fillOpacity: 0.2 });
  return Plot.cell(
    panels.flatMap(({ name, shape }) =>
      range(shape.layers * shape.heads).map((index) => ({
        panel: name,
        layer: Math.floor(index / shape.heads),
        head: index % shape.heads,
      })),
    ),
    { fx: 'panel', x: 'head', y: 'layer', fill: colour('line'), fillOpacity: 0.25 },
  );
};

/** A row of heat maps: `marks` over a frame and the faint grid of every panel. */
export const drawGrid = (
  panels: readonly Panel<unknown>[],
  marks: NonNullable<PlotOptions['marks']>,
): Picture =>
  draw({
    ...gridOptions(
      panels[0].shape,
      panels.map(({ name }) => name),
    ),
    marks: [Plot.frame({ stroke: colour('line'), rx: 2 }), background(panels), ...marks],
  });
