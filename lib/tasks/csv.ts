// A small CSV reader (RFC 4180: quoted fields, doubled quotes, newlines inside quotes) that keeps
// the line number of every row, for error messages.
import { pairError } from '../pairs/pair-error.js';
import { readLines } from '../pairs/lines.js';

export interface CsvRow {
  /** Line on which the row begins, from 1. */
  line: number;
  fields: string[];
}

/** Splits one complete record; undefined while a quoted field is still open. */
export function splitCsvRecord(record: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (record[at] === '"') {
      let field = '';
      for (at++; ; at++) {
        const end = record.indexOf('"', at);
        if (end < 0) return undefined;
        field += record.slice(at, end);
        at = end + 1;
        if (record[at] !== '"') break;
        field += '"';
      }
      const comma = record.indexOf(',', at);
      fields.push(field + record.slice(at, comma < 0 ? undefined : comma));
      at = comma < 0 ? record.length : comma;
    } else {
      const comma = record.indexOf(',', at);
      fields.push(record.slice(at, comma < 0 ? undefined : comma));
      at = comma < 0 ? record.length : comma;
    }
    if (at >= record.length) return fields;
    at++;
    if (at === record.length) return [...fields, ''];
  }
}

/** Longest record in characters; an unclosed quote would otherwise swallow the file. */
const maxRecord = 1_000_000;

/**
 * The rows of a CSV file, empty lines left out.
 * @throws ERR_HEADSPARK_PAIR_FORMAT for a quote that is never closed.
 */
export async function* readCsv(file: string): AsyncGenerator<CsvRow> {
  let open: { line: number; text: string } | undefined;
  for await (const { number, text } of readLines(file)) {
    if (!open && text.trim() === '') continue;
    const record: { line: number; text: string } = open
      ? { line: open.line, text: `${open.text}\n${text}` }
      : { line: number, text };
    const fields = splitCsvRecord(record.text);
    open = fields ? undefined : record;
    if (fields) yield { line: record.line, fields };
    if (open && open.text.length > maxRecord) break;
  }
  if (open) throw pairError({ file, line: open.line }, 'a quoted field is never closed.');
}
