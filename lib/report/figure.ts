// A figure of the report: a picture, what it shows, and its numbers as a table.

import type { DataTable } from './data-table.js';
import type { Picture } from './svg.js';

export interface Figure {
  /** Unique in the report; names files and anchors. */
  readonly id: string;
  readonly title: string;
  /** How to read it, in one or two sentences. */
  readonly caption: string;
  /** What limits the numbers: a list below the caption, and its end in exported files. */
  readonly notes?: readonly string[];
  /** Undefined for a figure that is a table. */
  readonly picture?: Picture;
  readonly table: DataTable;
  /** What the page shows of a table that is too long for it; exported files have all of it. */
  readonly pageTable?: DataTable;
  /** HTML that the page shows in place of the table, which is in the exported files. */
  readonly pageContent?: string;
  /** What a paper prints of a table that is too wide for it. */
  readonly paperTable?: DataTable;
  /** The table is the figure itself: shown open and with a filter. */
  readonly tableFirst?: boolean;
}

/** The caption with its notes, for one line of text. */
export const wholeCaption = ({ caption, notes = [] }: Figure): string =>
  notes.length === 0 ? caption : `${caption} Notes: ${notes.join('; ')}.`;

/** The caption in place of a picture of empty frames. */
export const noHeadText = 'No circuit has a head.';

/** The same where the base and the last checkpoint of every series are drawn. */
export const noEndHeadText =
  'Neither the base’s circuit nor that of the last checkpoint of any series has a head.';

/** The same where only heads that the base lacks are drawn, of all checkpoints or the last. */
export const noEmergentText = (which: 'any' | 'final'): string =>
  `No head emerged: ${which === 'any' ? 'no circuit' : 'no circuit of a last checkpoint'} has one ` +
  'that the base’s lacks.';

/** A part of the report. */
export interface Section {
  readonly id: string;
  readonly title: string;
  /** What the part is about. */
  readonly text: string;
  readonly figures: readonly Figure[];
}
