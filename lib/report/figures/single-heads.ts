// Every head ablated alone: how much worse or better the model gets without it, on the layer x head
// grid.

import * as Plot from '@observablehq/plot';
import type { AblationRow } from '../../ablation/types.js';
import { plural } from '../../format-number.js';
import { parseHeads, withFactor, type HeadShape } from '../../head-gate.js';
import type { AblationStageFile } from '../../study/stages/ablation.js';
import { intervalText, shortNumber } from '../data-table.js';
import type { Manifest } from '../../study/manifest.js';
import { colour } from '../palette.js';
import { stack, swatch, withLegend, type Picture } from '../svg.js';
import { namedFactors } from './change-plot.js';
import { drawGrid, panelRows, type Panel } from './head-grid.js';

export interface SingleHead {
  readonly layer: number;
  readonly head: number;
  readonly worse: boolean;
  /** The interval does not hold 0. */
  readonly clear: boolean;
  /** Of the change of the metric, without its sign. */
  readonly size: number;
  readonly text: string;
}

function singleHead(
  { name, heads, change }: AblationRow,
  { metric, worse }: { metric: string; worse: 'lower' | 'higher' },
): SingleHead {
  const { estimate, low, high } = change;
  return {
    ...parseHeads(heads[0])[0],
    worse: worse === 'lower' ? estimate < 0 : estimate > 0,
    clear: low > 0 || high < 0,
    size: Math.abs(estimate),
    text: `${name}: ${metric} changes by ${intervalText([estimate, low, high])}`,
  };
}

/** A panel for every checkpoint and factor; `checkpoints` of the manifest have the shapes. */
export function singlePanels(
  files: readonly AblationStageFile[],
  checkpoints: Manifest['checkpoints'],
): Panel<SingleHead>[] {
  const shapes = new Map<string, HeadShape>(checkpoints.map((one) => [one.name, one]));
  const factors = namedFactors(files);
  return files.flatMap(({ checkpoint, factor, table }) => {
    const shape = shapes.get(checkpoint);
    if (!table || !shape) return [];
    return [
      {
        name: withFactor(checkpoint, factor, factors),
        shape,
        rows: table.variants.map((row) => singleHead(row, table.settings)),
      },
    ];
  });
}

type Cell = SingleHead & { readonly panel: string };

function panelRow(panels: readonly Panel<SingleHead>[], largest: number): Picture {
  const cells: Cell[] = panels.flatMap(({ name, rows }) =>
    rows.map((row) => ({ ...row, panel: name })),
  );
  const marks = (worse: boolean, clear: boolean) =>
    Plot.cell(
      cells.filter((cell) => cell.worse === worse && cell.clear === clear),
      {
        fx: 'panel',
        x: 'head',
        y: 'layer',
        fill: colour(worse ? 'base' : 'emergent'),
        // The root keeps small changes in sight beside a few large ones.
        fillOpacity: ({ size }: Cell) => (largest > 0 ? 0.9 * Math.sqrt(size / largest) : 0),
        ...(clear ? { stroke: colour(worse ? 'base' : 'emergent'), strokeWidth: 1.2 } : {}),
        title: 'text',
      },
    );
  return drawGrid(panels, [
    marks(true, false),
    marks(false, false),
    marks(true, true),
    marks(false, true),
  ]);
}

/** The heat maps of all panels, filled on one scale. */
export function singlePicture(panels: readonly Panel<SingleHead>[]): Picture {
  const largest = Math.max(0, ...panels.flatMap(({ rows }) => rows.map(({ size }) => size)));
  return withLegend(stack(panelRows(panels).map((row) => panelRow(row, largest))), [
    { label: 'worse without the head', mark: swatch(colour('base'), 'fill-opacity="0.7"') },
    { label: 'better without it', mark: swatch(colour('emergent'), 'fill-opacity="0.7"') },
    {
      label: 'interval does not hold 0',
      mark: swatch('none', 'stroke="currentColor" stroke-width="1.2"'),
    },
  ]);
}

/** `S-step10 12 worse and 3 better of 32` */
function countText({ name, rows }: Panel<SingleHead>): string {
  const clear = rows.filter((row) => row.clear);
  const worse = clear.filter((row) => row.worse).length;
  return `${name} ${worse} worse and ${clear.length - worse} better of ${rows.length}`;
}

/** How to read the picture, with what it shows; `confidence` of the intervals, as a text. */
export function singleCaption(
  panels: readonly Panel<SingleHead>[],
  { metric, pairs, confidence }: { metric: string; pairs: number; confidence: string },
): string {
  const heads = panels.flatMap(({ rows }) => rows);
  const largest = heads.reduce((most, { size }) => Math.max(most, size), 0);
  const outlines =
    pairs === 1
      ? 'One pair has no intervals'
      : `Outlined heads have ${confidence} bootstrap intervals over pairs that do not hold 0 ` +
        `(${panels.map(countText).join('; ')}); these are not corrected for the number of heads`;
  return (
    `Change of the mean ${metric} over ${plural(pairs, 'pair')} when one head alone is gated. Fills ` +
    `grow with the root of the change, the fullest is ${shortNumber(largest)}. ${outlines}. The ` +
    'p-values of the table are corrected by Holm over all rows of a checkpoint: a paired permutation ' +
    'test of the metric, and McNemar’s of right answers. Of the heads with q below 0.05 at most 5 % ' +
    'are expected to be false alarms (Benjamini and Hochberg).'
  );
}
