// What every checkpoint solves: the score on each benchmark over training with the training logs
// below, and pass@k and success@k of the bases and the last checkpoints.

import * as Plot from '@observablehq/plot';
import { formatPoints } from '../../format-number.js';
import type { BenchmarkFile } from '../../study/stages/benchmark.js';
import type { Interval } from '../../stats/quantile.js';
import { intervalCells, intervalColumns } from '../data-table.js';
import type { Figure } from '../figure.js';
import { colour, seriesColour, seriesSymbol } from '../palette.js';
import { finalCheckpoints, type RunData } from '../run-data.js';
import {
  beside,
  dot,
  draw,
  stack,
  stroke,
  titled,
  withLegend,
  type LegendItem,
  type Picture,
} from '../svg.js';
import { slug } from '../../study/study.js';
import { benchmarkChangeFigures } from './benchmark-changes.js';
import {
  benchmarksOf,
  formColumn,
  formsOf,
  isOpen,
  overProblems,
  type Point,
  pointCells,
  pointColumns,
  pointsOf,
  shown,
} from './benchmark-points.js';
import { dodge, seriesMark } from './scores.js';

const panel = { width: 620, marginLeft: 52, marginRight: 20, marginTop: 24, marginBottom: 34 };

/** A step alone stands in the middle with its own tick: an axis without length has none to show. */
const stepAxis = ([first, last]: readonly [number, number]) => ({
  label: 'training step',
  ...(first === last
    ? {
        domain: [first - 1, first + 1],
        ticks: [first],
        tickFormat: (step: number) => step.toLocaleString('en-US'),
      }
    : { domain: [first, last], nice: true }),
});

const pointText = ({ name, accuracy, change }: Point): string =>
  `${name}: ${shown(accuracy)} right` +
  (change
    ? `; against ${change.base.checkpoint} ${formatPoints(change.accuracy.estimate)} points ` +
      `[${formatPoints(change.accuracy.low)}, ${formatPoints(change.accuracy.high)}]`
    : '');

function scorePicture(points: readonly Point[], steps: readonly [number, number]): Picture {
  const all = [...new Set(points.map(({ series }) => series))];
  const own = (series: number): Point[] => points.filter((point) => point.series === series);
  return draw({
    ...panel,
    height: 190,
    x: stepAxis(steps),
    y: { label: 'answers right (%)', grid: true, ticks: 5, domain: [0, 100] },
    marks: all.flatMap((series, place) => {
      const dx = dodge(place, all.length);
      return [
        Plot.ruleX(own(series), {
          x: 'step',
          dx,
          y1: ({ accuracy }: Point) => 100 * accuracy.low,
          y2: ({ accuracy }: Point) => 100 * accuracy.high,
          stroke: seriesColour(series),
          strokeOpacity: 0.6,
          strokeWidth: 2,
        }),
        Plot.line(own(series), {
          x: 'step',
          dx,
          y: ({ accuracy }: Point) => 100 * accuracy.estimate,
          stroke: seriesColour(series),
          strokeWidth: 1.5,
        }),
        ...[false, true].map((open) =>
          Plot.dot(
            own(series).filter((point) => isOpen(point) === open),
            {
              x: 'step',
              dx,
              y: ({ accuracy }: Point) => 100 * accuracy.estimate,
              r: 4,
              symbol: seriesSymbol(series),
              fill: open ? colour('page') : seriesColour(series),
              stroke: seriesColour(series),
              strokeWidth: 1.6,
              title: pointText,
            },
          ),
        ),
      ];
    }),
  });
}

interface LogPoint {
  readonly series: number;
  readonly step: number;
  readonly value: number;
}

/** The training logs of all series, by name; each series once, whatever its tasks and forms. */
function logsOf({ tracking, manifest }: RunData): Map<string, LogPoint[]> {
  const logs = new Map<string, LogPoint[]>();
  manifest.series.forEach(({ label }, series) => {
    const file = tracking.find((one) => one.tracking.label === label);
    for (const { name, points } of file?.logs ?? []) {
      const own = points.map(({ step, value }) => ({ series, step, value }));
      logs.set(name, [...(logs.get(name) ?? []), ...own]);
    }
  });
  return logs;
}

function logPicture(name: string, points: LogPoint[], steps: readonly [number, number]): Picture {
  return draw({
    ...panel,
    height: 120,
    x: stepAxis(steps),
    y: { label: name, grid: true, ticks: 4, nice: true },
    marks: [
      Plot.line(
        points.filter(({ step }) => step <= steps[1]),
        {
          x: 'step',
          y: 'value',
          z: 'series',
          stroke: ({ series }: LogPoint) => seriesColour(series),
          strokeWidth: 1.4,
        },
      ),
    ],
    // Colours are given, not scaled.
    color: { type: 'identity' },
  });
}

