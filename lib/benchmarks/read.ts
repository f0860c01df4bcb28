// Reading benchmark files: JSON lines, a JSON list, or CSV with a header. All of it is hostile input:
// sizes are limited and every refusal names the file and the line.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { checkText } from '../argument-checks.js';
import { canonicalJson } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { readTextIfExists } from '../json-file.js';
import { checkOptionNames, optionNames, wholeNumber } from '../option-checks.js';
import { readLines } from '../pairs/lines.js';
import { pairError } from '../pairs/pair-error.js';
import { readCsv } from '../tasks/csv.js';
import { packageRoot } from '../version.js';
import { problemOf, type RecordPlace } from './record.js';
import type { Benchmark, Problem, SuffixKind } from './types.js';

/** Most problems that are read from a file. */
const maxProblems = 100_000;

interface KnownBenchmark {
  readonly files: readonly string[];
  readonly suffix: SuffixKind;
  readonly modulus?: number;
}

/** Benchmarks by name and the files that hold them; `demo` comes with this package. */
const known: Readonly<Record<string, KnownBenchmark>> = {
  aime24: { files: ['aime24.jsonl', 'aime24.json'], suffix: 'boxed' },
  aime25: { files: ['aime25.json', 'aime25.jsonl'], suffix: 'boxed' },
  amc23: { files: ['amc23.jsonl', 'amc23.json'], suffix: 'boxed' },
  math500: { files: ['math500.json', 'math500.jsonl'], suffix: 'boxed' },
  gsm8k: { files: ['gsm8k-test.jsonl', 'gsm8k.jsonl', 'gsm8k-test.json'], suffix: 'boxed' },
  gpqa: { files: ['gpqa.csv', 'gpqa_diamond.csv', 'gpqa.jsonl'], suffix: 'boxed' },
  demo: { files: ['problems.jsonl'], suffix: 'none', modulus: 10 },
};

export const benchmarkNames: readonly string[] = Object.keys(known);

export interface ReadBenchmarkOptions {
  /** Folder in which named benchmarks lie. Default `data`. */
  readonly folder?: string | undefined;
  /** Only the first problems. */
  readonly limit?: number | undefined;
}

const readOptions = optionNames<ReadBenchmarkOptions>({ folder: true, limit: true });

async function* jsonLines(file: string): AsyncGenerator<{ line: number; value: unknown }> {
  for await (const { number, text } of readLines(file)) {
    if (text.trim() === '') continue;
    try {
      yield { line: number, value: JSON.parse(text) };
    } catch (cause) {
      const message = `not valid JSON (${(cause as Error).message}).`;
      throw pairError({ file, line: number }, message, { cause });
    }
  }
}

async function* jsonList(file: string): AsyncGenerator<{ line: number; value: unknown }> {
  const code = 'ERR_HEADSPARK_PAIR_FORMAT';
  const text = await readTextIfExists(file, { maxBytes: 256 * 1024 * 1024, pipes: true, code });
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch (cause) {
    const message = `${file} is not valid JSON: ${(cause as Error).message}.`;
    throw new HeadsparkError(code, message, { cause });
  }
  const list = Array.isArray(value) ? value : (value as { problems?: unknown } | null)?.problems;
  if (!Array.isArray(list)) {
    throw new HeadsparkError(code, `${file} must hold a JSON list of problems.`);
  }
  // A list has no lines to name: problems are counted instead.
  for (const [index, item] of list.entries()) yield { line: index + 1, value: item as unknown };
}

async function* csvRecords(file: string): AsyncGenerator<{ line: number; value: unknown }> {
  let header: string[] | undefined;
  for await (const { line, fields } of readCsv(file)) {
    if (!header) {
      header = fields.map((field) => field.trim());
      const twice = header.find((name, index) => header!.indexOf(name) !== index && name !== '');
      if (twice !== undefined) throw pairError({ file, line }, `two columns are named "${twice}".`);
      continue;
    }
    if (fields.length !== header.length) {
      const counts = `${fields.length} fields, the header ${header.length}`;
      throw pairError({ file, line }, `the row has ${counts}.`);
    }
    yield { line, value: Object.fromEntries(header.map((name, index) => [name, fields[index]])) };
  }
}

