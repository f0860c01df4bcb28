// Attention maps: queries by keys, the darker the more attention, with the tokens along both sides.

import * as Plot from '@observablehq/plot';
import type { AttentionMap } from '../../heads/types.js';
import { colour } from '../palette.js';
import { draw, stack, type Picture } from '../svg.js';

/** Of longer prompts the last tokens are drawn; what they read of the others is one column. */
const drawnTokens = 64;
/** Attention below this is as good as none: a page of thousands of empty cells loads slowly. */
const faintest = 0.03;

/** White space and line breaks as signs, so that a token is never invisible. */
export function visibleToken(text: string): string {
  const shown = text.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '␣');
  const trimmed = shown.length > 1 ? shown.replace(/^␣(?=[^␣])/, '') : shown;
  return trimmed.length > 14 ? `${trimmed.slice(0, 13)}…` : trimmed;
}

/** Two digits are finer than eyes, and half the size of a page of cells. */
export const shortOpacity = (value: number): number => Math.round(100 * value) / 100;

interface Cell {
  readonly query: number;
  readonly key: number;
  readonly value: number;
  readonly text: string;
}

/** Index -1 stands for all tokens before the drawn ones. */
function cellsOf({ rows, tokens }: AttentionMap, first: number): Cell[] {
  const cells: Cell[] = [];
  const name = (index: number): string => `“${visibleToken(tokens[index])}” (${index + 1})`;
  for (let query = first; query < rows.length; query++) {
    const row = rows[query];
    const before = row.slice(0, first).reduce((sum, value) => sum + value, 0);
    const add = (key: number, value: number, where: string): void => {
      if (value < faintest) return;
      const text = `${name(query)} reads ${where}: ${value.toFixed(2)}`;
      cells.push({ query, key, value, text });
    };
    if (first > 0) add(-1, before, `the ${first} tokens before`);
    for (let key = first; key < row.length; key++) add(key, row[key], name(key));
  }
  return cells;
}

/** Pixels of a cell, wide enough for a line of small text: two maps of 45 tokens fit a page. */
const cell = 9;
const fontSize = 8.5;

/** One map. */
export function attentionMapPicture(map: AttentionMap): Picture {
  const first = Math.max(0, map.tokens.length - drawnTokens);
  const queries = map.tokens.map((_, index) => index).slice(first);
  const keys = first > 0 ? [-1, ...queries] : queries;
  const label = (index: number): string =>
    index < 0 ? `… ${first} before` : visibleToken(map.tokens[index]);
  const longest = Math.max(...keys.map((index) => label(index).length));
  const side = 10 + 5.4 * longest;
  const width = side + 8 + cell * keys.length;
  return draw({
    width: Math.max(width, 220),
    height: 24 + cell * queries.length + side,
    marginLeft: side,
    marginRight: Math.max(8, 220 - side - cell * keys.length),
    marginTop: 24,
    marginBottom: side,
    x: { type: 'band', domain: keys, padding: 0.04, axis: null },
    y: { type: 'band', domain: queries, padding: 0.04, axis: null },
    opacity: { type: 'identity' },
    marks: [
      Plot.axisX({ tickFormat: label, tickRotate: -90, tickSize: 0, label: null, fontSize }),
      Plot.axisY({ tickFormat: label, tickSize: 0, label: null, fontSize }),
      Plot.frame({ stroke: colour('line') }),
      Plot.cell(
        queries.map((index) => ({ index })),
        { x: 'index', y: 'index', fill: colour('line'), fillOpacity: 0.35 },
      ),
      Plot.cell(cellsOf(map, first), {
        x: 'key',
        y: 'query',
        fill: colour('emergent'),
        // The square root keeps attention of a few per cent in sight.
        fillOpacity: ({ value }: Cell) => shortOpacity(Math.sqrt(value)),
        title: 'text',
      }),
      Plot.text([`${map.head} · prompt ${map.prompt + 1}`], {
        frameAnchor: 'top-left',
        dy: -16,
        fontSize: 12,
        fontWeight: 600,
        text: (title: string) => title,
      }),
    ],
  });
}

/** Pictures side by side, as many as fit into `width`, row below row. */
export function sideBySide(pictures: readonly Picture[], width: number): Picture {
  const rows: Picture[][] = [];
  let used = Infinity;
  for (const picture of pictures) {
    if (used + picture.width > width) {
      rows.push([]);
      used = 0;
    }
    rows.at(-1)!.push(picture);
    used += picture.width + 16;
  }
  return stack(
    rows.map((row) => {
      let left = 0;
      const parts = row.map(({ body, width: own }) => {
        const part = `<g transform="translate(${Math.round(left)},0)">${body}</g>`;
        left += own + 16;
        return part;
      });
      return {
        body: parts.join(''),
        width: left - 16,
        height: Math.max(...row.map(({ height }) => height)),
      };
    }),
    16,
  );
}
