// Training logs: the reward or accuracy of every step, from JSON, JSONL or CSV, and their values
// at the checkpoints of a series.

import { extname } from 'node:path';
import { HeadsparkError } from '../errors.js';
import { readTextIfExists } from '../json-file.js';
import { readCsv } from '../tasks/csv.js';
import type { LogAtCheckpoints } from '../tracking/log-correlation.js';
import type { LogReduction, LogSpec } from './study.js';

/** One entry of a log. */
export interface LogPoint {
  readonly step: number;
  readonly value: number;
}

export interface TrainingLog {
  readonly name: string;
  /** Ascending steps. */
  readonly points: LogPoint[];
  readonly reduce: LogReduction;
}

type Entry = Record<string, unknown>;

const wrong = (message: string, code = 'ERR_HEADSPARK_CONFIG' as const): HeadsparkError =>
  new HeadsparkError(code, message);

function at(value: unknown, path: string | undefined): unknown {
  if (path === undefined) return value;
  return path
    .split('.')
    .reduce<unknown>(
      (inner, key) =>
        typeof inner === 'object' && inner !== null ? (inner as Entry)[key] : undefined,
      value,
    );
}

function entriesOf(value: unknown, { file, at: path }: LogSpec): Entry[] {
  const list = at(value, path);
  if (Array.isArray(list)) return list as Entry[];
  const place = path === undefined ? 'its top' : `"${path}"`;
  throw wrong(`${file} has no list of entries at ${place}; say where they are with at`);
}

async function readEntries(log: LogSpec): Promise<Entry[]> {
  const { file } = log;
  const extension = extname(file).toLowerCase();
  const text = await readTextIfExists(file, { code: 'ERR_HEADSPARK_CONFIG' });
  if (text === undefined) {
    throw new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', `the log ${file} does not exist`);
  }
  if (extension === '.csv') {
    const rows: string[][] = [];
    for await (const { fields } of readCsv(file)) rows.push(fields);
    const [titles = [], ...rest] = rows;
    return rest.map((row) =>
      Object.fromEntries(titles.map((title, index) => [title.trim(), row[index]])),
    );
  }
  try {
    if (extension !== '.jsonl') return entriesOf(JSON.parse(text), log);
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line) => JSON.parse(line) as Entry);
  } catch (error) {
    if (error instanceof HeadsparkError) throw error;
    throw wrong(`the log ${file} is not valid JSON: ${(error as Error).message}`);
  }
}

/** A number of an entry; empty fields and texts that are no numbers are none. */
function numberOf(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && value.trim() !== '' ? Number(value) : (value as number);
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

/**
 * Reads a log. Entries without a step or a value are left out.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_CONFIG (also when no entry is left).
 */
export async function readTrainingLog(log: LogSpec): Promise<TrainingLog> {
  const entries = await readEntries(log);
  const wanted = Object.entries(log.where);
  const points = entries
    .filter((entry) => wanted.every(([key, value]) => String(at(entry, key)) === String(value)))
    .flatMap((entry): LogPoint[] => {
      const [step, value] = [numberOf(at(entry, log.step)), numberOf(at(entry, log.value))];
      return step === undefined || value === undefined ? [] : [{ step, value }];
    })
    .sort((a, b) => a.step - b.step);
  if (points.length === 0) {
    const where =
      wanted.length === 0 ? '' : ` where ${wanted.map((pair) => pair.join(' is ')).join(' and ')}`;
    throw wrong(
      `the log ${log.file} has no entry with numbers "${log.step}" and "${log.value}"${where}`,
    );
  }
  return { name: log.name, points, reduce: log.reduce };
}

/**
 * The log at the checkpoints, from the entries after the checkpoint before (after the base for the
 * first); null where there are none.
 */
export function valuesAtSteps(
  log: TrainingLog,
  steps: { base: number; checkpoints: readonly number[] },
): LogAtCheckpoints {
  const { base, checkpoints } = steps;
  return {
    name: log.name,
    values: checkpoints.map((step, index) => {
      const after = index === 0 ? base : checkpoints[index - 1];
      const own = log.points.filter((point) => point.step > after && point.step <= step);
      if (own.length === 0) return null;
      if (log.reduce === 'last') return own[own.length - 1].value;
      return own.reduce((sum, { value }) => sum + value, 0) / own.length;
    }),
  };
}