function recordsOf(file: string): AsyncGenerator<{ line: number; value: unknown }> {
  const extension = extname(file).toLowerCase();
  if (extension === '.csv') return csvRecords(file);
  return extension === '.json' ? jsonList(file) : jsonLines(file);
}

async function readProblems(file: string, limit: number | undefined): Promise<Problem[]> {
  const problems: Problem[] = [];
  const lines = new Map<string, number>();
  for await (const { line, value } of recordsOf(file)) {
    const index = problems.length;
    if (limit !== undefined && index >= limit) break;
    if (index >= maxProblems) throw pairError({ file, line }, `over ${maxProblems} problems.`);
    const place: RecordPlace = { file, line, index };
    const problem = problemOf(value, place);
    const other = lines.get(problem.id);
    if (other !== undefined) {
      throw pairError(place, `the id "${problem.id}" is also that of line ${other}.`);
    }
    lines.set(problem.id, line);
    problems.push(problem);
  }
  if (problems.length > 0) return problems;
  throw new HeadsparkError('ERR_HEADSPARK_PAIR_FORMAT', `${file} holds no problems.`);
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** Where a benchmark may lie: named ones in `folder`, others at their own path. */
export function benchmarkPaths(benchmark: string, folder = 'data'): string[] {
  if (!Object.hasOwn(known, benchmark)) return [benchmark];
  const own = benchmark === 'demo' ? join(packageRoot, 'lib', 'demo', 'models') : folder;
  return known[benchmark].files.map((file) => join(own, file));
}

async function findNamed(name: string, folder: string): Promise<string> {
  const paths = benchmarkPaths(name, folder);
  for (const path of paths) if (await isFile(path)) return path;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_NOT_FOUND',
    `the benchmark ${name} is not in ${folder} (looked for ${known[name].files.join(', ')}); ` +
      'say where it lies (--data FOLDER; in a study data: FOLDER), or give the file itself.',
  );
}

async function fileOf(benchmark: string, folder: string): Promise<string> {
  if (await isFile(benchmark)) return benchmark;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_NOT_FOUND',
    `the benchmark "${benchmark}" is neither a file nor one of ${benchmarkNames.join(', ')} ` +
      `(looked for in ${folder}).`,
  );
}

/**
 * A benchmark by name (`aime24`, `aime25`, `amc23`, `math500`, `gsm8k`, `gpqa` in `folder`, or
 * `demo`) or from a file: JSON lines or a JSON list of `{problem | question, answer}` or
 * `{question, choices, answer}`, GSM8K's `#### ANSWER`, MATH's
 * solutions with a `\boxed{ANSWER}`, or GPQA's columns in CSV or JSON.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_PAIR_FORMAT naming file and line (problem
 *   number in a JSON list).
 */
export async function readBenchmark(
  benchmark: string,
  options: ReadBenchmarkOptions = {},
): Promise<Benchmark> {
  checkText('readBenchmark', 'a name or a path', benchmark);
  checkOptionNames('readBenchmark', options, readOptions);
  const high = Number.MAX_SAFE_INTEGER;
  wholeNumber('limit', options.limit, { low: 1, high, fallback: high });
  const { folder = 'data', limit } = options;
  const named = Object.hasOwn(known, benchmark) ? known[benchmark] : undefined;
  const file = named ? await findNamed(benchmark, folder) : await fileOf(benchmark, folder);
  const problems = await readProblems(file, limit);
  const hash = createHash('sha256').update(canonicalJson(problems)).digest('hex');
  return {
    name: named ? benchmark : basename(file),
    problems,
    hash,
    suffix: named?.suffix ?? 'none',
    ...(named?.modulus === undefined ? {} : { modulus: named.modulus }),
  };
}
