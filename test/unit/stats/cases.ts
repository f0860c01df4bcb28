// Cases that SciPy and statsmodels made (scripts/fixtures), one file per statistic.
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/** All cases of test/fixtures/stats/NAME.json; a file without any fails. */
export function cases<T>(name: string): T[] {
  const text = readFileSync(`test/fixtures/stats/${name}.json`, 'utf8');
  const { cases: found } = JSON.parse(text) as { cases: T[] };
  expect(found.length).toBeGreaterThan(0);
  return found;
}
