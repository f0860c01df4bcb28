// Entries that stand twice in a list of a study file: factors, names, numbers of samples, sets of heads.
// Stages are known by them, so that the second would be the first again.

import type { StudyFile } from './schema.js';
import type { Problem, ValuePath } from './source.js';

type Values = readonly (string | number)[] | undefined;

/** 0 and -0 are one number, as 0.5 and 0.50 are. */
function repeatsIn(values: Values, path: ValuePath): Problem[] {
  const seen = new Set<string | number>();
  return (values ?? []).flatMap((value, index): Problem[] => {
    const size = seen.size;
    seen.add(value);
    if (seen.size > size) return [];
    const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
    return [
      { path: [...path, index], message: `${shown} stands in the list before; leave one out` },
    ];
  });
}

/** Sets of a text like "3.1,5.0;4.*", whatever the order and the spaces of their heads. */
function repeatedSets(heads: string | undefined, path: ValuePath): Problem[] {
  const seen = new Set<string>();
  return (heads?.split(';') ?? []).flatMap((set): Problem[] => {
    const names = set.split(',').map((head) => head.trim());
    const size = seen.size;
    seen.add([...new Set(names)].sort().join());
    if (seen.size > size) return [];
    return [{ path, message: `the set of heads "${set.trim()}" is named twice; leave one out` }];
  });
}

const samplingLists = ['k', 'stop', 'stop-tokens'] as const;

/** Every entry that is in a list already. */
export function repeatProblems(file: StudyFile): Problem[] {
  const listed = <Key extends string>(
    entry: Partial<Record<Key, unknown>>,
    keys: readonly Key[],
    path: ValuePath,
  ): Problem[] =>
    keys.flatMap((key) => {
      const values = entry[key];
      return Array.isArray(values) ? repeatsIn(values as Values, [...path, key]) : [];
    });
  return [
    ...file.tasks.flatMap(({ generate }, index) =>
      listed(generate ?? {}, ['operators'], ['tasks', index, 'generate']),
    ),
    ...file.ablations.flatMap((entry, index) => [
      ...listed(entry, ['factors', 'benchmarks', 'tasks', 'prompt-forms'], ['ablations', index]),
      ...repeatedSets(entry.heads, ['ablations', index, 'heads']),
    ]),
    ...file.heads.flatMap((entry, index) =>
      listed(entry, ['tasks', 'prompt-forms', 'think-markers'], ['heads', index]),
    ),
    ...file.benchmarks.flatMap((entry, index) => [
      ...listed(entry, ['checkpoints', 'prompt-forms'], ['benchmarks', index]),
      ...listed(entry.sampling, samplingLists, ['benchmarks', index, 'sampling']),
    ]),
    ...listed(file.sampling ?? {}, samplingLists, ['sampling']),
  ];
}
