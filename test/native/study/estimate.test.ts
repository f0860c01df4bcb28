// What stages are taken to cost: every kind by a rate of its own.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { estimateOf, measureRates, type MeasuredRates } from '../../../lib/study/estimate.js';
import { readFacts, type Facts } from '../../../lib/study/facts.js';
import { buildGraph, type StageNode } from '../../../lib/study/graph.js';
import { readStudy } from '../../../lib/study/index.js';
import { rowCounts, variantCount } from '../../../lib/study/variant-counts.js';
import type { AblationSpec, Study } from '../../../lib/study/study.js';
import { grpoAlone, models, newFolder, writeStudy } from './small-study.js';

const text = `study: rates
${grpoAlone}prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: written, openings: { problems: demo, limit: 8, opening-length: 6 } }
  - { name: stored, limit: 8, pairs: ${models}/pairs-steps.jsonl }
attribution: { ig-steps: 2 }
selection: { rule: top-n, n: 60 }
ablations:
  - { name: singles, single: true, tasks: [stored] }
  - { name: solving, heads: "0.0", controls: 3, benchmarks: [chains] }
heads:
  - { name: all heads, tasks: [stored] }
benchmarks:
  - { name: chains, file: demo, limit: 4 }
`;

let study: Study;
let facts: Facts;
let nodes: readonly StageNode[];

beforeAll(async () => {
  study = await readStudy(await writeStudy(text));
  facts = await readFacts(study, { fingerprintFile: join(await newFolder(), 'fingerprints.json') });
  ({ nodes } = buildGraph(study, facts));
});

/** A second for everything but what is named. */
function rates(own: Partial<Record<string, number>>): MeasuredRates {
  const one = { openings: 1, attribution: 1, circuits: 1, sweep: 1, resampling: 1, ...own };
  const keys = [...facts.pairs.keys()];
  return {
    rates: new Map(keys.map((key) => [key, one])),
    draw: 0,
    generation: new Map(),
    idleBytes: 0,
    peakBytes: 0,
  };
}

const kinds = (fits: (node: StageNode) => boolean): string[] => [
  ...new Set(nodes.filter(fits).map(({ kind }) => kind)),
];

describe('an estimate', () => {
  it.each([
    ['openings', ['openings']],
    ['attribution', ['attribution']],
    ['circuits', ['evaluation']],
    ['sweep', ['variants', 'head-table']],
    ['resampling', ['null-diff', 'diff']],
  ])('takes the time of %s from its own rate', (rate, expected) => {
    const [slow, fast] = [rates({ [rate]: 3 }), rates({})];
    const dearer = (node: StageNode): boolean =>
      estimateOf(node, study, slow).seconds > estimateOf(node, study, fast).seconds;
    expect(kinds(dearer)).toEqual(expected);
  });

  it('takes the time of statistics from the rate of a draw', () => {
    const [none, some] = [rates({}), { ...rates({}), draw: 1e-3 }];
    const dearer = (node: StageNode): boolean =>
      estimateOf(node, study, some).seconds > estimateOf(node, study, none).seconds;
    expect(kinds(dearer).sort()).toEqual([
      'ablation',
      'benchmark',
      'benchmark-ablation',
      'evaluation',
      'head-table',
      'heads',
    ]);
  });

  it('knows what the statistics of an ablation draw', () => {
    const table = nodes.find(({ kind, id }) => kind === 'ablation' && id.startsWith('singles.'))!;
    const { draws } = table.work;
    const { shape } = facts.checkpoints.get('post')!;
    // Two intervals of every head, and as many signs as a table may draw, which cost a sixth.
    const intervals = 2 * 10_000;
    const signs = 99_999 / 6;
    expect(draws).toBeCloseTo(shape.layers * shape.heads * 8 * (intervals + signs), 6);
  });

  it('counts the random sets that exist', () => {
    const { shape } = facts.checkpoints.get('post')!;
    // A layer has five heads beside one, and six pairs of heads beside two.
    expect(shape).toMatchObject({ heads: 6 });
    const own = study.ablations.find(({ name }) => name === 'solving')!;
    const top = (topK: number) => ({ kind: 'group' as const, group: 'emergent' as const, topK });
    const counts = (spec: Partial<AblationSpec>) => rowCounts({ ...own, ...spec }, shape);
    expect(counts({ controls: 20 })).toEqual({ sets: 1, random: 5 });
    const heads = { kind: 'heads' as const, heads: '0.0;0.1,1.2' };
    expect(counts({ controls: 20, what: heads })).toEqual({ sets: 2, random: 5 + 20 });
    const two = { kind: 'heads' as const, heads: '0.0,0.1' };
    expect(counts({ controls: 20, what: two }).random).toBe(6);
    expect(counts({ controls: 20, what: top(3) })).toEqual({ sets: 3, random: 5 + 2 * 20 });
    expect(counts({ controls: 20, what: top(3), match: 'write-norm' }).random).toBe(60);
    expect(variantCount({ ...own, controls: 20 }, shape)).toBe(1 + 1 + 5);
  });

  it('gives every part of an ablation its part of the passes', async () => {
    const cut = await readStudy(await writeStudy(text.replace('single: true', 'single: true, parts: 4')));
    const units = (all: readonly StageNode[]): number[] =>
      all.filter(({ kind }) => kind === 'variants').map(({ work }) => work.units);
    const [whole] = units(nodes);
    expect(units(buildGraph(cut, facts).nodes)).toEqual(Array(4).fill(whole / 4));
  });

  it('lets single heads run the layers from theirs on', () => {
    const { units, forwards } = nodes.find(({ id }) => id.startsWith('singles.'))!.work;
    const { layers, heads } = facts.checkpoints.get('post')!.shape;
    // Of every layer's heads: all layers, all but one, … the last alone.
    const shares = Array.from({ length: layers }, (_, layer) => (layers - layer) / layers);
    const passes = 1 + heads * shares.reduce((sum, share) => sum + share, 0);
    expect(units).toBeCloseTo(8 * passes, 9);
    expect(forwards).toBe(8 * (1 + layers * heads));
  });

  it('counts the openings of both models', () => {
    const node = nodes.find(({ kind }) => kind === 'openings')!;
    const { seconds } = estimateOf(node, study, rates({ openings: 5 }));
    const { seconds: without } = estimateOf(node, study, rates({ openings: 0 }));
    expect(seconds - without).toBeCloseTo(2 * 8 * 5, 9);
  });
});

it('rates openings only where the models write them', async () => {
  const { rates: measured, draw } = await measureRates(study, facts);
  // Between a thousandth and ten of what it takes on a machine of 2024.
  expect(draw).toBeGreaterThan(3e-11);
  expect(draw).toBeLessThan(3e-6);
  expect([...measured.keys()].sort()).toEqual([...facts.pairs.keys()].sort());
  const of = (task: string) => [...measured].find(([key]) => key.includes(task))![1];
  expect(of('written').openings).toBeGreaterThan(0);
  expect(of('stored').openings).toBe(0);
  for (const { attribution, circuits, sweep, resampling } of measured.values()) {
    for (const rate of [attribution, circuits, sweep, resampling]) expect(rate).toBeGreaterThan(0);
  }
}, 60_000);
