// The circuits of a base and of the last checkpoint of every series, drawn on a layer x head grid:
// heads and MLPs as marks, the strongest edges between them.

import * as Plot from '@observablehq/plot';
import { emptyCircuitNote } from '../../circuit/empty-note.js';
import type { DiffReport, HeadDifference } from '../../circuit-diff.js';
import { formatPercent, plural } from '../../format-number.js';
import type { CircuitEdge, CircuitSummaryFile } from '../../study/stages/circuit.js';
import type { DataTable } from '../data-table.js';
import type { Figure } from '../figure.js';
import { colour } from '../palette.js';
import {
  confidenceText,
  finalCheckpoints,
  resultId,
  type RunData,
  type View,
} from '../run-data.js';
import { dot, draw, stack, stroke, swatch, withLegend, type Picture } from '../svg.js';
import { cellSize, everyFew, isLarge, range, rowsOf } from './head-grid.js';

const drawnEdges = 40;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where a node stands: heads in their row, the MLP right of and above its layer's heads. */
function placeOf(name: string, { layers, heads }: CircuitSummaryFile['shape']): Point | undefined {
  const middle = (heads - 1) / 2;
  if (name === 'input') return { x: middle, y: -1 };
  if (name === 'logits') return { x: middle, y: layers };
  const mlp = /^m(\d+)$/.exec(name);
  if (mlp) return { x: heads, y: Number(mlp[1]) + 0.4 };
  const head = /^a(\d+)\.h(\d+)/.exec(name);
  return head ? { x: Number(head[2]), y: Number(head[1]) } : undefined;
}

interface DrawnHead extends Point {
  readonly name: string;
  readonly importance: number;
  readonly kind: 'base' | 'emergent' | 'vanished';
  readonly certain: boolean;
  readonly text: string;
}

function drawnHeads(circuit: CircuitSummaryFile, rows: readonly HeadDifference[]): DrawnHead[] {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const inside = new Set(circuit.heads);
  const names = [...inside, ...rows.filter((row) => row.status === 'vanished').map((r) => r.name)];
  return names.map((name) => {
    const row = byName.get(name);
    const place = placeOf(name, circuit.shape)!;
    const importance = circuit.importance[place.y][place.x];
    const kind = !inside.has(name) ? 'vanished' : row?.status === 'emergent' ? 'emergent' : 'base';
    const certain = row?.certain !== false;
    const sure =
      row?.emergenceProbability === undefined
        ? ''
        : `; emergent in ${formatPercent(row.emergenceProbability, 0)} of resamples`;
    const text = `${name}: ${row?.status ?? 'in the circuit'}, importance ${importance.toFixed(4)}${sure}`;
    return { ...place, name, importance, kind, certain, text };
  });
}

function drawnLinks(circuit: CircuitSummaryFile) {
  const strongest = Math.abs(circuit.strongest[0]?.score ?? 1);
  return circuit.strongest.slice(0, drawnEdges).flatMap((edge: CircuitEdge) => {
    const from = placeOf(edge.source, circuit.shape);
    const to = placeOf(edge.destination, circuit.shape);
    const share = Math.abs(edge.score) / (strongest || 1);
    return from && to ? [{ from, to, share, negative: edge.score < 0, edge }] : [];
  });
}

const edgeText = ({ source, destination, score }: CircuitEdge): string =>
  `${source} → ${destination}: ${score.toPrecision(3)}`;

function edgeMarks(circuit: CircuitSummaryFile) {
  const links = drawnLinks(circuit);
  type Link = (typeof links)[number];
  const options = (negative: boolean) => ({
    x1: (link: Link) => link.from.x,
    y1: (link: Link) => link.from.y,
    x2: (link: Link) => link.to.x,
    y2: (link: Link) => link.to.y,
    curve: 'bump-y' as const,
    stroke: colour('faint'),
    strokeOpacity: (link: Link) => 0.25 + 0.6 * link.share,
    strokeWidth: 1.4,
    ...(negative ? { strokeDasharray: '3,2' } : {}),
    title: ({ edge }: Link) => edgeText(edge),
  });
  return [false, true].map((negative) =>
    Plot.link(
      links.filter((link) => link.negative === negative),
      options(negative),
    ),
  );
}