function seriesLegend({ manifest }: RunData): LegendItem[] {
  return [
    ...manifest.series.map(({ label }, series) => ({ label, mark: seriesMark(series) })),
    {
      label: 'the change against the base may be none',
      mark: dot('none', `stroke="${colour('ink')}" stroke-width="1.6"`),
    },
  ];
}

function scoreTable(points: readonly Point[]): Figure['table'] {
  return {
    columns: [
      ...pointColumns(points),
      ...intervalColumns('solved', 'solved', 'percent', ['low', 'high']),
      { key: 'majority', title: 'by majority', kind: 'percent' },
      { key: 'tokens', title: 'tokens', kind: 'number' },
      ...intervalColumns('answer_tokens', 'to the answer', 'number'),
      { key: 'truncated', title: 'cut off', kind: 'percent' },
      { key: 'no_answer', title: 'no answer', kind: 'percent' },
      { key: 'near_ties', title: 'near-ties', kind: 'number' },
      { key: 'problems', title: 'problems', kind: 'number' },
      { key: 'samples', title: 'samples', kind: 'number' },
      { key: 'confidence', title: 'confidence', kind: 'number', fileOnly: true },
    ],
    rows: points.map((point) => {
      const { accuracy, file } = point;
      const { rows, settings, problems } = file.table;
      const [{ majority, meanTokens, failures, nearTies }] = rows;
      return {
        ...pointCells(point),
        ...intervalCells('solved', accuracy, ['low', 'high']),
        majority: majority.estimate,
        tokens: meanTokens,
        ...intervalCells('answer_tokens', failures.answerTokens),
        truncated: failures.modes.truncated.rate.estimate,
        no_answer: failures.modes['no-answer'].rate.estimate,
        near_ties: settings.sampling.temperature === 0 ? nearTies : null,
        problems: problems.length,
        samples: settings.samples,
        confidence: file.table.confidence,
      };
    }),
  };
}

/** How a benchmark was answered, in words. */
function howAnswered({ table }: BenchmarkFile): string {
  const { problems, settings } = table;
  const { temperature, topP } = settings.sampling;
  const drawn = temperature === 0 ? 'greedily' : `at temperature ${temperature}, top-p ${topP}`;
  const answers = settings.samples === 1 ? 'one answer each' : `${settings.samples} answers each`;
  return `${problems.length} problems, ${answers}, drawn ${drawn}, at most ${settings.maxNewTokens} tokens`;
}

/** The score of every checkpoint on every benchmark. */
export function benchmarkScoreFigures(data: RunData): Figure[] {
  return benchmarksOf(data).flatMap((benchmark) => {
    const files = data.benchmarks.filter((file) => file.benchmark === benchmark);
    const forms = formsOf(files).map((form) => ({
      form,
      points: pointsOf(
        data,
        files.filter((file) => file.form === form),
      ),
    }));
    const points = forms.flatMap((own) => own.points);
    if (points.length === 0) return [];
    const all = points.map(({ step }) => step);
    const steps: [number, number] = [Math.min(...all), Math.max(...all)];
    const logs = [...logsOf(data)];
    const note = files[0].table.notes.find((text) => /the same sample/.test(text));
    return [
      {
        id: `benchmark-${slug(benchmark)}`,
        title: `Score per checkpoint on ${benchmark}`,
        caption:
          `Share of answers that are right: ${howAnswered(files[0])}; ${overProblems(data)}. ` +
          'Open marks: the interval of the change against the base, problems paired, holds 0.' +
          (logs.length > 0 ? ' Below: the training logs.' : '') +
          (note === undefined ? '' : ` Note: ${note}.`),
        picture: withLegend(
          stack([
            ...forms.map((own) =>
              forms.length > 1
                ? titled(scorePicture(own.points, steps), own.form)
                : scorePicture(own.points, steps),
            ),
            ...logs.map(([name, entries]) => logPicture(name, entries, steps)),
          ]),
          seriesLegend(data),
        ),
        table: scoreTable(points),
      },
      ...benchmarkChangeFigures(data, benchmark, points),
    ];
  });
}

/** A base or the last checkpoint of a series, with its look. */
interface Curve {
  readonly name: string;
  readonly label: string;
  readonly colour: string;
  readonly dash: string;
  readonly file: BenchmarkFile;
}

