// What a person reads: tables, numbers and colours. Colours only on a terminal, and not where
// NO_COLOR is set.

import { inspect } from 'node:util';
import Table from 'cli-table3';
import { formatFixed, withSign } from '../format-number.js';
import type { Interval } from '../stats/quantile.js';

export { formatPercent, formatPoints, plural } from '../format-number.js';

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red';
export type Paint = (style: Style, text: string) => string;

/** A painter for a stream; plain where the stream is no terminal or colours are not wanted. */
export function painter(
  stream: { isTTY?: boolean },
  environment: NodeJS.ProcessEnv = process.env,
): Paint {
  const noColor = (environment['NO_COLOR'] ?? '') !== '';
  const enabled = stream.isTTY === true && !noColor && environment['TERM'] !== 'dumb';
  if (!enabled) return (_, text) => text;
  return (style, text) => {
    const [open, close] = inspect.colors[style]!;
    return `\u001b[${open}m${text}\u001b[${close}m`;
  };
}

/** A number with a few digits: `0.123`, `-12.3`, `1,234`, `1.2e-5`. */
export function formatNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7))
    return value.toExponential(Math.max(0, digits - 2));
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return formatFixed(value, size >= 100 ? Math.max(0, digits - 2) : digits);
}

export const formatSigned = (value: number, digits = 3): string =>
  withSign(formatNumber(value, digits));

/** `[low, high]`; a dash where there is no interval. */
export function formatBounds({ low, high }: Pick<Interval, 'low' | 'high'>, digits = 3): string {
  if (Number.isNaN(low) || Number.isNaN(high)) return '–';
  return `[${formatNumber(low, digits)}, ${formatNumber(high, digits)}]`;
}

/** A p-value: `0.012`, `<0.001`. */
export function formatP(p: number): string {
  return p < 0.001 ? '<0.001' : p.toFixed(3);
}

export interface TableColumn {
  readonly title: string;
  /** Default left. */
  readonly align?: 'left' | 'right';
}

const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Aligned columns under a line of titles; every line indented by two spaces. */
export function formatTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string {
  const table = new Table({
    head: columns.map(({ title }) => paint('dim', title)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: noLines,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => `  ${line.trimEnd()}`)
    .join('\n');
}