function headMarks(heads: readonly DrawnHead[], size: number) {
  const largest = Math.max(1e-9, ...heads.map(({ importance }) => importance));
  const radius = ({ importance }: DrawnHead): number =>
    size * (0.2 + 0.24 * Math.sqrt(importance / largest));
  const marks = (kind: DrawnHead['kind'], certain: boolean) =>
    Plot.dot(
      heads.filter((head) => head.kind === kind && head.certain === certain),
      {
        x: 'x',
        y: 'y',
        r: radius,
        fill: kind === 'vanished' ? 'none' : colour(kind),
        fillOpacity: certain ? 1 : 0.3,
        stroke: colour(kind === 'emergent' ? 'emergent' : 'base'),
        strokeWidth: 1.5,
        ...(certain ? {} : { strokeDasharray: '2,2' }),
        title: 'text',
      },
    );
  return (['base', 'emergent', 'vanished'] as const).flatMap((kind) => [
    marks(kind, true),
    marks(kind, false),
  ]);
}

/** The nodes that are no heads: MLPs, the input and the logits. */
function otherMarks({ mlps, shape }: CircuitSummaryFile, size: number): Plot.Markish[] {
  const places = mlps.map((layer) => ({ ...placeOf(`m${layer}`, shape)!, name: `m${layer}` }));
  const ends = ['input', 'logits'].map((end) => ({ ...placeOf(end, shape)!, name: end }));
  return [
    Plot.dot(places, {
      x: 'x',
      y: 'y',
      r: size * 0.22,
      symbol: 'square',
      fill: colour('control'),
      title: ({ name: mlp }: { name: string }) => `${mlp}: MLP in the circuit`,
    }),
    Plot.text(ends, {
      x: 'x',
      y: ({ y, name: end }: { y: number; name: string }) => y + (end === 'input' ? -0.14 : 0.14),
      text: 'name',
      fill: 'currentColor',
      stroke: colour('page'),
      strokeWidth: 4,
      fontSize: 10,
    }),
  ];
}

function panel(
  name: string,
  circuit: CircuitSummaryFile,
  rows: readonly HeadDifference[],
): Picture {
  const { shape } = circuit;
  const size = Math.max(12, cellSize(shape));
  const all = range(shape.layers * shape.heads).map((index) => ({
    x: index % shape.heads,
    y: Math.floor(index / shape.heads),
  }));
  return draw({
    width: 52 + size * (shape.heads + 1.4),
    height: 62 + 1.5 * size * (shape.layers + 1.4),
    marginLeft: 38,
    marginRight: 14,
    marginTop: 28,
    marginBottom: 34,
    x: {
      domain: [-0.6, shape.heads + 0.6],
      ticks: everyFew(shape.heads, size),
      label: 'head',
      tickFormat: 'd',
    },
    y: {
      domain: [-1.4, shape.layers + 0.4],
      ticks: everyFew(shape.layers, size),
      label: 'layer',
      tickFormat: 'd',
    },
    r: { type: 'identity' },
    opacity: { type: 'identity' },
    marks: [
      isLarge(shape)
        ? Plot.ruleY(range(shape.layers), { stroke: colour('line'), strokeOpacity: 0.5 })
        : Plot.dot(all, { x: 'x', y: 'y', r: 1.5, fill: colour('line') }),
      ...edgeMarks(circuit),
      ...headMarks(drawnHeads(circuit, rows), size),
      ...otherMarks(circuit, size),
      Plot.text([name], {
        frameAnchor: 'top',
        dy: -20,
        text: (label: string) => label,
        fontSize: 11,
        fontWeight: 600,
        fill: 'currentColor',
      }),
    ],
  });
}

/** Pictures beside each other. */
function beside(pictures: readonly Picture[]): Picture {
  let left = 0;
  const parts = pictures.map(({ body, width }) => {
    const part = `<g transform="translate(${left},0)">${body}</g>`;
    left += width + 4;
    return part;
  });
  const height = Math.max(...pictures.map((picture) => picture.height));
  return { body: parts.join(''), width: left, height };
}

