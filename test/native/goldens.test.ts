// The public API against Hugging Face transformers (logits, scaled heads, greedy generations) and
// hannamw/EAP-IG (edge scores, circuits) on small random checkpoints and one trained one.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attribute, type AttributionMethod, type Metric } from '../../lib/attribution.js';
import { evaluateCircuits } from '../../lib/circuit-evaluation.js';
import { buildCircuit, countEdges, type ScoreTable } from '../../lib/circuit/index.js';
import { generateGreedy } from '../../lib/generate.js';
import { computeLogits, type GatedHead } from '../../lib/logits.js';
import { loadModel, type Model } from '../../lib/model.js';
import { readPairs, type TokenizedPair } from '../../lib/pairs.js';
import {
  goldenArray,
  goldenFile,
  goldenFolders,
  goldenJson,
  goldenSettings,
  largestDifference,
  largestMagnitude,
  referenceScale,
  storiesFolder,
  type BatchScale,
  type GoldenFolder,
} from './fixtures.js';

interface MethodCase {
  file: string;
  method: AttributionMethod;
  metric?: Metric;
  scale: BatchScale;
  /** Of the largest |score|. */
  tolerance: number;
}

const methods: MethodCase[] = [
  { file: 'EAP', method: 'eap', scale: 'over-pairs', tolerance: 1e-4 },
  { file: 'EAP-IG-inputs', method: 'eap-ig', scale: 'over-pairs', tolerance: 1e-4 },
  {
    file: 'EAP-IG-inputs-kl',
    method: 'eap-ig',
    metric: 'kl',
    scale: 'over-pairs',
    tolerance: 1e-3,
  },
  { file: 'clean-corrupted', method: 'clean-corrupted', scale: 'over-pairs', tolerance: 1e-3 },
  {
    file: 'EAP-IG-activations',
    method: 'eap-ig-activations',
    scale: 'over-pairs',
    tolerance: 1e-3,
  },
  {
    file: 'information-flow-routes',
    method: 'information-flow-routes',
    scale: 'none',
    tolerance: 1e-3,
  },
  { file: 'exact', method: 'exact', scale: 'over-batches', tolerance: 1e-3 },
];

function goldenSuite(folder: GoldenFolder): void {
  let model: Model;
  let pairs: TokenizedPair[];
  const settings = goldenSettings(folder);

  beforeAll(async () => {
    model = await loadModel(folder.model);
    pairs = await readPairs(folder.pairs);
  });
  afterAll(() => model.dispose());

  it('gives the logits of every prompt and position', async () => {
    const last = await goldenArray(folder, 'last_logits');
    const prompts = pairs.slice(0, last.shape[0]).map((pair) => pair.clean);
    expect(largestDifference(await computeLogits(model, prompts), last.data)).toBeLessThan(1e-4);
    const first = await goldenArray(folder, 'first_prompt_logits');
    const all = await computeLogits(model, [pairs[0].clean], { allPositions: true });
    expect(largestDifference(all, first.data)).toBeLessThan(1e-4);
  });

  it('gives the logits with scaled heads', async () => {
    const { data, shape } = await goldenArray(folder, 'scaled_head_logits');
    const cases: GatedHead[][] = goldenJson(folder, 'scaled_head_cases.json');
    const perCase = shape.length === 3 ? shape[1] : 1;
    const prompts = pairs.slice(0, perCase).map((pair) => pair.clean);
    const rows: number[] = [];
    for (const heads of cases) rows.push(...(await computeLogits(model, prompts, { heads })));
    expect(largestDifference(rows, data)).toBeLessThan(1e-4);
  });

  it('generates the same tokens, with and without scaled heads', async () => {
    const { prompts, greedy } = goldenJson(folder, 'generations.json');
    const cases: GatedHead[][] = [[], ...goldenJson(folder, 'scaled_head_cases.json')];
    const rows = cases.flatMap((heads) => prompts.map((prompt: number[]) => ({ prompt, heads })));
    const maxNewTokens = Math.max(...greedy.map((row: number[]) => row.length));
    const ours = await generateGreedy(model, rows, { maxNewTokens, stopTokens: [] });
    expect(ours.map((row, index) => row.slice(0, greedy[index].length))).toEqual(greedy);
  });

  const answered = methods.filter(({ file }) => existsSync(goldenFile(folder, `${file}.npy`)));
  it.each(answered)('gives the edge scores of $file', async (golden) => {
    const { method, metric = 'logit-diff' } = golden;
    const igSteps = settings.steps;
    const table = await attribute(model, pairs, { method, metric, igSteps, keepPairScores: true });
    const ours = referenceScale(table, golden.scale, settings.batch);
    const { data } = await goldenArray(folder, golden.file);
    expect(largestMagnitude(data)).toBeGreaterThan(0);
    const error = largestDifference(ours, data) / largestMagnitude(data);
    expect(error).toBeLessThanOrEqual(golden.tolerance);
  });

  it('gives the metric of the reference circuits', async () => {
    const { data } = await goldenArray(folder, 'EAP-IG-inputs');
    const table: ScoreTable = { shape: model.shape(), scores: data, meta: {} };
    const circuits = settings.circuits.map(({ topn }) =>
      buildCircuit(table, { rule: 'top-n', n: topn }),
    );
    expect(circuits.map(countEdges)).toEqual(
      settings.circuits.map((circuit) => circuit.edges_after_prune),
    );
    const evaluation = await evaluateCircuits(model, pairs, circuits);
    evaluation.circuits.forEach(({ mean, values }, index) => {
      expect(values).toHaveLength(pairs.length);
      const error = Math.abs(mean - settings.circuits[index].logit_diff);
      expect(error).toBeLessThanOrEqual(1e-4);
    });
    const clean = evaluation.clean.reduce((sum, value) => sum + value, 0) / pairs.length;
    expect(Math.abs(clean - settings.baseline_logit_diff)).toBeLessThanOrEqual(1e-4);
    const baseline = await goldenArray(folder, 'baseline_logit_diff');
    expect(largestDifference(evaluation.clean, baseline.data)).toBeLessThanOrEqual(1e-4);
  });
}

for (const folder of goldenFolders) describe(folder.name, () => goldenSuite(folder));

describe.skipIf(!storiesFolder)('stories260K (skipped where ../shared is absent)', () => {
  if (storiesFolder) goldenSuite(storiesFolder);
  else it('meets its goldens', () => expect(storiesFolder).toBeDefined());
});
