// Checks of option values that every function over the model shares. Each refusal names the option,
// what it got and what it takes.
import { HeadsparkError } from './errors.js';

function refuse(option: string, value: unknown, expected: string): HeadsparkError {
  const shown = typeof value === 'string' ? `"${value.slice(0, 60)}"` : String(value);
  return new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${option} is ${shown}; it must be ${expected}.`,
  );
}

/** `value`, or `fallback` when it is undefined. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function oneOf<T extends string>(
  option: string,
  value: T | undefined,
  choices: { allowed: readonly T[]; fallback: T },
): T {
  if (value === undefined) return choices.fallback;
  if (choices.allowed.includes(value)) return value;
  throw refuse(option, value, `one of ${choices.allowed.join(', ')}`);
}

/** A whole number within bounds, or `fallback` when it is undefined. */
export function wholeNumber(
  option: string,
  value: number | undefined,
  range: { low: number; high: number; fallback: number },
): number {
  if (value === undefined) return range.fallback;
  if (Number.isInteger(value) && value >= range.low && value <= range.high) return value;
  throw refuse(option, value, `a whole number from ${range.low} to ${range.high}`);
}

/** A finite number within bounds, or `fallback` when it is undefined. */
export function finiteNumber(
  option: string,
  value: number | undefined,
  range: { accepts: (value: number) => boolean; expected: string; fallback: number },
): number {
  if (value === undefined) return range.fallback;
  if (typeof value === 'number' && Number.isFinite(value) && range.accepts(value)) return value;
  throw refuse(option, value, range.expected);
}

/** True or false, or `fallback` when it is undefined. */
export function trueOrFalse(
  option: string,
  value: boolean | undefined,
  fallback: boolean,
): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw refuse(option, value, 'true or false');
}