const legendOf = (confidence: string) => [
  { label: 'also in the base circuit', mark: dot(colour('base')) },
  { label: 'emergent', mark: dot(colour('emergent')) },
  {
    label: 'vanished',
    mark: dot('none', `stroke="${colour('base')}" stroke-width="1.5"`),
  },
  {
    label: `uncertain (below ${confidence})`,
    mark: dot(
      colour('emergent'),
      `fill-opacity="0.3" stroke="${colour('emergent')}" stroke-dasharray="2,2" stroke-width="1.5"`,
    ),
  },
  { label: 'MLP', mark: swatch(colour('control')) },
  { label: 'edge (dashed: negative score)', mark: stroke(colour('faint')) },
];

function edgeTable(panels: readonly { name: string; circuit: CircuitSummaryFile }[]): DataTable {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      { key: 'source', title: 'source', kind: 'text' },
      { key: 'destination', title: 'destination', kind: 'text' },
      { key: 'score', title: 'score', kind: 'number' },
    ],
    rows: panels.flatMap(({ name, circuit }) =>
      circuit.strongest.slice(0, drawnEdges).map(({ source, destination, score }) => ({
        checkpoint: name,
        source,
        destination,
        score,
      })),
    ),
  };
}

/** What the caption says of the circuits without edges. */
function emptyNotes(
  panels: readonly { name: string; circuit: CircuitSummaryFile }[],
  others: readonly CircuitSummaryFile[],
): readonly string[] {
  const empty = panels.filter(({ circuit }) => circuit.edges === 0);
  if (empty.length === 0) return [];
  const names = empty.map(({ name }) => name).join(', ');
  const filled = others.filter(({ edges }) => edges > 0).length;
  const areAll = empty.length === panels.length && filled === 0;
  const whose = areAll ? 'Every circuit' : `The circuit of ${names}`;
  return [
    emptyCircuitNote(whose, empty[0].circuit.selection, '`rule: greedy`'),
    ...(empty.length === panels.length && !areAll
      ? [
          `${filled} of ${plural(others.length, 'other circuit')}, of checkpoints in between, have edges.`,
        ]
      : []),
  ];
}

/** The circuits of a view: every base, then the last checkpoint of every series. */
export function circuitFigures(data: RunData, view: View): Figure[] {
  const bases = [...new Set(data.manifest.series.map(({ base }) => base))];
  const names = [...bases, ...finalCheckpoints(data.manifest).map(({ name }) => name)];
  const panels = names.flatMap((name) => {
    const circuit = data.circuits.get(resultId(name, view));
    const report: DiffReport | undefined = data.diffs.get(resultId(name, view));
    return circuit ? [{ name, circuit, rows: report?.comparisons[0].heads ?? [] }] : [];
  });
  if (panels.length === 0) return [];
  const common = {
    id: `circuits-${view.slug}`,
    title: `Circuits: ${view.title}`,
    table: edgeTable(panels),
  };
  const own = new Set(names.map((name) => resultId(name, view)));
  const others = data.manifest.checkpoints.flatMap(({ name }) => {
    const id = resultId(name, view);
    return own.has(id) ? [] : (data.circuits.get(id) ?? []);
  });
  const empty = emptyNotes(panels, others);
  if (panels.every(({ circuit }) => circuit.edges === 0)) {
    return [{ ...common, caption: empty.join(' ') }];
  }
  const pictures = panels.map(({ name, circuit, rows }) => panel(name, circuit, rows));
  const perRow = Math.max(1, Math.floor(940 / (pictures[0].width + 4)));
  return [
    {
      ...common,
      caption: [
        `Heads in the circuit (area: importance) with the ${drawnEdges} strongest edges, for the`,
        'base and the last checkpoint of every series. Layers rise from the input to the logits.',
        ...empty,
      ].join(' '),
      picture: withLegend(
        stack(rowsOf(pictures, perRow).map(beside)),
        legendOf(confidenceText(data.manifest)),
      ),
    },
  ];
}