function curvesOf(data: RunData, files: readonly BenchmarkFile[]): Curve[] {
  const bases = [...new Set(data.manifest.series.map(({ base }) => base))];
  const ends = finalCheckpoints(data.manifest);
  const looks = [
    ...bases.map((name) => ({ name, label: name, colour: 'currentColor', dash: '5,3' })),
    ...ends.map(({ name, label }, series) => ({
      name,
      label: `${label} (${name})`,
      colour: seriesColour(series),
      dash: '',
    })),
  ];
  return looks.flatMap((look) => {
    const file = files.find(({ checkpoint }) => checkpoint === look.name);
    return file ? [{ ...look, file }] : [];
  });
}

interface CurvePoint {
  readonly k: number;
  readonly value: Interval;
  readonly curve: Curve;
}

function curvePicture(curves: readonly Curve[], of: 'passAt' | 'successAt'): Picture {
  const own = (curve: Curve): CurvePoint[] =>
    curve.file.table.rows[0][of].map(({ k, value }) => ({ k, value, curve }));
  const ks = own(curves[0]).map(({ k }) => k);
  const name = of === 'passAt' ? 'pass@k' : 'success@k';
  return draw({
    width: 372,
    height: 210,
    marginLeft: 44,
    marginRight: 16,
    marginTop: 24,
    marginBottom: 34,
    x: { label: 'k', type: 'point', domain: ks, padding: 0.4 },
    y: { label: `${name} (%)`, grid: true, ticks: 5, domain: [0, 100] },
    marks: curves.flatMap((curve, place) => {
      const dx = dodge(place, curves.length);
      return [
        Plot.ruleX(own(curve), {
          x: 'k',
          dx,
          y1: ({ value }: CurvePoint) => 100 * value.low,
          y2: ({ value }: CurvePoint) => 100 * value.high,
          stroke: curve.colour,
          strokeOpacity: 0.55,
          strokeWidth: 2,
        }),
        Plot.line(own(curve), {
          x: 'k',
          dx,
          y: ({ value }: CurvePoint) => 100 * value.estimate,
          stroke: curve.colour,
          strokeWidth: 1.6,
          strokeDasharray: curve.dash,
        }),
        Plot.dot(own(curve), {
          x: 'k',
          dx,
          y: ({ value }: CurvePoint) => 100 * value.estimate,
          r: 3.2,
          fill: curve.colour,
          title: ({ k, value }: CurvePoint) =>
            `${curve.label}: ${name.replace('k', String(k))} ${shown(value)}`,
        }),
      ];
    }),
  });
}

function passTable(files: readonly BenchmarkFile[]): Figure['table'] {
  return {
    columns: [
      { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
      formColumn(files),
      { key: 'k', title: 'k', kind: 'number' },
      ...intervalColumns('pass', 'pass@k', 'percent'),
      ...intervalColumns('success', 'success@k', 'percent'),
    ],
    rows: files.flatMap(({ checkpoint, form, table }) =>
      table.rows[0].passAt.map(({ k, value }, index) => ({
        checkpoint,
        form,
        k,
        ...intervalCells('pass', value),
        ...intervalCells('success', table.rows[0].successAt[index].value),
      })),
    ),
  };
}

/** pass@k and success@k where problems were answered several times. */
export function passFigures(data: RunData): Figure[] {
  return benchmarksOf(data).flatMap((benchmark) => {
    const files = data.benchmarks.filter(
      (file) => file.benchmark === benchmark && file.table.rows[0].passAt.length > 1,
    );
    const panels = formsOf(files).flatMap((form) => {
      const curves = curvesOf(
        data,
        files.filter((file) => file.form === form),
      );
      return curves.length > 0 ? [{ form, curves }] : [];
    });
    if (panels.length === 0) return [];
    const curves = [
      ...new Map(panels.flatMap((one) => one.curves.map((curve) => [curve.name, curve]))).values(),
    ];
    return [
      {
        id: `pass-at-k-${slug(benchmark)}`,
        title: `pass@k and success@k on ${benchmark}`,
        caption:
          'pass@k: the chance that at least one of k answers is right, without bias from all ' +
          'answers; success@k: the share of problems that one of the first k answers solves. ' +
          `Bases and the last checkpoint of every series; ${overProblems(data)}; ` +
          'the table has every checkpoint.',
        picture: withLegend(
          stack(
            panels.map((one) => {
              const pair = beside(
                [curvePicture(one.curves, 'passAt'), curvePicture(one.curves, 'successAt')],
                8,
              );
              return panels.length > 1 ? titled(pair, one.form) : pair;
            }),
          ),
          curves.map((curve) => ({
            label: curve.label,
            mark: stroke(curve.colour, curve.dash && `stroke-dasharray="${curve.dash}"`),
          })),
        ),
        table: passTable(files),
      },
    ];
  });
}
