// Figures as SVG text: Observable Plot on a document without a browser, with a legend inside the
// picture, so that a figure that is saved or exported says what its colours mean.

import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { light, themeVariables } from './palette.js';

export type PlotOptions = NonNullable<Parameters<typeof Plot.plot>[0]>;

export interface LegendItem {
  readonly label: string;
  /** SVG of a mark of 12 x 12 with its own colours. */
  readonly mark: string;
}

// The types of linkedom and of Plot's document are a browser's, which this project does not load.
const parsed: unknown = parseHTML('<!doctype html><html><body></body></html>');
const { document } = parsed as { document: unknown };

/** A drawn picture and its size. */
export interface Picture {
  /** What stands inside the outer svg element. */
  readonly body: string;
  readonly width: number;
  readonly height: number;
}

export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Two digits after the point are finer than any screen; only places are rounded, never texts. */
const shorten = (svg: string): string =>
  svg.replace(
    / (?:d|transform|x|y|x1|x2|y1|y2|cx|cy|r|width|height)="[^"]*"/g,
    (attribute: string) =>
      attribute.replace(/-?\d+\.\d{3,}/g, (number) =>
        String(Math.round(100 * Number(number)) / 100),
      ),
  );

/** Draws a plot; `width` and `height` must be given in the options. */
export function draw(options: PlotOptions & { width: number; height: number }): Picture {
  const { width, height } = options;
  const node = Plot.plot({
    ...options,
    ...({ document } as object),
    className: 'plot',
    style: { background: 'none', color: 'inherit', overflow: 'visible' },
  }) as unknown as { outerHTML: string };
  // Plot names its groups (`aria-label="dot"`), which ARIA forbids inside a picture with a label.
  const body = node.outerHTML
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/ style="[^"]*"/, '')
    .replace(/ aria-label="[^"]*"/g, '');
  return { body: shorten(body), width, height };
}

/** Pictures below each other. */
export function stack(pictures: readonly Picture[], gap = 8): Picture {
  let top = 0;
  const parts = pictures.map(({ body, height }) => {
    const part = `<g transform="translate(0,${top})">${body}</g>`;
    top += height + gap;
    return part;
  });
  const width = Math.max(...pictures.map((picture) => picture.width));
  return { body: parts.join(''), width, height: top - gap };
}

/** Pictures next to each other. */
export function beside(pictures: readonly Picture[], gap = 0): Picture {
  let left = 0;
  const parts = pictures.map(({ body, width }) => {
    const part = `<g transform="translate(${left},0)">${body}</g>`;
    left += width + gap;
    return part;
  });
  const height = Math.max(...pictures.map((picture) => picture.height));
  return { body: parts.join(''), width: left - gap, height };
}

/** A picture under a title. */
export const titled = ({ body, width, height }: Picture, title: string): Picture => ({
  body:
    `<text x="4" y="12" font-size="12" font-weight="600" fill="currentColor">${escapeXml(title)}</text>` +
    `<g transform="translate(0,16)">${body}</g>`,
  width,
  height: height + 16,
});

/** About as wide as the text at 11 px. */
const textWidth = (text: string): number => 6.3 * text.length;

/** A mark, its label, and the space to the next one. */
const itemWidth = ({ label }: LegendItem): number => 18 + textWidth(label) + 16;

/**
 * Puts a legend above a picture, which becomes as wide as the longest item; items that do not fit go
 * to the next line.
 */
export function withLegend(picture: Picture, items: readonly LegendItem[]): Picture {
  if (items.length === 0) return picture;
  const width = Math.max(picture.width, ...items.map((item) => 4 + itemWidth(item)));
  let [x, y] = [4, 4];
  const parts = items.map((item) => {
    const { label, mark } = item;
    const own = itemWidth(item);
    if (x + own > width && x > 4) {
      x = 4;
      y += 18;
    }
    const part =
      `<g transform="translate(${x},${y})">${mark}` +
      `<text x="18" y="10" font-size="11" fill="currentColor">${escapeXml(label)}</text></g>`;
    x += own;
    return part;
  });
  const legend = stackBody(parts.join(''), picture.body, y + 24);
  return { body: legend, width, height: picture.height + y + 24 };
}

const stackBody = (legend: string, body: string, top: number): string =>
  `<g aria-hidden="true">${legend}</g><g transform="translate(0,${top})">${body}</g>`;

/** A swatch for legends. */
export const swatch = (fill: string, more = ''): string =>
  `<rect width="12" height="12" rx="2" fill="${fill}" ${more}/>`;

/** A round mark for legends. */
export const dot = (fill: string, more = ''): string =>
  `<circle cx="6" cy="6" r="5" fill="${fill}" ${more}/>`;

/** A stroke for legends. */
export const stroke = (colour: string, more = ''): string =>
  `<path d="M0,6H12" stroke="${colour}" stroke-width="2" fill="none" ${more}/>`;

/** The outer element; `label` is read by screen readers. */
export function svgElement({ body, width, height }: Picture, label: string): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" ` +
    `role="img" aria-label="${escapeXml(label)}" fill="currentColor" ` +
    `font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="10">${body}</svg>`
  );
}

/** A figure on its own: colours of the light theme, on white. */
export function standaloneSvg(picture: Picture, label: string): string {
  const variables = themeVariables(light);
  const margin = 12;
  const framed: Picture = {
    body:
      `<rect width="100%" height="100%" fill="${light.page}"/>` +
      `<g transform="translate(${margin},${margin})">${picture.body}</g>`,
    width: picture.width + 2 * margin,
    height: picture.height + 2 * margin,
  };
  return svgElement(framed, label)
    .replace(/var\((--[\w-]+)\)/g, (_, name: string) => variables[name])
    .replaceAll('currentColor', light.ink);
}
