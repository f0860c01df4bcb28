// The report as one HTML page that needs nothing else: styles, script and pictures are inside.

import { cellText, readColumns, type Cell, type Column, type DataTable } from './data-table.js';
import type { Figure, Section } from './figure.js';
import { liveHtml, liveScript, probeScript, type LiveState } from './page-live.js';
import { pageScript } from './page-script.js';
import { pageStyle, printedRows } from './page-style.js';
import type { RunData } from './run-data.js';
import { escapeXml, svgElement } from './svg.js';

const numeric = ({ kind }: Column): boolean => kind !== 'text' && kind !== 'flag';

/** How a text breaks where the table is too wide: lists of heads, and names at their hyphens. */
function textClass(text: string): string {
  if (text.length > 24) return ' class="long"';
  return /^\S{13,}$/.test(text) ? ' class="name"' : '';
}

function cellHtml(column: Column, row: Readonly<Record<string, Cell>>): string {
  const text = escapeXml(cellText(column, row));
  if (!numeric(column)) return `<td${textClass(text)}>${text}</td>`;
  const value = row[column.key];
  const raw = typeof value === 'number' ? String(Number(value.toPrecision(8))) : '';
  if (!column.interval) return `<td class="number" data-value="${raw}">${text}</td>`;
  const ends = text.replace(/\[.*/, '<span>$&</span>');
  return `<td class="number interval" data-value="${raw}">${ends}</td>`;
}

/** A row whose status is uncertain looks it. */
const rowClass = (row: Readonly<Record<string, Cell>>): string =>
  row['certain'] === false ? ' class="uncertain"' : '';

function tableHtml(id: string, table: DataTable, title: string): string {
  const { rows } = table;
  const columns = readColumns(table);
  const head = columns
    .map(
      (column) =>
        `<th scope="col" aria-sort="none"${numeric(column) ? ' class="number"' : ''}>` +
        `<button type="button">${escapeXml(column.title)}</button></th>`,
    )
    .join('');
  const body = rows
    .map(
      (row) =>
        `<tr${rowClass(row)}>${columns.map((column) => cellHtml(column, row)).join('')}</tr>`,
    )
    .join('');
  const filter =
    rows.length > 8
      ? `<div class="tools"><label for="${id}-filter">Filter</label>` +
        `<input id="${id}-filter" data-filter="${id}" type="search" autocomplete="off">` +
        `<span id="${id}-count" class="faint" role="status">${rows.length} rows</span></div>`
      : '';
  return (
    `${filter}<div class="scroll" tabindex="0" role="region" aria-label="${escapeXml(title)}: table">` +
    `<table id="${id}" class="sortable"><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>` +
    (rows.length > printedRows
      ? `<p class="paper faint">The first ${printedRows} of ${rows.length} rows; the page on a screen has all.</p>`
      : '')
  );
}

/** More notes than this are folded. */
const openNotes = 4;

function notesHtml({ notes = [] }: Figure): string {
  if (notes.length === 0) return '';
  const items = notes.map((note) => `<li>${escapeXml(note)}</li>`).join('');
  const list = `<ul class="notes">${items}</ul>`;
  if (notes.length <= openNotes) return list;
  return `<details><summary>${notes.length} notes</summary>${list}</details>`;
}

function figureHtml(figure: Figure): string {
  const { id, title, caption, picture, table, pageTable, pageContent, tableFirst } = figure;
  const numbers = pageContent ?? tableHtml(`table-${id}`, pageTable ?? table, title);
  const drawn = picture
    ? `<div class="picture" tabindex="0" role="region" aria-label="${escapeXml(title)}: picture">` +
      `${svgElement(picture, `${title}. ${caption}`)}</div>`
    : '';
  const tools = picture
    ? `<div class="tools"><button type="button" data-save="${id}">Save as SVG` +
      `<span hidden>: ${escapeXml(title)}</span></button></div>`
    : '';
  const isEmpty = table.rows.length === 0 && pageContent === undefined;
  const folded = isEmpty
    ? ''
    : tableFirst || pageContent !== undefined
      ? numbers
      : `<details><summary>Numbers: ${escapeXml(title)}</summary>${numbers}</details>`;
  return (
    `<figure id="${id}"><h3>${escapeXml(title)}</h3>${drawn}` +
    `<figcaption>${escapeXml(caption)}${notesHtml(figure)}</figcaption>${tools}${folded}</figure>`
  );
}

/** What a figure takes of the page. */
export const figureBytes = (figure: Figure): number => Buffer.byteLength(figureHtml(figure));

const sectionHtml = ({ id, title, text, figures }: Section): string =>
  `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeXml(title)}</h2>` +
  `<p>${escapeXml(text)}</p>${figures.map(figureHtml).join('\n')}</section>`;

const definitions = (entries: readonly (readonly [string, string])[]): string =>
  `<dl>${entries.map(([term, text]) => `<dt>${escapeXml(term)}</dt><dd>${escapeXml(text)}</dd>`).join('')}</dl>`;

function weightsTable({ manifest }: RunData): DataTable {
  return {
    columns: [
      { key: 'name', title: 'checkpoint', kind: 'text' },
      { key: 'series', title: 'series', kind: 'text' },
      { key: 'step', title: 'step', kind: 'number' },
      { key: 'shape', title: 'layers × heads', kind: 'text' },
      { key: 'parameters', title: 'parameters', kind: 'number' },
      { key: 'fingerprint', title: 'fingerprint of the weights', kind: 'text' },
    ],
    rows: manifest.checkpoints.map(({ name, series, step, layers, heads, ...rest }) => ({
      name,
      series: series ?? 'base',
      step,
      shape: `${layers} × ${heads}`,
      parameters: rest.parameterCount,
      fingerprint: rest.fingerprint,
    })),
  };
}

/** Name, number of problems and hash of every benchmark. */
function benchmarkHashes({ settings }: RunData['manifest']): string[] {
  const own = (settings['benchmarks'] ?? []) as { name: string; problems: number; hash: string }[];
  return own.map(({ name, problems, hash }) => `${name}: ${problems} (${hash.slice(0, 16)})`);
}

/** Settings, hashes, and how to come by the same numbers. */
function reproduceHtml(data: RunData): string {
  const { manifest, studyText } = data;
  const pairs = manifest.pairs.map(
    ({ name, count, hash }) => `${name}: ${count} (${hash.slice(0, 16)})`,
  );
  const benchmarks = benchmarkHashes(manifest);
  const facts = definitions([
    ['study', manifest.study],
    ['hash of the study', manifest.hash],
    ['headspark', manifest.headspark],
    ['Node', `${manifest.node} on ${manifest.platform}`],
    ['processor', `${manifest.cpu}, kernels ${manifest.isa}`],
    ['device', manifest.gpu ? `${manifest.device}: ${manifest.gpu}` : manifest.device],
    ['seed', String(manifest.seed)],
    ['pairs', pairs.join('; ')],
    ...(benchmarks.length === 0 ? [] : [['benchmarks', benchmarks.join('; ')] as const]),
    ['stages', String(manifest.stages.length)],
  ]);
  return (
    '<section id="reproduce" aria-labelledby="reproduce-title">' +
    '<h2 id="reproduce-title">Settings and how to reproduce this</h2>' +
    `<p>The same study file on the same weights gives the same bytes in every result, for any ` +
    'number of threads and shards and any memory budget, on processors with the same kernels.</p>' +
    facts +
    `<h3>Study file</h3><pre tabindex="0" role="region" aria-label="Study file">${escapeXml(studyText)}</pre>` +
    '<h3>Commands</h3><pre>headspark study run study.yaml --out run\nheadspark report run --out report.html</pre>' +
    `<h3>Weights</h3>${tableHtml('table-weights', weightsTable(data), 'Weights')}</section>`
  );
}

function missingHtml({ missing }: RunData, live: LiveState | undefined): string {
  if (missing.size === 0) return '';
  const list = [...missing].map(([kind, count]) => `${count} of ${kind}`).join(', ');
  return (
    `<p class="notice">${live ? '' : '<strong>This run is not finished.</strong> '}` +
    `Stages without a result: ${escapeXml(list)}. What depends on them is left out.</p>`
  );
}

const policy =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";

/** Changes with every result of the run. */
export function stampOf({ manifest, missing }: RunData): string {
  const left = [...missing.values()].reduce((sum, count) => sum + count, 0);
  return `${manifest.hash.slice(0, 24)}.${left}`;
}

/** How often a page of a going run looks for a newer one. */
const probeMs = 3000;

/** The whole page; `live` for a run that is still going. */
export function pageHtml(data: RunData, sections: readonly Section[], live?: LiveState): string {
  const stamp = stampOf(data);
  const { study, description, checkpoints, series } = data.manifest;
  const links = [
    ...sections.map(({ id, title }) => [id, title] as const),
    ['reproduce', 'Settings'] as const,
  ];
  const nav = links
    .map(([id, title]) => `<li><a href="#${id}">${escapeXml(title)}</a></li>`)
    .join('');
  const subtitle =
    `${checkpoints.length} checkpoints in ${series.length} series ` +
    `(${series.map(({ label }) => label).join(', ')})`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}${live ? "; frame-src 'self' file:" : ''}">
${probeScript(stamp, live)}
<link rel="icon" href="data:,">
<title>${escapeXml(study)} – headspark report</title>
<style>${pageStyle}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header>
<p class="faint">headspark report</p>
<h1>${escapeXml(study)}</h1>
${description === undefined ? '' : `<p>${escapeXml(description)}</p>`}
<p class="faint">${escapeXml(subtitle)}</p>
</header>
<nav aria-label="Sections"><ul>${nav}<li><button type="button" id="theme" aria-pressed="false">Light / dark</button></li></ul></nav>
<main id="main">
${live ? liveHtml(live) : ''}${missingHtml(data, live)}
${sections.map(sectionHtml).join('\n')}
${reproduceHtml(data)}
</main>
<div id="tip" role="tooltip" hidden></div>
<script>${pageScript}</script>
${live ? `<script>${liveScript(stamp, probeMs)}</script>\n` : ''}</body>
</html>
`;
}
