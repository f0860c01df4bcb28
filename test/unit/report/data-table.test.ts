// Numbers as a reader sees them, and tables as CSV and LaTeX.
import { describe, expect, it } from 'vitest';
import {
  cellText,
  pValue,
  shortNumber,
  tableCsv,
  tableLatex,
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
    [-1.5e-7, '-1.5e-7'],
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
    expect(cellText(null, { kind: 'number' })).toBe('–');
    expect(cellText(undefined, { kind: 'text' })).toBe('–');
    expect(cellText(false, { kind: 'flag' })).toBe('no');
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
