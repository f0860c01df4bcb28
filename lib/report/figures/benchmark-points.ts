// What figures of benchmarks share: the answers of every checkpoint as points of the series, each with
// its change against the base.

import { tableChangeSteps, type PairedChange } from '../../evaluation/paired-change.js';
import type { Interval } from '../../stats/quantile.js';
import type { BenchmarkFile } from '../../study/stages/benchmark.js';
import { atOnce } from '../../turns.js';
import { percent, type Cell, type Column } from '../data-table.js';
import { confidenceText, type RunData } from '../run-data.js';

/** Names of benchmarks that have results, in the order of the study. */
export const benchmarksOf = (data: RunData): string[] => [
  ...new Set(data.benchmarks.map(({ benchmark }) => benchmark)),
];

export const formsOf = (files: readonly { readonly form: string }[]): string[] => [
  ...new Set(files.map(({ form }) => form)),
];

/** Whose intervals those of answers are. */
export const overProblems = ({ manifest }: RunData): string =>
  `${confidenceText(manifest)} bootstrap intervals over problems, Wilson’s where all came out alike`;

/** Readers see the prompt form where there are several. */
export const formColumn = (rows: readonly { readonly form: string }[]): Column => ({
  key: 'form',
  title: 'prompt form',
  kind: 'text',
  ...(formsOf(rows).length > 1 ? {} : { fileOnly: true }),
});

export const shown = ({ estimate, low, high }: Interval): string =>
  `${percent(estimate)} [${percent(low)}, ${percent(high)}]`;

/** A checkpoint's answers as a point of a series; a base is one of every series that starts there. */
export interface Point {
  readonly series: number;
  readonly label: string;
  readonly name: string;
  readonly step: number;
  readonly form: string;
  readonly file: BenchmarkFile;
  readonly accuracy: Interval;
  /** Against the base; undefined of the base itself, and where it has no answers to the same. */
  readonly change: (PairedChange & { readonly base: BenchmarkFile }) | undefined;
}

function changeOf(base: BenchmarkFile | undefined, file: BenchmarkFile): Point['change'] {
  if (!base || base === file) return undefined;
  const change = atOnce(tableChangeSteps(base.table, file.table));
  return change && { ...change, base };
}

/** The points of one benchmark under one prompt form. */
export function pointsOf({ manifest }: RunData, files: readonly BenchmarkFile[]): Point[] {
  const steps = new Map(manifest.checkpoints.map(({ name, step }) => [name, step]));
  const byName = new Map(files.map((file) => [file.checkpoint, file]));
  return manifest.series.flatMap(({ label, base, checkpoints }, series) =>
    [base, ...checkpoints].flatMap((name): Point[] => {
      const file = byName.get(name);
      if (!file) return [];
      const { accuracy } = file.table.rows[0];
      const change = changeOf(byName.get(base), file);
      return [
        { series, label, name, step: steps.get(name)!, form: file.form, file, accuracy, change },
      ];
    }),
  );
}

/** Which point a row of a table is of. */
export const pointColumns = (points: readonly Point[]): Column[] => [
  { key: 'series', title: 'series', kind: 'text' },
  { key: 'checkpoint', title: 'checkpoint', kind: 'text' },
  { key: 'step', title: 'step', kind: 'number' },
  formColumn(points),
];

/** The cells of such columns. */
export const pointCells = ({ label, name, step, form }: Point): Record<string, Cell> => ({
  series: label,
  checkpoint: name,
  step,
  form,
});

/** The change against the base may be none. */
export const isOpen = ({ change }: Point): boolean =>
  change !== undefined && change.accuracy.low <= 0 && change.accuracy.high >= 0;
