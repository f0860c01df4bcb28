// Numbers as a reader sees them, and tables as CSV and LaTeX.
import { describe, expect, it } from 'vitest';
import {
  cellText,
  intervalCells,
  intervalColumns,
  pValue,
  shortNumber,
  tableCsv,
  tableLatex,
  type Column,
  type DataTable,
} from '../../../lib/report/data-table.js';

const table: DataTable = {
  columns: [
    { key: 'name', title: 'name', kind: 'text' },
    { key: 'share', title: 'share', kind: 'percent' },
    { key: 'p', title: 'p', kind: 'p-value' },
    { key: 'certain', title: 'certain', kind: 'flag' },
  ],
  rows: [
    { name: 'a_1, "x" & 50%', share: 0.125, p: 0.00001, certain: true },
    { name: 'C:\\x^2~<#>', share: null, p: 1, certain: false },
  ],
};

describe('numbers', () => {
  it.each([
    [0, '0'],
    [12, '12'],
    [12345, '12,345'],
    [12345.6, '12,346'],
    [0.5, '0.5'],
    [0.123456, '0.123'],
    [-1.5e-7, '−1.5e−7'],
    [-0.25, '−0.25'],
    [Number.NaN, '–'],
    [100.04, '100'],
  ])('%d is %s', (value, text) => {
    expect(shortNumber(value)).toBe(text);
  });

  it('writes p-values without false digits', () => {
    expect([0, 0.0009, 0.001, 0.0455, 0.9999].map(pValue)).toEqual([
      '<0.001',
      '<0.001',
      '0.001',
      '0.045',
      '1',
    ]);
  });

  it('writes what is missing as a dash', () => {
    expect(cellText({ key: 'x', title: '', kind: 'number' }, { x: null })).toBe('–');
    expect(cellText({ key: 'x', title: '', kind: 'text' }, {})).toBe('–');
    expect(cellText({ key: 'x', title: '', kind: 'flag' }, { x: false })).toBe('no');
  });
});

describe('intervals', () => {
  const shown = (kind: Column['kind'], estimate: number | null, low: number | null, high: number) =>
    cellText(intervalColumns('x', 'x', kind)[0], intervalCells('x', { estimate, low, high }));

  it.each([
    ['number', -2.888, -4.4753, -1.4314, '−2.89 [−4.48, −1.43]'],
    ['number', 0.00707, -0.152, 0.1624, '0.007 [−0.152, 0.162]'],
    ['number', 12, 8, 17, '12 [8, 17]'],
    ['number', 12, 4.975, 16, '12.0 [5.0, 16.0]'],
    ['number', -0.0001, -0.3, 0.2, '0.000 [−0.300, 0.200]'],
    ['number', 0.0012, -0.0004, 0.003, '0.00120 [−0.00040, 0.00300]'],
    ['percent', 0.69, 0.6, 0.78, '69 [60, 78] %'],
    ['percent', 0, 0, 0.036993, '0.0 [0.0, 3.7] %'],
    ['points', -0.07, -0.14, 0, '−7 [−14, 0]'],
  ] as const)('a %s of %d from %d to %d is %s', (kind, estimate, low, high, text) => {
    expect(shown(kind, estimate, low, high)).toBe(text);
  });

  it('are left out where there is none', () => {
    expect(shown('number', 0.5, null, 1)).toBe('0.5');
    expect(shown('points', -0.5, Number.NaN, 1)).toBe('−50');
    expect(shown('percent', null, 0, 1)).toBe('–');
    expect(intervalCells('x', null)).toEqual({ x: null, x_low: null, x_high: null });
  });

  it('are one column for readers and three in files', () => {
    const columns = intervalColumns('x', 'change', 'points', ['low', 'high']);
    const rows = [intervalCells('x', { estimate: -0.07, low: -0.14, high: 0 }, ['low', 'high'])];
    const both = { columns, rows };
    expect(tableCsv(both)).toBe('x,low,high\n-0.07,-0.14,0\n');
    const lines = tableLatex(both, '', '').split('\n');
    expect(lines).toContain('  change \\\\');
    expect(lines).toContain('  $-$7 [$-$14, 0] \\\\');
  });
});

describe('tables', () => {
  it('as CSV keep every digit and quote what must be quoted', () => {
    expect(tableCsv(table).split('\n')).toEqual([
      'name,share,p,certain',
      '"a_1, ""x"" & 50%",0.125,0.00001,yes',
      'C:\\x^2~<#>,,1,no',
      '',
    ]);
  });

  it('as LaTeX escape what TeX would take for its own', () => {
    const text = tableLatex(table, 'A caption with 100 %', 'heads');
    expect(text).toContain('\\toprule');
    expect(text).toContain('\\begin{tabular}{lrrr}');
    expect(text).toContain('a\\_1, "x" \\& 50\\% & 12.5 \\% & $<$0.001 & yes \\\\');
    expect(text).toContain(
      'C:\\textbackslash{}x\\textasciicircum{}2\\textasciitilde{}$<$\\#$>$ & -- & 1 & no \\\\',
    );
    expect(text).toContain('\\label{tab:heads}');
  });
});
