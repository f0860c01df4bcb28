// What callers without TypeScript get wrong inside of what they give: signals, callbacks, heads, lists.
// Always a HeadsparkError before anything runs, never a TypeError from within.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { AttributionResult, Model, Sweep, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';
import { any, expectRefusal, type Case } from './refusals.js';

const folder = join(packageRoot, 'lib', 'demo', 'models', 'base');

let model: Model;
let pairs: TokenizedPair[];
let table: AttributionResult;
let sweep: Sweep;
beforeAll(async () => {
  model = await headspark.loadModel(folder);
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 2 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
  sweep = await headspark.Sweep.create(model, pairs);
});
afterAll(() => {
  sweep.dispose();
  model.dispose();
});

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const item of stream) void item;
}

const requests = [{ prompt: [1, 2], maxNewTokens: 2 }];
const notListening = any({ aborted: false });

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

const plan = { kind: 'single' } as const;
const head = { layer: 0, head: 0 };
const selection = { rule: 'top-n', n: 5 } as const;
const two = () => [
  { name: 'a', table },
  { name: 'b', table },
];
const one = (request: object) => drain(headspark.generate(model, [any({ prompt: [1], ...request })]));

describe('heads and factors', () => {
  const gated = (heads: unknown) => headspark.computeLogits(model, [[1]], { heads: any(heads) });
  const cases: Case[] = [
    ['heads', () => gated(5), /^heads are a list of \{ layer, head \}, not 5; parseHeads makes/],
    ['heads', () => gated('3.1'), /^heads are a list of \{ layer, head \}, not "3\.1"; parseHeads/],
    ['heads', () => gated([null]), /^item 0 of the heads is null, not \{ layer, head \}; parseHeads/],
    ['heads', () => gated([{ ...head, factor: '0' }]), /^the factor of head a0\.h0 must .*, not "0"\.$/],
    ['heads', () => gated([{ ...head, factor: null }]), /^the factor of head a0\.h0 must be a number/],
    ['heads', () => one({ heads: 5 }), /^request 0: heads are a list of/],
    ['heads', () => headspark.headEffects(model, pairs, { heads: any(5) }), /^heads are a list of/],
    ['factor', () => sweep.run([{ name: 'x', heads: [head], factor: any('0') }]), /not "0"\.$/],
    ['factors', () => headspark.ablate(model, pairs, { plan, factors: any(0) }), /^factors are a list/],
    ['factors', () => headspark.ablate(model, pairs, { plan, factors: any(['0']) }), /not "0"\.$/],
    [
      'plan',
      () => headspark.ablate(model, pairs, { plan: { kind: 'sets', sets: any([null]) } }),
      /^ablate needs a plan: /,
    ],
    ['text', () => headspark.parseHeads(any(5)), /^parseHeads takes a text, not 5\.$/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('options', () => {
  const cases: Case[] = [
    ['adapter', () => headspark.loadModel(folder, { adapter: any(5) }), /^loadModel takes the adapter as/],
    ['hub', () => headspark.loadModel(folder, { hub: any({ token: 'x' }) }), /^loadModel: hub has no/],
    ['precision', () => headspark.loadModel(folder, { precision: any(5) }), /^precision is 5; it must be/],
    ['device', () => headspark.loadModel(folder, { device: any(null) }), /^device is null; it must be/],
    ['shape', () => model.shape(any('x')), /^kvEdges is "x"; it must be one of per-query-head, grouped/],
    ['diff', () => headspark.diff(two(), { selection, nullRepeats: Number.NaN }), /^nullRepeats is NaN/],
    ['diff', () => headspark.diff(two(), { selection, nullRepeats: -3 }), /^nullRepeats is -3; it must/],
    ['diff', () => headspark.diff(two(), { selection, confidence: 7 }), /^confidence must lie between/],
    ['diff', () => headspark.diff(two(), { selection, resamples: 1e12 }), /^resamples must be a whole/],
    ['diff', () => headspark.diff(two(), { selection, resampledHeads: any(5) }), /fastestResampledHeads/],
    ['diff', () => headspark.diff(any([{ table }, { table }])), /^diff takes the name of a table as a/],
    ['bootstrap', () => headspark.bootstrapMean([1, 2], { resamples: 1e12 }), /^bootstrap: resamples mu/],
    [
      'evaluateCircuits',
      () => headspark.evaluateCircuits(model, pairs, [], { bootstrap: any({ resample: 5 }) }),
      /^bootstrap has no option resample\. Did you mean resamples\?$/,
    ],
    ['readPairs', () => headspark.readPairs('x', any({ tokenizr: 1 })), /Did you mean tokenizer\?$/],
    ['readBenchmark', () => headspark.readBenchmark('demo', { limit: -1 }), /^limit is -1; it must be/],
    [
      'generatePairs',
      () => headspark.generatePairs('arithmetic', model.tokenizer!, any({ count: 1, sed: 2 })),
      /^generatePairs has no option sed\. Did you mean seed\?$/,
    ],
    ['replacement', () => one({ replacement: 5 }), /^request 0: replacement takes its options as an/],
    ['stopTokens', () => one({ stopTokens: 5 }), /^request 0: stopTokens takes ids as a list of token/],
    ['stopStrings', () => one({ stopStrings: 'x' }), /^request 0: stopStrings takes stop strings as a/],
  ];
  it.each(cases)('of %s: case %#', (_, run, message) => expectRefusal(run, message));
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
    [
      'buildCircuit',
      () => headspark.buildCircuit({ ...table, scores: any([...table.scores]) }, selection),
      /^buildCircuit takes a score table of/,
    ],
    ['diff', () => headspark.diff(any([{ name: 'a', table: { ...table, meta: null } }, {}])), /^diff t/],
    [
      'evaluateCircuits',
      () =>
        headspark.evaluateCircuits(model, pairs, [
          { ...headspark.buildCircuit(table, selection), shape: any(null) },
        ]),
      /^evaluateCircuits: circuit 0 has no shape; buildCircuit makes circuits\.$/,
    ],
    ['circuitCurve', () => headspark.circuitCurve(model, pairs, table, { fractions: any(5) }), /^fract/],
    ['generateGreedy', () => headspark.generateGreedy(model, any(new Set())), /takes a list of rows, not/],
    ['headPrompts', () => headspark.headPrompts(any(5), 'nll'), /^headPrompts takes a list of pairs/],
    [
      'headProperties',
      () => headspark.headProperties(model, [{ tokens: [1], answers: any([null]) }]),
      /^headProperties: answer 0 has no list "correct"\.$/,
    ],
    ['headProperties', () => headspark.headProperties(model, [{ tokens: [1] }], { maps: any(5) }), /maps/],
    ['evaluate', () => headspark.evaluate(model, any({ problems: [null] })), /^evaluate takes a benchm/],
    ['merge', () => headspark.mergeAblations(any(5)), /^mergeAblations takes journals as a list of/],
    ['merge', () => headspark.mergeEvaluations(any(5)), /^mergeEvaluations takes journals as a list of/],
    ['encode', () => model.tokenizer!.encode(any(5)), /^encode takes a text, not 5\.$/],
    ['decode', () => model.tokenizer!.decode([Number.NaN]), /^decode takes what it decodes as a list of/],
    ['decode', () => model.tokenizer!.decode(any('12')), /^decode takes what it decodes as a list of/],
    [
      'evaluate',
      () => headspark.evaluate(model, any({ name: 'none', problems: [] })),
      /^evaluate: the benchmark none has no problems\.$/,
    ],
    ['promptOf', () => headspark.promptOf(model, any(5)), /^promptOf takes a text, not 5\.$/],
  ];
  it.each(cases)('of %s: case %#', (_, run, message) => expectRefusal(run, message));
});

it('arrays whose memory went to another thread are no lists', async () => {
  const gone = Int32Array.of(1, 2, 3);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  const pair = { ...pairs[0], clean: gone, corrupted: gone };
  for (const run of [
    () => headspark.attribute(model, [pair]),
    () => headspark.computeLogits(model, [gone]),
    () => headspark.generateGreedy(model, [{ prompt: gone }]),
  ]) {
    await expectRefusal(run, /has no list "clean"|takes a list of prompts|its token ids in "prompt"/);
  }
  await expectRefusal(() => model.tokenizer!.decode(gone), /^decode takes what it decodes as a list/);
});

it('scores of another length are named as such', () => {
  expect(() => headspark.buildCircuit({ ...table, scores: new Float32Array(3) }, selection)).toThrow(
    expect.objectContaining({ code: 'ERR_HEADSPARK_TENSOR_SHAPE' }) as Error,
  );
});

/** Options as tools pass them on: all there, none given. */
const none = (...names: string[]): object => Object.fromEntries(names.map((name) => [name, undefined]));

const passedOn: [string, (own: object) => Promise<unknown>, string[]][] = [
  [
    'attribute',
    (own) => headspark.attribute(model, pairs, own),
    ['method', 'metric', 'igSteps', 'igGrid', 'kvEdges', 'keepPairScores', 'signal', 'onProgress'],
  ],
  [
    'ablate',
    (own) => headspark.ablate(model, pairs, { ...own, plan }),
    ['controls', 'match', 'seed', 'journal', 'factors', 'ablation', 'metric', 'positions', 'confidence'],
  ],
  [
    'evaluateCircuits',
    (own) => headspark.evaluateCircuits(model, pairs, [headspark.buildCircuit(table, selection)], own),
    ['metric', 'excluded', 'bootstrap', 'chunkBytes'],
  ],
  [
    'headProperties',
    (own) => headspark.headProperties(model, headspark.headPrompts(pairs, 'logit-diff'), own),
    ['heads', 'queries', 'maps', 'markers', 'copying', 'confidence', 'resamples', 'seed'],
  ],
  [
    'generateGreedy',
    (own) => headspark.generateGreedy(model, [{ prompt: [1, 2], ...none('heads') }], own),
    ['maxNewTokens', 'stopTokens'],
  ],
  [
    'loadModel',
    async (own) => {
      const loaded = await headspark.loadModel(folder, own);
      loaded.dispose();
      return loaded.info;
    },
    ['adapter', 'base', 'threads', 'memoryBytes', 'device', 'precision', 'checkValues', 'hub', 'signal'],
  ],
];

it.each(passedOn)('%s takes options that are undefined as left out', async (_, run, names) => {
  expect(await run(none(...names))).toEqual(await run({}));
});
