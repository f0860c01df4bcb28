// What the schema found wrong, in the words of somebody who writes a study file.

import type { z } from 'zod';
import { nearest } from '../nearest-word.js';
import { studySchema, type StudyFile } from './schema.js';
import type { Problem, StudySource, ValuePath } from './source.js';

type Issue = z.core.$ZodIssue;

const nouns: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'named settings',
  record: 'named settings',
};

function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'named settings';
  const shown = JSON.stringify(value);
  return shown.length > 40 ? `${shown.slice(0, 37)}..."` : shown;
}

function valueAt(root: unknown, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null
        ? (value as Record<string | number, unknown>)[key]
        : undefined,
    root,
  );
}

/** The keys that the schema knows at a place, for "did you mean". */
function keysAt(path: ValuePath): string[] {
  let schema: unknown = studySchema;
  const inner = (value: unknown): unknown => {
    const { def } = (value as { def?: Record<string, unknown> }) ?? {};
    const next = def?.['innerType'];
    return next === undefined ? value : inner(next);
  };
  for (const key of path) {
    const { def } = inner(schema) as { def: Record<string, unknown> };
    schema =
      typeof key === 'number'
        ? def['element']
        : ((def['shape'] as Record<string, unknown> | undefined)?.[key] ?? def['valueType']);
    if (schema === undefined) return [];
  }
  const { def } = inner(schema) as { def: Record<string, unknown> };
  return Object.keys((def['shape'] as Record<string, unknown> | undefined) ?? {});
}

function unknownKeys(issue: Issue & { code: 'unrecognized_keys' }, path: ValuePath): Problem[] {
  const known = keysAt(path);
  return issue.keys.map((key) => {
    const near = nearest(key, known);
    const advice =
      near === undefined ? `; there are ${known.join(', ')}` : `; did you mean "${near}"?`;
    return { path: [...path, key], atKey: true, message: `unknown key${advice}`.replace('?', '') };
  });
}

function bounds(issue: Issue & { code: 'too_small' | 'too_big' }): string {
  const small = issue.code === 'too_small';
  const limit = String(small ? issue.minimum : issue.maximum);
  if (issue.origin === 'array') return `a list of at least ${limit} entry`;
  if (issue.origin === 'string') return 'a text that is not empty';
  const word = small
    ? issue.inclusive
      ? 'at least'
      : 'above'
    : issue.inclusive
      ? 'at most'
      : 'below';
  return `a number ${word} ${limit}`;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return nouns[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
    case 'too_big':
      return bounds(issue);
    case 'invalid_format':
      return issue.message;
    default:
      return issue.message;
  }
}

function problemsOf(issue: Issue, root: unknown): Problem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') return unknownKeys(issue, path);
  const value = valueAt(root, path);
  const expected = expectation(issue);
  if (value === undefined && issue.code === 'invalid_type') {
    return [{ path, message: `is missing; expected ${expected}` }];
  }
  return [{ path, message: `expected ${expected}, got ${describeValue(value)}` }];
}

/** The file in the schema's form. @throws ERR_HEADSPARK_CONFIG naming file, line and expectation. */
export function applySchema(source: StudySource): StudyFile {
  const result = studySchema.safeParse(source.value ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, source.value));
  throw source.error(problems);
}
