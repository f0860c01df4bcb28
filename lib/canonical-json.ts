// Canonical JSON of plain values, its hash, and the keys in which two settings objects differ.
// Canonical: object keys sorted, no value that JSON would change silently (NaN, undefined, ...).
import { createHash } from 'node:crypto';
import { HeadsparkError } from './errors.js';

function refuse(path: string, what: string): never {
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${path || 'the value'} is ${what}, which JSON cannot hold.`,
  );
}

function write(value: unknown, path: string): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    // JSON would turn -0 into 0: the sign does not survive, so it is written without one here too.
    return Number.isFinite(value) ? String(value) : refuse(path, String(value));
  }
  if (Array.isArray(value)) {
    return `[${value.map((item, index) => write(item, `${path}[${index}]`)).join(',')}]`;
  }
  if (typeof value !== 'object') return refuse(path, `of type ${typeof value}`);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return refuse(path, `a ${value.constructor?.name ?? 'class instance'}`);
  }
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${JSON.stringify(key)}:${write(item, path ? `${path}.${key}` : key)}`);
  return `{${entries.join(',')}}`;
}

/**
 * JSON text with sorted keys; keys whose value is undefined are left out.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the place of a value that JSON cannot hold.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '');
}

/** SHA-256 of the canonical JSON, as hex. */
export function settingsHash(settings: Record<string, unknown>): string {
  return createHash('sha256').update(canonicalJson(settings)).digest('hex');
}

/** One difference between two settings objects; values are short JSON texts. */
export interface SettingsDifference {
  key: string;
  left: string;
  right: string;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function shorten(value: unknown): string {
  const text = value === undefined ? 'absent' : canonicalJson(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The keys (dotted where nested) in which two settings objects differ, sorted. */
export function differingKeys(left: unknown, right: unknown, prefix = ''): SettingsDifference[] {
  if (isObject(left) && isObject(right)) {
    const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
    return keys.flatMap((key) =>
      differingKeys(left[key], right[key], prefix === '' ? key : `${prefix}.${key}`),
    );
  }
  const equal =
    left === undefined || right === undefined
      ? left === right
      : canonicalJson(left) === canonicalJson(right);
  return equal ? [] : [{ key: prefix || 'settings', left: shorten(left), right: shorten(right) }];
}
