// Attention maps: queries by keys, the darker the more attention, with the tokens along both sides.

import type { AttentionMap } from '../../heads/types.js';
import { colour } from '../palette.js';
import { escapeXml, stack, type Picture } from '../svg.js';

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
const cell = 10;
const inner = cell - 0.6;
/** From here on a cell says on hover what it is; the others are one path for each depth of colour. */
const toldFrom = 0.15;
const depths = 8;

const square = (left: number, top: number): string =>
  `M${left},${top}h${inner}v${inner}h-${inner}z`;

/** Signs that hang below the line would touch the next label. */
const lift = (label: string): number => (/^[␣,;_]+$/.test(label) ? 2.5 : 0);

/** Where a cell of a map lies. */
interface Place {
  /** Left side of a key, -1 included. */
  readonly left: (key: number) => number;
  readonly top: (query: number) => number;
}

/** Depth of colour, at the square root of attention: a few per cent stay in sight. */
const depthOf = ({ value }: Cell): number => Math.ceil(depths * Math.sqrt(value));

function cellsSvg(cells: readonly Cell[], { left, top }: Place): string {
  const faint = cells.filter(({ value }) => value < toldFrom);
  const paths = Array.from({ length: depths + 1 }, (_, depth) => {
    const own = faint.filter((one) => depthOf(one) === depth);
    if (own.length === 0) return '';
    const path = own.map(({ key, query }) => square(left(key), top(query))).join('');
    return `<path fill-opacity="${shortOpacity(depth / depths)}" d="${path}"/>`;
  });
  const told = cells
    .filter(({ value }) => value >= toldFrom)
    .map(
      ({ key, query, value, text }) =>
        `<rect x="${left(key)}" y="${top(query)}" width="${inner}" height="${inner}" ` +
        `fill-opacity="${shortOpacity(Math.sqrt(value))}"><title>${escapeXml(text)}</title></rect>`,
    );
  return `<g fill="${colour('emergent')}">${paths.join('')}${told.join('')}</g>`;
}

/**
 * One map. Written as SVG by hand: as marks of a plot its thousands of cells would be five times as
 * large, and a report has many maps.
 */
export function attentionMapPicture(map: AttentionMap): Picture {
  const first = Math.max(0, map.tokens.length - drawnTokens);
  const queries = map.tokens.map((_, index) => index).slice(first);
  const keys = first > 0 ? [-1, ...queries] : queries;
  const label = (index: number): string =>
    index < 0 ? `… ${first} before` : visibleToken(map.tokens[index]);
  const side = Math.ceil(10 + 5.4 * Math.max(...keys.map((index) => label(index).length)));
  const place: Place = {
    left: (key) => cell * (key < 0 ? 0 : key - first + (first > 0 ? 1 : 0)),
    top: (query) => cell * (query - first),
  };
  const [width, height] = [cell * keys.length, cell * queries.length];
  const baseline = (text: string): number => 8 - lift(text);
  const rows = queries.map((query) => {
    const text = label(query);
    return `<text x="-5" y="${place.top(query) + baseline(text)}">${escapeXml(text)}</text>`;
  });
  const columns = keys.map((key) => {
    const text = label(key);
    const left = place.left(key) + baseline(text);
    return `<text transform="translate(${left},${height + 5})rotate(-90)">${escapeXml(text)}</text>`;
  });
  const diagonal = queries.map((index) => square(place.left(index), place.top(index))).join('');
  const body =
    `<text x="${side}" y="14" font-size="12" font-weight="600">` +
    `${escapeXml(`${map.head} · prompt ${map.prompt + 1}`)}</text>` +
    `<g transform="translate(${side},24)">` +
    `<rect width="${width}" height="${height}" fill="none" stroke="${colour('line')}"/>` +
    `<path fill="${colour('line')}" fill-opacity=".35" d="${diagonal}"/>` +
    cellsSvg(cellsOf(map, first), place) +
    `<g font-size="8.5" text-anchor="end">${rows.join('')}${columns.join('')}</g></g>`;
  return { body, width: Math.max(side + width + 8, 220), height: 24 + height + side };
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
