// Files of named sets of heads, for sweeps over more of them than a command line holds: JSONL or CSV. Hostile
// input: sizes are limited, and every refusal names the file and the line.
import { extname } from 'node:path';
import type { HeadSet } from './ablation/types.js';
import { checkText } from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { parseHeads, type HeadShape } from './head-gate.js';
import { readLines } from './pairs/lines.js';
import { pairError, quote } from './pairs/pair-error.js';
import { readCsv } from './tasks/csv.js';

/** Most sets of a file, and characters of a name and of the heads of one set. */
const most = { sets: 100_000, name: 200, heads: 100_000 };

/** A set as its line says it. */
interface RawSet {
  readonly line: number;
  readonly name: unknown;
  readonly heads: unknown;
}

async function* readJsonLines(file: string): AsyncGenerator<RawSet> {
  for await (const { number: line, text } of readLines(file)) {
    if (text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw pairError({ file, line }, 'the line is not JSON.', { cause });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw pairError({ file, line }, 'a line must be an object with "name" and "heads".');
    }
    const { name, heads } = value as Partial<Record<string, unknown>>;
    yield { line, name, heads };
  }
}

async function* readCsvRows(file: string): AsyncGenerator<RawSet> {
  let columns: string[] | undefined;
  for await (const { line, fields } of readCsv(file)) {
    if (!columns) {
      columns = fields.map((name) => name.trim());
      if (columns.includes('name') && columns.includes('heads')) continue;
      const given = columns.slice(0, 10).map(quote).join(', ');
      throw pairError({ file, line }, `the columns are ${given}; "name" and "heads" are needed.`);
    }
    if (fields.length !== columns.length) {
      throw pairError(
        { file, line },
        `the row has ${fields.length} fields, the header ${columns.length}; put several heads in ` +
          'quotes: "3.1,5.0".',
      );
    }
    yield {
      line,
      name: fields[columns.indexOf('name')],
      heads: fields[columns.indexOf('heads')],
    };
  }
}

/** A name that tables can show. Throws a sentence without its place. */
function nameOf(name: unknown): string {
  const text = typeof name === 'string' ? name.trim() : '';
  if (text === '') throw new Error('"name" must be a text that is not empty.');
  if (text.length > most.name) {
    throw new Error(`the name is ${text.length} characters long; use at most ${most.name}.`);
  }
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(text)) {
    throw new Error(`the name ${quote(text)} holds a character that cannot be printed.`);
  }
  if (text === 'unablated') {
    throw new Error('"unablated" is the name of the model without gates; use another one.');
  }
  return text;
}

function headsOf(heads: unknown, shape: HeadShape | undefined): HeadSet['heads'] {
  const isList = Array.isArray(heads) && heads.every((name) => typeof name === 'string');
  if (!isList && typeof heads !== 'string') {
    throw new Error('"heads" must be a text such as "3.1,5.0" or a list of such texts.');
  }
  const text = isList ? heads.join(',') : heads;
  if (text.length > most.heads) {
    throw new Error(`"heads" is ${text.length} characters long; use at most ${most.heads}.`);
  }
  return parseHeads(text, shape);
}

/**
 * Named sets of heads from a file: `.csv` with the columns `name` and `heads`, everything else as JSONL
 * (`{"name": "emergent", "heads": "3.1,5.0"}`). `heads` is a text as of `parseHeads`, in JSONL also
 * a list of them; other keys and columns are ignored. Several names may have the same heads.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND; _PAIR_FORMAT at file:line for lines and names that do not fit, a
 *   name that is there twice, and a file without sets; _INVALID_ARGUMENT at file:line for heads that
 *   are none, or not in `shape`.
 */
export async function readHeadSets(file: string, shape?: HeadShape): Promise<HeadSet[]> {
  checkText('readHeadSets', 'a path', file);
  const lines = new Map<string, number>();
  const sets: HeadSet[] = [];
  const isCsv = extname(file).toLowerCase() === '.csv';
  for await (const { line, ...raw } of isCsv ? readCsvRows(file) : readJsonLines(file)) {
    try {
      const name = nameOf(raw.name);
      const before = lines.get(name);
      if (before !== undefined) {
        throw new Error(`line ${before} has the name ${quote(name)} too; use each name once.`);
      }
      if (sets.length === most.sets) {
        throw new Error(`the file has more than ${most.sets} sets; split it.`);
      }
      lines.set(name, line);
      sets.push({ name, heads: headsOf(raw.heads, shape) });
    } catch (cause) {
      const code = cause instanceof HeadsparkError ? { code: cause.code } : {};
      throw pairError({ file, line }, (cause as Error).message, { ...code, cause });
    }
  }
  if (sets.length > 0) return sets;
  throw new HeadsparkError(
    'ERR_HEADSPARK_PAIR_FORMAT',
    `${file} has no sets of heads; write lines such as {"name": "first", "heads": "3.1,5.0"}.`,
  );
}
