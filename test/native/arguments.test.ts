// What callers without TypeScript get wrong: a sentence that names the call, never a TypeError.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

const models = join(packageRoot, 'lib', 'demo', 'models');
/** The functions as JavaScript sees them. */
const api = headspark as unknown as Record<string, (...given: unknown[]) => unknown>;

let model: Model;
let pairs: TokenizedPair[];
let table: headspark.AttributionResult;
beforeAll(async () => {
  model = await headspark.loadModel(join(models, 'base'));
  const { tokenizer } = model;
  const file = join(models, 'pairs-direct.jsonl');
  pairs = await headspark.readPairs(file, { ...(tokenizer ? { tokenizer } : {}), limit: 2 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
});
afterAll(() => {
  model.dispose();
});

/** The call's own errors, and those of its promise or first result. */
async function call(name: string, given: unknown[]): Promise<unknown> {
  try {
    const made = api[name](...given);
    const iterator = (made as Partial<AsyncGenerator> | undefined)?.next;
    return await (iterator ? iterator.call(made) : made);
  } catch (error) {
    return error;
  }
}

const plan = { kind: 'single' };
const cases: [string, () => unknown[], RegExp][] = [
  ['attribute', () => [null, pairs], /^attribute takes a model of loadModel, not null\.$/],
  [
    'attribute',
    () => [Promise.resolve(model), pairs],
    /^attribute takes a model of loadModel, not a promise \(await it\)\.$/,
  ],
  ['attribute', () => [model], /^attribute takes a list of pairs \(readPairs makes them\), not un/],
  ['attribute', () => [model, [{}]], /^attribute: pair 0 has no list "clean"; readPairs makes pairs/],
  ['attribute', () => [model, pairs, null], /^attribute takes its options as an object, not null/],
  ['attribute', () => [model, pairs, { igStep: 5 }], /no option igStep\. Did you mean igSteps\?$/],
  ['ablate', () => [model, pairs], /^ablate takes its options as an object, not undefined\.$/],
  ['ablate', () => [model, pairs, {}], /^ablate needs a plan: \{ kind: 'single' \},/],
  ['ablate', () => [model, pairs, { plan: { kind: 'sets' } }], /^ablate needs a plan: /],
  ['ablate', () => [model, pairs, { plan, factor: 0 }], /option factor\. Did you mean factors\?$/],
  ['headEffects', () => [model, pairs, { head: [] }], /no option head\. Did you mean heads\?$/],
  ['buildCircuit', () => [], /^buildCircuit takes a score table of attribute or readScoreFile, not/],
  ['buildCircuit', () => [table], /^buildCircuit takes its options as an object, not undefined/],
  ['buildCircuit', () => [table, {}], /^selection: rule is undefined; it must be one of top-n, /],
  ['buildCircuit', () => [table, { rule: 'x' }], /^selection: rule is "x"; it must be one of top-n/],
  ['buildCircuit', () => [table, { rule: 'top-n', n: 1, ranking: 'up' }], /^ranking is "up"; it must/],
  ['evaluateCircuits', () => [model, pairs, [table]], /circuit 0 has no list "inGraph"; buildCircuit/],
  ['circuitCurve', () => [model, pairs, table, { fraction: [1] }], /Did you mean fractions\?$/],
  ['diff', () => [], /^diff takes a list of two or more score tables with names/],
  ['diff', () => [[{ name: 'a', table }, {}]], /^diff takes a score table of attribute/],
  ['evaluate', () => [model], /^evaluate takes a benchmark of readBenchmark, not undefined\.$/],
  ['evaluate', () => [model, { problems: [] }, { sample: 2 }], /Did you mean samples\?$/],
  ['headProperties', () => [model, [{}]], /^headProperties: prompt 0 has no list "tokens"; headPr/],
  ['headActivations', () => [model, [1]], /^headActivations takes a list of lists of token ids, not/],
  ['computeLogits', () => [model], /^computeLogits takes a list of prompts: lists of token ids, or objects .* "prompt", not undefined/],
  ['generate', () => [model], /^generate takes a list or an iterable of requests, not undefined/],
  ['generate', () => [model, [{}]], /^request 0: generate takes an object with its token ids in "pr/],
  ['generate', () => [model, [{ prompt: [1], maxNewToken: 1 }]], /Did you mean maxNewTokens\?$/],
  ['generate', () => [model, [{ prompt: [1], sampling: { temprature: 1 } }]], /mean temperature\?$/],
  ['generateGreedy', () => [model, [{}]], /^generateGreedy takes an object with its token ids in/],
  ['readPairs', () => [], /^readPairs takes a path as a text, not undefined\.$/],
  ['readScoreFile', () => [], /^readScoreFile takes a path as a text, not undefined\.$/],
  ['readBenchmark', () => [7], /^readBenchmark takes a name or a path as a text, not 7\.$/],
  ['loadModel', () => [], /^loadModel takes a folder or hub id as a text, not undefined\.$/],
  ['loadModel', () => [join(models, 'base'), { foo: 1 }], /^loadModel has no option foo\.$/],
];

describe('plain JavaScript', () => {
  it.each(cases)('%s: case %#', async (name, given, message) => {
    const error = await call(name, given());
    expect(error).toBeInstanceOf(headspark.HeadsparkError);
    expect(error).toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });
});
