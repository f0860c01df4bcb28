// Series side by side: the overlap of their emergent sets in every combination against chance, the
// relative depth of emergent heads, and series with a true and a corrupted reward.

import * as Plot from '@observablehq/plot';
import type { RegimesFile } from '../../study/stages/regimes.js';
import type { CombinationOverlap, RegimeOverlap } from '../../tracking/overlap.js';
import { pValue, shortNumber } from '../data-table.js';
import { noEmergentText, type Figure } from '../figure.js';
import { colour, seriesColour, seriesSymbol } from '../palette.js';
import type { RunData, View } from '../run-data.js';
import { draw, stack, stroke, swatch, withLegend, type Picture } from '../svg.js';

/** More combinations than this are in the table only. */
const drawnCombinations = 24;

const nameOf = ({ sets }: CombinationOverlap): string => sets.join(' & ');

function barsPicture(
  rows: readonly CombinationOverlap[],
  options: { width: number; left: number },
): Picture {
  const most = Math.max(1, ...rows.map(({ shared, expected }) => Math.max(shared, expected)));
  return draw({
    width: options.width,
    height: 170,
    marginLeft: options.left,
    marginRight: 12,
    marginTop: 28,
    marginBottom: 6,
    x: { type: 'band', domain: rows.map(nameOf), axis: null, padding: 0.35 },
    y: { domain: [0, most * 1.15], label: 'shared heads', grid: true, ticks: Math.min(6, most) },
    marks: [
      Plot.barY(rows, {
        x: nameOf,
        y: 'shared',
        fill: colour('emergent'),
        title: (row: CombinationOverlap) =>
          `${nameOf(row)}: ${row.shared} shared, ${shortNumber(row.expected)} expected by chance, ` +
          `p = ${pValue(row.pValue)} (${pValue(row.adjusted)} after Holm)`,
      }),
      Plot.tickY(rows, { x: nameOf, y: 'expected', stroke: 'currentColor', strokeWidth: 2.5 }),
      Plot.text(rows, {
        x: nameOf,
        y: (row: CombinationOverlap) => Math.max(row.shared, row.expected),
        text: (row: CombinationOverlap) =>
          `p ${pValue(row.adjusted).replace(/^<?/, (sign) => `${sign || '='} `)}`,
        dy: -8,
        fill: 'currentColor',
        fontSize: 9,
      }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  });
}

function matrixPicture(
  overlap: RegimeOverlap,
  rows: readonly CombinationOverlap[],
  options: { width: number; left: number },
): Picture {
  const sets = overlap.sets.map(({ name, size }) => `${name} (${size})`);
  const label = new Map(overlap.sets.map(({ name }, index) => [name, sets[index]]));
  const dots = rows.flatMap((row) =>
    overlap.sets.map(({ name }) => ({
      x: nameOf(row),
      y: label.get(name)!,
      inside: row.sets.includes(name),
    })),
  );
  const links = rows.map((row) => ({
    x: nameOf(row),
    y1: label.get(row.sets[0])!,
    y2: label.get(row.sets.at(-1)!)!,
  }));
  return draw({
    width: options.width,
    height: 12 + 20 * sets.length,
    marginLeft: options.left,
    marginRight: 12,
    marginTop: 6,
    marginBottom: 6,
    x: { type: 'band', domain: rows.map(nameOf), axis: null, padding: 0.35 },
    y: { type: 'point', domain: sets, label: null, tickSize: 0 },
    marks: [
      Plot.link(links, {
        x1: 'x',
        x2: 'x',
        y1: 'y1',
        y2: 'y2',
        stroke: 'currentColor',
        strokeWidth: 2,
      }),
      Plot.dot(
        dots.filter(({ inside }) => !inside),
        { x: 'x', y: 'y', r: 5, fill: colour('line') },
      ),
      Plot.dot(
        dots.filter(({ inside }) => inside),
        { x: 'x', y: 'y', r: 5.5, fill: 'currentColor' },
      ),
    ],
  });
}

function overlapPicture(overlap: RegimeOverlap): Picture {
  const rows = overlap.combinations.slice(0, drawnCombinations);
  const longest = Math.max(...overlap.sets.map(({ name }) => name.length));
  const left = Math.max(60, 34 + 6 * (longest + 4));
  const options = { width: Math.max(300, left + 30 + 62 * rows.length), left };
  return withLegend(stack([barsPicture(rows, options), matrixPicture(overlap, rows, options)], 0), [
    { label: 'heads in all of the marked series', mark: swatch(colour('emergent')) },
    { label: 'expected by chance within layers', mark: stroke('currentColor') },
  ]);
}

const overlapColumns = [
  { key: 'base', title: 'base', kind: 'text' },
  { key: 'view', title: 'emergent heads', kind: 'text' },
  { key: 'sets', title: 'series', kind: 'text' },
  { key: 'shared', title: 'shared', kind: 'number' },
  { key: 'exclusive', title: 'in no other', kind: 'number' },
  { key: 'expected', title: 'expected', kind: 'number' },
  { key: 'p', title: 'p', kind: 'p-value' },
  { key: 'p_holm', title: 'p (Holm)', kind: 'p-value' },
  { key: 'exact', title: 'p exact, within layers', kind: 'p-value' },
  { key: 'whole', title: 'p exact, whole model', kind: 'p-value' },
  { key: 'heads', title: 'heads', kind: 'text' },
] as const;

function overlapFigures(file: RegimesFile, view: View): Figure[] {
  return file.overlaps.map(({ base, view: which, overlap }) => ({
    id: `overlap-${which}-${base.replaceAll(' ', '-')}-${view.slug}`,
    title: `Overlap of emergent heads (${which === 'final' ? 'last checkpoint' : 'any checkpoint'}): ${view.title}`,
    ...(overlap.sets.every(({ size }) => size === 0)
      ? { caption: noEmergentText(which === 'final' ? 'final' : 'any') }
      : {
          caption:
            'Heads that every marked series brings up, against random sets of as many heads in each layer ' +
            `among those that the base circuit leaves free (${overlap.permutations.toLocaleString('en-US')} ` +
            'draws). Above the bars: p by these draws, corrected by Holm. Sizes of the sets in brackets.',
          picture: overlapPicture(overlap),
        }),
    table: {
      columns: overlapColumns,
      rows: overlap.combinations.map((row) => ({
        base,
        view: which,
        sets: nameOf(row),
        shared: row.shared,
        exclusive: row.exclusive,
        expected: row.expected,
        p: row.pValue,
        p_holm: row.adjusted,
        exact: row.hypergeometric?.withinLayers ?? null,
        whole: row.hypergeometric?.wholeModel ?? null,
        heads: row.heads.join(' '),
      })),
    },
  }));
}

function depthPicture({ profiles }: RegimesFile['depth']): Picture {
  const rows = profiles.flatMap(({ name, depths }, series) =>
    depths.map((value) => ({ name, value, series })),
  );
  const names = profiles.map(({ name }) => name);
  const longest = Math.max(...names.map((name) => name.length));
  return draw({
    width: 640,
    height: 50 + 42 * names.length,
    marginLeft: Math.max(50, 16 + 6.2 * longest),
    marginRight: 20,
    marginTop: 12,
    marginBottom: 34,
    x: { domain: [0, 1], label: 'relative depth (0: input, 1: output)', grid: true },
    fy: { domain: names, label: null, padding: 0.1 },
    marks: [
      Plot.axisFy({ frameAnchor: 'left', anchor: 'left', textAnchor: 'end', dx: -8, label: null }),
      Plot.ruleX([0, 1], { stroke: colour('line') }),
      ...profiles.map(({ name }, series) =>
        Plot.dot(
          rows.filter((row) => row.name === name),
          Plot.dodgeY({
            x: 'value',
            fy: 'name',
            r: 4,
            anchor: 'middle' as const,
            fill: seriesColour(series),
            symbol: seriesSymbol(series),
            title: (row: { value: number }) => `${name}: a head at depth ${row.value.toFixed(3)}`,
          }),
        ),
      ),
    ],
  });
}

function depthFigure({ depth }: RegimesFile, view: View): Figure {
  return {
    id: `depth-${view.slug}`,
    title: `Depth of emergent heads: ${view.title}`,
    ...(depth.profiles.every(({ depths }) => depths.length === 0)
      ? { caption: noEmergentText('any') }
      : {
          caption:
            'Relative depth of every head that emerged at any checkpoint, so that models of different ' +
            'shape can be compared. The table compares the series: Wasserstein distance, p by permutation.',
          picture: depthPicture(depth),
        }),
    table: {
      columns: [
        { key: 'first', title: 'series', kind: 'text' },
        { key: 'second', title: 'against', kind: 'text' },
        { key: 'count_first', title: 'heads', kind: 'number' },
        { key: 'count_second', title: 'heads there', kind: 'number' },
        { key: 'distance', title: 'distance', kind: 'number' },
        { key: 'p', title: 'p', kind: 'p-value' },
        { key: 'p_holm', title: 'p (Holm)', kind: 'p-value' },
      ],
      rows: depth.comparisons.map(({ first, second, distance, pValue: p, adjusted: p_holm }) => {
        const count = (name: string) => depth.profiles.find((one) => one.name === name)!.count;
        return {
          first,
          second,
          count_first: count(first),
          count_second: count(second),
          distance,
          p,
          p_holm,
        };
      }),
    },
  };
}

function rewardFigures({ corruptedRewards }: RegimesFile, view: View): Figure[] {
  if (corruptedRewards.length === 0) return [];
  return [
    {
      id: `rewards-${view.slug}`,
      title: `True and corrupted reward: ${view.title}`,
      caption:
        'A series trained with the true reward beside one whose reward was corrupted. Heads that ' +
        'only the true reward brings up may be its doing; of heads that both bring up, some are shared ' +
        'by chance (expected), and p says how often chance alone shares as many.',
      tableFirst: true,
      table: {
        columns: [
          { key: 'series', title: 'series', kind: 'text' },
          { key: 'reward', title: 'reward', kind: 'text' },
          { key: 'ever', title: 'emergent ever', kind: 'number' },
          { key: 'final', title: 'emergent at the end', kind: 'number' },
          { key: 'vanished', title: 'vanished again', kind: 'number' },
          { key: 'retained', title: 'base heads retained', kind: 'number' },
          { key: 'shared', title: 'shared ever', kind: 'number' },
          { key: 'expected', title: 'expected', kind: 'number' },
          { key: 'p', title: 'p', kind: 'p-value' },
        ],
        rows: corruptedRewards.flatMap(({ genuine, sides, overlap }) => {
          const [pair] = overlap.ever.combinations;
          return sides.map((side) => ({
            series: side.label,
            reward: side.label === genuine ? 'true' : 'corrupted',
            ever: side.emergentEver,
            final: side.emergentFinal,
            vanished: side.vanishedAgain,
            retained: side.retainedFinal,
            shared: pair.shared,
            expected: pair.expected,
            p: pair.pValue,
          }));
        }),
      },
    },
  ];
}

export function regimeFigures(data: RunData, view: View): Figure[] {
  return data.regimes
    .filter(({ task, form }) => task === view.task && form === view.form)
    .flatMap((file) => [
      ...overlapFigures(file, view),
      depthFigure(file, view),
      ...rewardFigures(file, view),
    ]);
}
