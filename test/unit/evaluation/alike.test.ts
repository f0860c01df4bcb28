// Sets of the same heads under two names: their samples are generated once and stand under both, also after
// a failure at any sample.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { evaluateSubject, type EvaluateOptions } from '../../../lib/evaluation/index.js';
import type { GenerationRequest } from '../../../lib/generation-types.js';
import { Random } from '../../../lib/stats/random.js';
import { fakeBenchmark, fakeSubject } from './fake.js';

const benchmark = fakeBenchmark(12);
const [a, b] = [[{ layer: 0, head: 0 }], [{ layer: 1, head: 2 }]];
const sets = [
  { name: 'first', heads: a },
  { name: 'other', heads: b },
  { name: 'again', heads: a },
  { name: 'once more', heads: a },
];
const options: EvaluateOptions = {
  plan: { kind: 'sets', sets },
  samples: 3,
  seed: 3,
  resamples: 200,
};
/** Unablated and two different sets. */
const different = 12 * 3 * 3;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-alike-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

it('generates each different sample once, with the results of generating all', async () => {
  const requests: GenerationRequest[] = [];
  const onRequest = (request: GenerationRequest): void => void requests.push(request);
  const { table, samples } = await evaluateSubject(fakeSubject({ onRequest }), benchmark, options);
  expect(requests).toHaveLength(different);
  expect(samples.size).toBe(12 * 5 * 3);
  const single = { ...options, plan: { kind: 'sets', sets: sets.slice(0, 2) } } as const;
  const alone = await evaluateSubject(fakeSubject(), benchmark, single);
  expect(table.rows.map(({ name }) => name)).toEqual([
    'unablated',
    ...sets.map(({ name }) => name),
  ]);
  const [, first, other, ...copies] = table.rows;
  expect(first.right).toEqual(alone.table.rows[1].right);
  expect(other.right).toEqual(alone.table.rows[2].right);
  for (const copy of copies) expect({ ...copy, name: 'first' }).toEqual(first);
  expect(table.notes.join('\n')).toContain('again (as first), once more (as first)');
});

it('goes on after a failure at any sample, to the same bytes', async () => {
  const whole = await evaluateSubject(fakeSubject(), benchmark, options);
  const random = new Random(5);
  const journal = join(folder, 'journal');
  let requests = 0;
  let result;
  for (let runs = 0; !result && runs < 100; runs++) {
    const own = { failAfter: 3 + random.below(20), window: 2 };
    const subject = fakeSubject({ ...own, onRequest: () => requests++ });
    result = await evaluateSubject(subject, benchmark, { ...options, journal }).catch(
      (error: Error) => void expect(error.message).toBe('the fake failed'),
    );
  }
  expect(requests).toBeGreaterThanOrEqual(different);
  expect(JSON.stringify(result?.table)).toBe(JSON.stringify(whole.table));

  // Killed before a sample stood under all of its names: nothing is generated again.
  const lines = (await readFile(journal, 'utf8')).split('\n');
  const kept = lines.filter((line) => !/"key":"\d+\/4\/\d+"/.test(line));
  expect(kept).toHaveLength(lines.length - 12 * 3);
  await writeFile(journal, kept.join('\n'));
  const before = requests;
  const none = fakeSubject({ failAfter: 0, onRequest: () => requests++ });
  const { table } = await evaluateSubject(none, benchmark, { ...options, journal });
  expect(requests).toBe(before);
  expect(JSON.stringify(table)).toBe(JSON.stringify(whole.table));
});
