// Checks of options that every function over the model shares. Each refusal names the option, what it
// got and what it takes.
import { HeadsparkError } from './errors.js';
import { didYouMean } from './nearest-word.js';

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** A value in a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 60)}"`;
  if (value instanceof Promise) return 'a promise (await it)';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'another object' : String(value);
}

function refuse(option: string, value: unknown, expected: string): HeadsparkError {
  return invalid(`${option} is ${shown(value)}; it must be ${expected}.`);
}

type KeysOf<T> = T extends unknown ? keyof T : never;

/** The names of an option type; the compiler compares them with it. */
export const optionNames = <T>(names: Record<KeysOf<T>, true>): readonly string[] =>
  Object.keys(names);

const isSignal = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  const listens =
    typeof addEventListener === 'function' && typeof removeEventListener === 'function';
  return typeof aborted === 'boolean' && listens;
};

/** What is needed while a job runs. A wrong one must be known before, since nobody waits for it then. */
function checkHooks(options: object): void {
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value === undefined) continue;
    if (name === 'signal' && !isSignal(value)) throw refuse(name, value, 'an AbortSignal');
    if (/^on[A-Z]/.test(name) && typeof value !== 'function') {
      throw refuse(name, value, 'a function');
    }
  }
}

/**
 * Refuses what is no object of options, a name that is none, and signals and callbacks that cannot
 * be used.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the call and the nearest option.
 */
export function checkOptionNames(call: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`${call} takes its options as an object, not ${shown(options)}.`);
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw invalid(`${call} has no option ${unknown}.${didYouMean(unknown, names)}`);
  }
  checkHooks(options);
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
