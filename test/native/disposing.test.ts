// A model that is disposed while computations of it run: each ends normally with the same numbers, also
// those that are several jobs, and only what is asked for later is refused.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { Benchmark, Circuit, Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

const folder = join(packageRoot, 'lib', 'demo', 'models', 'base');
const head = { layer: 1, head: 0 };

const journals = mkdtempSync(join(tmpdir(), 'headspark-disposing-'));
let journalCount = 0;
const newJournal = (): string => join(journals, `${++journalCount}.journal`);
afterAll(() => rmSync(journals, { recursive: true }));

let pairs: TokenizedPair[];
let circuits: Circuit[];
let benchmark: Benchmark;
beforeAll(async () => {
  const model = await headspark.loadModel(folder);
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 4 });
  const table = await headspark.attribute(model, pairs, { igSteps: 1 });
  circuits = [5, 20, 80].map((n) => headspark.buildCircuit(table, { rule: 'top-n', n }));
  benchmark = await headspark.readBenchmark('demo', { limit: 2 });
  model.dispose();
});

const computations: [string, (model: Model) => Promise<unknown>][] = [
  ['attribute', (model) => headspark.attribute(model, pairs, { igSteps: 1 })],
  // One circuit a job.
  ['evaluateCircuits', (m) => headspark.evaluateCircuits(m, pairs, circuits, { chunkBytes: 1 })],
  ['headEffects', (model) => headspark.headEffects(model, pairs, { heads: [head] })],
  [
    'attribute with a journal',
    (model) => headspark.attribute(model, pairs, { igSteps: 1, journal: newJournal() }),
  ],
  [
    'evaluateCircuits with a journal',
    (m) => headspark.evaluateCircuits(m, pairs, circuits, { journal: newJournal() }),
  ],
  [
    'headEffects with a journal',
    (m) => headspark.headEffects(m, pairs, { heads: [head], journal: newJournal() }),
  ],
  [
    'ablate',
    (model) =>
      headspark.ablate(model, pairs, {
        plan: { kind: 'sets', sets: [[head]] },
        controls: 2,
        match: 'write-norm',
        resamples: 20,
      }),
  ],
  [
    'evaluate',
    (model) =>
      headspark.evaluate(model, benchmark, {
        plan: { kind: 'sets', sets: [[head]] },
        ablation: 'mean',
        maxNewTokens: 4,
        resamples: 20,
      }),
  ],
];

describe('a model disposed meanwhile', () => {
  it.each(computations)('does not end %s', async (_name, compute) => {
    const kept = await headspark.loadModel(folder);
    const expected = await compute(kept);
    kept.dispose();
    const model = await headspark.loadModel(folder);
    const running = compute(model);
    model.dispose();
    expect(await running).toEqual(expected);
    await expect(compute(model)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: 'the model base was disposed; load it again.',
    });
  });
});

describe('the end of a block', () => {
  it('disposes of what `using` declares', async () => {
    const declared = async () => {
      using model = await headspark.loadModel(folder);
      using sweep = await headspark.Sweep.create(model, pairs);
      expect(model.fingerprint()).toHaveLength(32);
      return { model, sweep };
    };
    const { model, sweep } = await declared();
    expect(() => model.fingerprint()).toThrow(/the model base was disposed/);
    await expect(sweep.run([{ name: 'one', heads: [head], factor: 0 }])).rejects.toThrow(
      /the sweep was disposed/,
    );
  });
});
