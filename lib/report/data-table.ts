// A table of plain values with its column titles: what stands under a figure, in CSV and Parquet
// files, and as a LaTeX table.

import { csvText } from '../ablation/csv.js';

export type Cell = string | number | boolean | null;

export interface Column {
  /** Name in files: lower case with underscores. */
  readonly key: string;
  readonly title: string;
  readonly kind: 'text' | 'number' | 'percent' | 'p-value' | 'flag';
}

export interface DataTable {
  readonly columns: readonly Column[];
  readonly rows: readonly Readonly<Record<string, Cell>>[];
}

/** A number with three digits that matter: `0.0123`, `-1.23`, `1,234`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size < 1e-4) return value.toExponential(1);
  const text = value.toPrecision(3);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export const percent = (share: number): string =>
  Number.isFinite(share) ? `${shortNumber(100 * share)} %` : '–';

export const pValue = (p: number): string =>
  p < 0.001 ? '<0.001' : p > 0.9995 ? '1' : p.toFixed(3);

/** A cell as a reader sees it. */
export function cellText(value: Cell | undefined, { kind }: Pick<Column, 'kind'>): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  if (kind === 'percent') return percent(value);
  return kind === 'p-value' ? pValue(value) : shortNumber(value);
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
  λ: '$\\lambda$',
  ρ: '$\\rho$',
};

const latex = (text: string): string =>
  text
    .replace(/[\\~^<>–λρ]/g, (character) => latexSpecial[character])
    .replace(/(?<!\\)[&%#_]/g, (character) => `\\${character}`);

/** A booktabs table, to be \input into a paper. */
export function tableLatex({ columns, rows }: DataTable, caption: string, label: string): string {
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
    ...rows.map((row) => line(columns.map((column) => cellText(row[column.key], column)))),
    '  \\bottomrule',
    '  \\end{tabular}',
    '\\end{table}',
    '',
  ].join('\n');
}
