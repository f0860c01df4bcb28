// What callers without TypeScript get wrong inside of what they give: signals, callbacks, heads, lists.
// Always a HeadsparkError before anything runs, never a TypeError from within.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { AttributionResult, Model, Sweep, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

const folder = join(packageRoot, 'lib', 'demo', 'models', 'base');

let model: Model;
let pairs: TokenizedPair[];
let table: AttributionResult;
let sweep: Sweep;
beforeAll(async () => {
  model = await headspark.loadModel(folder);
  pairs = headspark.generatePairs('arithmetic', model.tokenizer!, { count: 2 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
  sweep = await headspark.Sweep.create(model, pairs);
});
afterAll(() => {
  sweep.dispose();
  model.dispose();
});

/** Anything, as JavaScript may pass it. */
const any = (value: unknown): never => value as never;

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const item of stream) void item;
}

const requests = [{ prompt: [1, 2], maxNewTokens: 2 }];
const notListening = any({ aborted: false });

type Case = [string, () => unknown, RegExp];

/** Everything here would otherwise start a job that nobody waits for. */
const hooks: Case[] = [
  ['loadModel', () => headspark.loadModel(folder, { signal: any({}) }), /^signal is another object/],
  ['attribute', () => headspark.attribute(model, pairs, { signal: notListening }), /an AbortSignal\.$/],
  ['attribute', () => headspark.attribute(model, pairs, { onProgress: any(5) }), /^onProgress is 5; /],
  ['generate', () => drain(headspark.generate(model, requests, { signal: any({}) })), /^signal is /],
  ['generate', () => drain(headspark.generate(model, requests, { onToken: any(5) })), /^onToken is 5/],
  [
    'ablate',
    () => headspark.ablate(model, pairs, { plan: { kind: 'single' }, onPlan: any('x') }),
    /^onPlan is "x"; it must be a function\.$/,
  ],
  ['Sweep.run', () => sweep.run([], { onProgress: any(5) }), /^onProgress is 5; it must be a function/],
  ['Sweep.run', () => sweep.run([], any({ sgnal: 1 })), /no option sgnal\. Did you mean signal\?$/],
  ['Sweep.run', () => sweep.run([], any(null)), /^Sweep\.run takes its options as an object, not null/],
  ['withAdapter', () => model.withAdapter(folder, { signal: any(5) }), /^signal is 5; it must be an/],
  ['withAdapter', () => model.withAdapter(any(undefined)), /^withAdapter takes a folder as a text, not/],
];

async function refusal(run: () => unknown): Promise<unknown> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function expectRefusal(run: () => unknown, message: RegExp): Promise<void> {
  const error = await refusal(run);
  expect(error).toBeInstanceOf(headspark.HeadsparkError);
  expect(error).toMatchObject({
    code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
    message: expect.stringMatching(message) as string,
  });
}

describe('signals and callbacks', () => {
  it.each(hooks)('of %s: case %#', (_, run, message) => expectRefusal(run, message));

  it('are left alone where they are undefined', async () => {
    const job = { signal: undefined, onProgress: undefined };
    expect((await sweep.run([], job)).values).toHaveLength(0);
    expect((await headspark.attribute(model, pairs, { igSteps: 1, ...job })).scores).toEqual(
      table.scores,
    );
  });
});

describe('lists', () => {
  const cases: Case[] = [
    ['Sweep.run', () => sweep.run(any(5)), /^Sweep\.run takes a list of variants, not 5\.$/],
    ['Sweep.run', () => sweep.run(any([null])), /^Sweep\.run: variant 0 has no list "heads"\.$/],
    ['Sweep.sharing', () => sweep.sharing(any([{}])), /^Sweep\.sharing: variant 0 has no list/],
    [
      'attribute',
      () =>
        headspark.attribute(model, [{ ...pairs[0], clean: any(new DataView(new ArrayBuffer(8))) }]),
      /^attribute: pair 0 has no list "clean"/,
    ],
  ];
  it.each(cases)('of %s: case %#', (_, run, message) => expectRefusal(run, message));
});
