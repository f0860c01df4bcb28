// What callers without TypeScript give the functions over circuits, diffs, controls and statistics, and
// numbers that would keep them busy for ever: always one sentence with a code, at once.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { AttributionResult, Circuit, Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';
import { any, expectRefusal, type Case } from './refusals.js';

const folder = join(packageRoot, 'lib', 'demo', 'models', 'base');
const selection = { rule: 'top-n', n: 5 } as const;

let model: Model;
let pairs: TokenizedPair[];
let table: AttributionResult;
let circuit: Circuit;
beforeAll(async () => {
  model = await headspark.loadModel(folder);
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 3 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
  circuit = headspark.buildCircuit(table, selection);
});
afterAll(() => model.dispose());

const shape = { layers: 2, heads: 4 };
const head = { layer: 0, head: 0 };
const norms = new Float32Array(8).fill(1);
const two = () => [
  { name: 'a', table },
  { name: 'b', table },
];
const graphShape = { layers: 2, heads: 4, keyValueHeads: 2, parallelBlock: false, kvEdges: 'grouped' };

describe('circuits and graphs', () => {
  const cases: Case[] = [
    ['diffCircuits', () => headspark.diffCircuits(any([circuit, circuit])), /^diffCircuits takes every circ/],
    ['diffCircuits', () => headspark.diffCircuits(any(null)), /^diffCircuits takes circuits as a list of/],
    ['diffCircuits', () => headspark.diffCircuits([{ name: 'a', circuit: any(table) }]), /no list "inGraph"/],
    ['circuitHeads', () => headspark.circuitHeads(any(table)), /^circuitHeads: circuit 0 has no list/],
    ['circuitHeads', () => headspark.circuitHeads(any(undefined)), /^circuitHeads takes a circuit of/],
    ['countEdges', () => headspark.countEdges(any(5)), /^circuitEdgeList takes a circuit of buildCircuit, no/],
    ['countNodes', () => headspark.countNodes(any({})), /^countNodes: circuit 0 has no list "scores"/],
    ['headMask', () => headspark.headMask(any({}), any([])), /^headMask takes a graph of graphOf, not/],
    ['headImportance', () => headspark.headImportance(any(1), any(1), any(1)), /^headImportance takes a gra/],
    ['scoreShares', () => headspark.scoreShares(any(null), any(1)), /^scoreShares takes a graph of/],
    ['graphOf', () => headspark.graphOf(any(null)), /^graphOf takes a model's shape, not null\.$/],
    ['parseEdge', () => headspark.parseEdge(any(5), 'a0.h0->m0'), /^parseEdge takes a graph of graphOf/],
    ['parseEdge', () => headspark.parseEdge(headspark.graphOf(table.shape), any(5)), /takes a text, not 5/],
    ['edgeCount', () => headspark.edgeCount(any({ ...graphShape, layers: Infinity })), /^graph shape: layers/],
    ['edgeCount', () => headspark.edgeCount(any(null)), /^graph shape takes layers and heads as an object/],
    ['circuitEdges', () => headspark.circuitEdges(any({}), any(1), any(undefined)), /^selection takes a rule/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('differences', () => {
  const report = any({ comparisons: [] });
  const cases: Case[] = [
    ['bootstrapDiff', () => headspark.bootstrapDiff(two(), any(undefined)), /takes its options as an object/],
    ['bootstrapDiff', () => headspark.bootstrapDiff(two(), any({})), /^selection takes a rule with its/],
    ['bootstrapDiff', () => headspark.bootstrapDiff(any([table]), { selection }), /takes every table as \{/],
    ['nullDiff', () => headspark.nullDiff(any(table), { selection }), /^nullDiff takes every table as \{ name/],
    ['nullDiff', () => headspark.nullDiff(two()[0], any(undefined)), /^nullDiff takes its options as an/],
    ['nullPValue', () => headspark.nullPValue(3, any(undefined)), /^nullPValue takes what nullDiff gives/],
    ['headsOfGroup', () => headspark.headsOfGroup(report, any('emergnt')), /^group is "emergnt"; it must be/],
    ['headsOfGroup', () => headspark.headsOfGroup(any(null), 'emergent'), /^headsOfGroup takes a diff report/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('controls and variants', () => {
  const { matchedControls, normMatchedControls, matchedControlCount, checkVariants } = headspark;
  const cases: Case[] = [
    ['matchedControls', () => matchedControls([head], any(undefined)), /^matchedControls takes its options/],
    ['matchedControls', () => matchedControls([head], any({ count: 1 })), /^the shape of a model is \{ layer/],
    ['count', () => matchedControlCount([head], { shape, count: Number.NaN }), /^controls: the number of sets/],
    ['count', () => matchedControlCount([{ layer: 0, head: 9.9 }], { shape, count: 1 }), /^head a0\.h9\.9 is/],
    ['norms', () => normMatchedControls([head], { shape, count: Infinity, norms }), /^controls: the number of/],
    ['norms', () => normMatchedControls([head], { shape, count: 1.5, norms }), /^controls: the number of sets/],
    ['norms', () => normMatchedControls([head], any({ shape, count: 1 })), /^normMatchedControls: norms takes/],
    ['allHeads', () => headspark.allHeads(any(null)), /^the shape of a model is \{ layers, heads \}/],
    ['allHeads', () => headspark.allHeads({ layers: Infinity, heads: 1 }), /^the shape of a model is/],
    ['checkVariants', () => checkVariants(any(5), shape), /^checkVariants takes variants as a list of objects/],
    ['checkVariants', () => checkVariants(any([{ name: 'x' }]), shape), /"x" takes its gates as an object/],
    ['heads', () => headspark.checkHeads(any([[0, 1]]), shape), /^item 0 of the heads is a list, not \{/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('statistics', () => {
  const { spearmanSeries, wassersteinTest } = headspark;
  const series = [1, 2, 3, 4];
  const cases: Case[] = [
    ['spearman', () => spearmanSeries(series, series, { resamples: Infinity }), /^resamples is Infinity; it/],
    ['spearman', () => spearmanSeries(series, series, { permutations: -1 }), /^permutations is -1; it must/],
    ['wasserstein', () => wassersteinTest([1], [2], { permutations: Infinity }), /^permutations is Infinity/],
    ['wasserstein', () => wassersteinTest([1], [2], any(null)), /^wassersteinTest takes its options as an/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('what reaches the model', () => {
  const generated = async (request: object, options: object = {}) => {
    const stream = headspark.generate(model, [any({ prompt: [1], ...request })], any(options));
    for await (const completion of stream) return completion;
    return undefined;
  };
  const bigPair = () => [{ ...pairs[0], correct: any([5n]) }];
  const plan = { kind: 'single' } as const;
  const cases: Case[] = [
    ['ablate', () => headspark.ablate(model, pairs, { plan, factors: any([0n]) }), /^the factor must be a/],
    ['ablate', () => headspark.ablate(model, bigPair(), { plan }), /"correct" of pair 0 is not a list of/],
    ['pairsHash', () => headspark.pairsHash(bigPair()), /^pairsHash: "correct" of pair 0 is not a list/],
    ['tokens', () => headspark.headProperties(model, [{ tokens: [1, 999] }]), /999, outside the vocabulary/],
    ['tokens', () => headspark.headProperties(model, [{ tokens: [1, 1.5] }]), /^the prompts: 1\.5 \(row 0/],
    ['seed', () => generated({ seed: 2 ** 60 }), /a whole number from 0 to 2\^53 - 1, or a bigint to 2\^64/],
    ['sampling', () => generated({ sampling: { repetitionPenalty: 1e-300 } }), /repetitionPenalty is 1e-300/],
    ['sampling', () => generated({ sampling: { temperature: 1e300 } }), /temperature is 1e\+300; it must be 0/],
    ['replacement', () => generated({}, { replacement: new Float64Array(8) }), /^generate takes replacement/],
    ['singleToken', () => headspark.singleToken(any(5), 'x'), /^singleToken takes a tokenizer of a model/],
    ['singleToken', () => headspark.singleToken(model.tokenizer!, any(5)), /^singleToken takes a text, not 5/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

it('pairs whose answers or prompts are the same have no scores and no curve', async () => {
  const code = 'ERR_HEADSPARK_PAIR_FORMAT';
  const answers = pairs.map((pair) => ({ ...pair, incorrect: [...pair.correct].reverse() }));
  const prompts = pairs.map((pair) => ({ ...pair, corrupted: pair.clean }));
  for (const run of [
    () => headspark.attribute(model, answers),
    () => headspark.circuitCurve(model, answers, table),
    () => headspark.circuitCurve(model, prompts, table),
  ]) {
    await expect(run()).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/ of line 1 \(and those of all 3 pairs\) are the same/) as string,
    });
  }
  // What does not tell them apart reads them.
  await expect(headspark.attribute(model, answers, { metric: 'kl', igSteps: 1 })).resolves.toBeDefined();
  const one = [answers[0], pairs[1]];
  await expect(headspark.attribute(model, one, { igSteps: 1 })).resolves.toBeDefined();
});

it('KL has no scores by gradients at the clean run alone', async () => {
  const metric = 'kl';
  for (const options of [
    { method: 'eap' },
    { method: 'eap-ig', igSteps: 1, igGrid: 'right' },
    { method: 'eap-ig-activations', igSteps: 1 },
  ] as const) {
    await expect(headspark.attribute(model, pairs, { ...options, metric })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(/^metric kl has the gradient 0 at the clean run, and method eap/) as string,
    });
  }
  for (const options of [
    { method: 'clean-corrupted' },
    { method: 'eap-ig', igSteps: 1 },
    { method: 'eap-ig', igSteps: 2, igGrid: 'right' },
    { method: 'eap-ig-activations', igSteps: 1, igGrid: 'midpoint' },
  ] as const) {
    const { scores } = await headspark.attribute(model, pairs, { ...options, metric });
    expect(scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0)).toBeGreaterThan(1e-6);
  }
});

it('an ablation of no pairs is refused as an attribution is', async () => {
  const refusal = { code: 'ERR_HEADSPARK_PAIR_FORMAT' };
  await expect(headspark.ablate(model, [], { plan: { kind: 'single' } })).rejects.toMatchObject(refusal);
  await expect(headspark.attribute(model, [])).rejects.toMatchObject(refusal);
});
