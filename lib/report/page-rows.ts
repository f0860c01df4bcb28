// What the page shows of a long table. A page must stay small enough to be mailed; the exported
// files have every row.

import type { Cell, DataTable } from './data-table.js';

type Row = Readonly<Record<string, Cell>>;

const pageRows = 600;

export interface PagePart {
  /** The end of a caption; empty where the page has the whole table. */
  readonly note: string;
  /** For spreading into a figure. */
  readonly shown: { readonly pageTable?: DataTable };
}

/** The first 600 of `preferred`, rows of the table that matter most first; `which` says what those are. */
export function pagePart(table: DataTable, preferred: readonly Row[], which: string): PagePart {
  const all = table.rows.length;
  if (all <= pageRows) return { note: '', shown: {} };
  const rows = preferred.slice(0, pageRows);
  return {
    note:
      ` This page has ${rows.length} of ${all} rows, ${which}; ` +
      'the files of headspark report --figures have all.',
    shown: { pageTable: { columns: table.columns, rows } },
  };
}
