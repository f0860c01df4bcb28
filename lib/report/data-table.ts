// A table of plain values with its column titles: what stands under a figure, in CSV and Parquet
// files, and as a LaTeX table.

import { csvText } from '../ablation/csv.js';

export type Cell = string | number | boolean | null;

export interface Column {
  /** Name in files: lower case with underscores. */
  readonly key: string;
  readonly title: string;
  /** `points`: a difference of shares, read in percentage points. */
  readonly kind: 'text' | 'number' | 'percent' | 'points' | 'p-value' | 'flag';
  /** Keys of the ends of the value's interval, which readers see in the same cell. */
  readonly interval?: readonly [low: string, high: string];
  /** Stands in CSV and Parquet files only. */
  readonly fileOnly?: boolean;
}

type Row = Readonly<Record<string, Cell>>;

export interface DataTable {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}

/** What a page or a paper shows of a table's columns. */
export const readColumns = ({ columns }: DataTable): Column[] =>
  columns.filter(({ fileOnly }) => !fileOnly);

type Ends = readonly [low: string, high: string];

/** The ends of a value's interval in files, unless they are named otherwise. */
const endsOf = (key: string): Ends => [`${key}_low`, `${key}_high`];

/** A column with its interval: one for readers, three in files. */
export function intervalColumns(
  key: string,
  title: string,
  kind: Column['kind'],
  interval = endsOf(key),
): Column[] {
  const end = (name: string): Column => ({ key: name, title: name, kind, fileOnly: true });
  return [{ key, title, kind, interval }, end(interval[0]), end(interval[1])];
}

/** The cells of such columns; missing where there is no interval. */
export function intervalCells(
  key: string,
  value: { estimate: number | null; low: number | null; high: number | null } | null | undefined,
  [low, high] = endsOf(key),
): Record<string, Cell> {
  return {
    [key]: value?.estimate ?? null,
    [low]: value?.low ?? null,
    [high]: value?.high ?? null,
  };
}

/** A number with three digits that matter and a minus as wide as a plus: `0.0123`, `−1.23`, `1,234`. */
export const shortNumber = (value: number): string =>
  Number.isFinite(value) ? threeDigits(value).replaceAll('-', '−') : '–';

function threeDigits(value: number): string {
  if (Number.isInteger(value)) return (value + 0).toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size < 1e-4) return value.toExponential(1);
  const text = value.toPrecision(3);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export const percent = (share: number): string =>
  Number.isFinite(share) ? `${shortNumber(100 * share)} %` : '–';

/**
 * The estimate and the ends of its interval, `1.20 [−0.40, 2.80]`: all with as many digits after the
 * point as the largest needs for three that matter, at most `mostPlaces`. The estimate alone where
 * there is no interval.
 */
export function intervalText(values: readonly [number, number, number], mostPlaces = 6): string {
  if (!values.every(Number.isFinite)) return shortNumber(values[0]);
  const most = Math.max(...values.map(Math.abs));
  const places = values.every(Number.isInteger)
    ? 0
    : Math.max(0, Math.min(mostPlaces, 2 - Math.floor(Math.log10(most))));
  const text = (value: number): string =>
    value
      .toFixed(places)
      .replace(/^-(?=[0.]*$)/, '')
      .replace('-', '−');
  const [estimate, low, high] = values.map(text);
  return `${estimate} [${low}, ${high}]`;
}

export const pValue = (p: number): string =>
  p < 0.001 ? '<0.001' : p > 0.9995 ? '1' : p.toFixed(3);

function withInterval(value: number, { kind, interval }: Column, row: Row): string | undefined {
  const ends = interval?.map((key) => row[key]) ?? [];
  const all = [value, ...ends].filter((one) => typeof one === 'number' && Number.isFinite(one));
  if (all.length < 3) return undefined;
  const isShare = kind === 'percent' || kind === 'points';
  const scale = isShare ? 100 : 1;
  // Shares of whole numbers are whole numbers of percent, whatever binary fractions make of them.
  const [estimate, low, high] = all.map((one) => Number((scale * Number(one)).toPrecision(12)));
  const text = intervalText([estimate, low, high], isShare ? 1 : undefined);
  return kind === 'percent' ? `${text} %` : text;
}

/** A cell as a reader sees it. */
export function cellText(column: Column, row: Row): string {
  const value = row[column.key];
  if (value === null || value === undefined) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  const whole = withInterval(value, column, row);
  if (whole !== undefined) return whole;
  if (column.kind === 'percent') return percent(value);
  if (column.kind === 'points') return shortNumber(100 * value);
  return column.kind === 'p-value' ? pValue(value) : shortNumber(value);
}

export function tableCsv({ columns, rows }: DataTable): string {
  const keys = columns.map(({ key }) => key);
  return csvText(
    keys,
    rows.map((row) =>
      Object.fromEntries(
        keys.flatMap((key) => {
          const value = row[key];
          return value === null || value === undefined
            ? []
            : [[key, typeof value === 'boolean' ? (value ? 'yes' : 'no') : value]];
        }),
      ),
    ),
  );
}

const latexSpecial: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '<': '$<$',
  '>': '$>$',
  '–': '--',
  '−': '$-$',
  λ: '$\\lambda$',
  ρ: '$\\rho$',
};

const latex = (text: string): string =>
  text
    .replace(/[\\~^<>–−λρ]/g, (character) => latexSpecial[character])
    .replace(/(?<!\\)[&%#_]/g, (character) => `\\${character}`);

/** A booktabs table, to be \input into a paper. */
export function tableLatex(table: DataTable, caption: string, label: string): string {
  const columns = readColumns(table);
  const line = (cells: readonly string[]): string => `  ${cells.map(latex).join(' & ')} \\\\`;
  return [
    '% Needs \\usepackage{booktabs}.',
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${latex(caption)}}`,
    `  \\label{tab:${label}}`,
    `  \\begin{tabular}{${columns.map(({ kind }) => (kind === 'text' ? 'l' : 'r')).join('')}}`,
    '  \\toprule',
    line(columns.map(({ title }) => title)),
    '  \\midrule',
    ...table.rows.map((row) => line(columns.map((column) => cellText(column, row)))),
    '  \\bottomrule',
    '  \\end{tabular}',
    '\\end{table}',
    '',
  ].join('\n');
}
