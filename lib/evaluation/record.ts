// A sample read back from a journal, checked: journals travel between machines before they are merged.
import { HeadsparkError } from '../errors.js';
import type { SampleRecord } from './types.js';

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isCountOrNull = (value: unknown): boolean => value === null || isCount(value);

function isNearestTie(value: unknown): boolean {
  if (value === null) return true;
  const { margin, token } = (value ?? {}) as { margin?: unknown; token?: unknown };
  return Number.isFinite(margin) && (margin as number) >= 0 && isCount(token);
}

const checks: Readonly<Record<keyof SampleRecord, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  tokens: (value) => Array.isArray(value) && value.every(isCount),
  finish: (value) => ['stop-token', 'stop-string', 'length', 'context'].includes(value as string),
  promptTokens: isCount,
  nearestTie: isNearestTie,
  answer: (value) => value === null || typeof value === 'string',
  source: (value) => value === null || typeof value === 'string',
  correct: (value) => typeof value === 'boolean',
  answerTokens: isCountOrNull,
  firstCorrectTokens: isCountOrNull,
  lost: (value) => typeof value === 'boolean',
  truncated: (value) => typeof value === 'boolean',
  loop: (value) => value === null || typeof value === 'object',
  equations: isCount,
  falseEquations: isCount,
  falseSpans: Array.isArray,
  form: Array.isArray,
};

/** @throws ERR_HEADSPARK_FILE_CORRUPT naming the place and the field that does not fit. */
export function checkRecord(value: unknown, place: string): SampleRecord {
  const record = (typeof value === 'object' && value !== null ? value : {}) as SampleRecord;
  const bad = (Object.keys(checks) as (keyof SampleRecord)[]).find(
    (field) => !checks[field](record[field]),
  );
  if (bad === undefined) return record;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${place} is no sample ("${bad}" is missing or of another kind); remove the journal to start over.`,
  );
}
