// Pairs from the CSV files in use: indirect object identification (clean, corrupted, correct_idx,
// incorrect_idx), greater-than (clean, corrupted, label) and plain answers (clean, corrupted,
// correct, incorrect). Token ids in an IOI file belong to its author's tokenizer, so the names are
// found in the text instead.
import { HeadsparkError } from '../errors.js';
import { pairError } from '../pairs/pair-error.js';
import type { PairPlace, RawPair } from '../pairs/types.js';
import type { Tokenizer } from '../tokenizer.js';
import { readCsv } from './csv.js';
import { greaterThanAnswers } from './year-tokens.js';

export interface CsvPairOptions {
  tokenizer?: Tokenizer;
  /** Column of the corrupted prompt; the shared IOI form also has `corrupted_hard`. */
  corruptedColumn?: string;
  /** Called for a row that this tokenizer cannot answer, which is then left out. */
  onUnfit?: (error: HeadsparkError) => void;
  /** Called for a row that has other fields than the header, which is then left out. */
  onBroken?: (error: HeadsparkError) => void;
}

type Row = Map<string, string>;
type Place = Pick<PairPlace, 'file' | 'line'>;

const words = (text: string): string[] => text.match(/[\p{L}\p{M}'-]+/gu) ?? [];

/**
 * The names of an IOI prompt: the subject is the word in which the clean and the corrupted prompt
 * differ, the indirect object the other one of "X and Y".
 */
export function ioiNames(
  clean: string,
  corrupted: string,
): { subject: string; indirectObject: string } | undefined {
  const [cleanWords, corruptedWords] = [words(clean), words(corrupted)];
  const at = cleanWords.findIndex((word, index) => word !== corruptedWords[index]);
  const subject = cleanWords[at];
  if (subject === undefined || cleanWords.length !== corruptedWords.length) return undefined;
  for (let i = 1; i + 1 < cleanWords.length; i++) {
    if (cleanWords[i] !== 'and') continue;
    const [left, right] = [cleanWords[i - 1], cleanWords[i + 1]];
    if (left === subject && right !== subject) return { subject, indirectObject: right };
    if (right === subject && left !== subject) return { subject, indirectObject: left };
  }
  return undefined;
}

function ioiAnswers(clean: string, corrupted: string, place: Place): RawPair {
  const names = ioiNames(clean, corrupted);
  if (!names) {
    throw pairError(place, 'no "X and Y" with the name that the corrupted prompt replaces.');
  }
  return { correct: ` ${names.indirectObject}`, incorrect: ` ${names.subject}` };
}

function labelAnswers(label: string, place: Place, tokenizer: Tokenizer | undefined): RawPair {
  if (!tokenizer) throw pairError(place, 'a greater-than file needs a tokenizer for its years.');
  const year = /^\d{1,2}$/.test(label) ? Number(label) : NaN;
  if (Number.isNaN(year)) throw pairError(place, `the label "${label}" is not a number 0 to 99.`);
  const answers = greaterThanAnswers(tokenizer, year);
  if (!answers) {
    throw pairError(place, `year ${label} leaves no tokens above or none below it.`);
  }
  return { ...answers };
}

function answers(row: Row, clean: string, corrupted: string, context: RowContext): RawPair {
  const { place, options } = context;
  if (row.has('correct_idx')) return ioiAnswers(clean, corrupted, place);
  if (row.has('label')) return labelAnswers(row.get('label')!.trim(), place, options.tokenizer);
  const raw: RawPair = {};
  for (const key of ['correct', 'incorrect', 'continuation']) {
    const value = row.get(key);
    if (value !== undefined && value !== '') raw[key] = value;
  }
  return raw;
}

interface RowContext {
  place: Place;
  options: CsvPairOptions;
}

function checkColumns(file: string, line: number, columns: string[], corrupted: string): void {
  const has = (name: string): boolean => columns.includes(name);
  const answered = ['correct_idx', 'label', 'correct', 'continuation'].some(has);
  if (has('clean') && has(corrupted) && answered) return;
  throw pairError(
    { file, line },
    `the columns are ${columns.map((name) => `"${name}"`).join(', ')}; known forms have "clean", ` +
      `"${corrupted}" and one of "correct_idx" (IOI), "label" (greater-than) or "correct" and ` +
      '"incorrect".',
  );
}

/** The raw pairs of a CSV file with their lines. */
export async function* readCsvPairs(
  file: string,
  options: CsvPairOptions = {},
): AsyncGenerator<{ line: number; raw: RawPair }> {
  const corruptedColumn = options.corruptedColumn ?? 'corrupted';
  let columns: string[] | undefined;
  for await (const { line, fields } of readCsv(file)) {
    if (!columns) {
      columns = fields.map((name) => name.trim());
      checkColumns(file, line, columns, corruptedColumn);
      continue;
    }
    const place = { file, line };
    if (fields.length !== columns.length) {
      const message = `the row has ${fields.length} fields, the header ${columns.length}.`;
      if (!options.onBroken) throw pairError(place, message);
      options.onBroken(pairError(place, message));
      continue;
    }
    const row: Row = new Map(columns.map((name, index) => [name, fields[index]]));
    const [clean, corrupted] = [row.get('clean')!, row.get(corruptedColumn)!];
    try {
      const raw = { clean, corrupted, ...answers(row, clean, corrupted, { place, options }) };
      yield { line, raw };
    } catch (error) {
      if (!options.onUnfit || !(error instanceof HeadsparkError)) throw error;
      options.onUnfit(error);
    }
  }
}
