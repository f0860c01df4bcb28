// The demo: circuits of base, SFT and GRPO, their differences, and the ablation of the heads that
// emerged against matched random sets. The same calls as a user's own session.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ablate } from '../ablation.js';
import type { AblationTable } from '../ablation/types.js';
import { Sweep } from '../ablation-sweep.js';
import { attribute } from '../attribution.js';
import { buildCircuit, circuitHeads, countEdges, type Circuit } from '../circuit/circuit.js';
import type { ScoreTable } from '../circuit/score-table.js';
import { evaluateCircuits, type CircuitResult } from '../circuit-evaluation.js';
import { diff, type DiffReport } from '../circuit-diff.js';
import { headsOfGroup } from '../diff-report.js';
import { loadModel, type LoadModelOptions, type Model } from '../model.js';
import { readPairs, type TokenizedPair } from '../pairs.js';
import { mean } from '../stats/quantile.js';
import { demoSeries, type DemoCheckpoint, type DemoSeries } from './checkpoints.js';
import { writeDemo } from './files.js';

/** What is measured; in units of probability, so that one threshold suits every checkpoint. */
export const DEMO_METRIC = 'prob-diff';
/** An edge is in a circuit when corrupting it moves the metric by at least this (the paper's 0.1). */
export const DEMO_TAU = 0.1;
/** Emergent heads that are ablated, cumulatively. */
export const DEMO_TOP_K = 5;
/** Matched random sets for every ablated set. */
export const DEMO_CONTROLS = 20;

export interface DemoOptions {
  /** Folder for the results; made if it is not there. */
  readonly out: string;
  /** Folder of the series; default: the one in this package. */
  readonly models?: string;
  readonly load?: Pick<LoadModelOptions, 'threads' | 'device' | 'memoryBytes'>;
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
  /** The step that begins, and how many are done. */
  readonly onStep?: ((step: string, done: number, total: number) => void) | undefined;
}

/** One checkpoint's circuit and how well it does on the pairs. */
export interface DemoCircuit {
  readonly checkpoint: DemoCheckpoint;
  readonly table: ScoreTable;
  readonly circuit: Circuit;
  /** Share of pairs whose right answer is the model's first choice. */
  readonly accuracy: number;
  readonly cleanMetric: number;
  readonly corruptedMetric: number;
  readonly edges: number;
  readonly heads: number;
  readonly evaluation: CircuitResult;
}

export interface DemoAblation {
  readonly checkpoint: DemoCheckpoint;
  /** Undefined when the diff has no emergent head to ablate. */
  readonly table: AblationTable | undefined;
}

export interface DemoResult {
  readonly out: string;
  readonly pairs: number;
  readonly circuits: readonly DemoCircuit[];
  readonly diff: DiffReport;
  readonly ablations: readonly DemoAblation[];
  readonly seconds: number;
  /** Files written, relative to `out`, with what they hold. */
  readonly files: readonly (readonly [string, string])[];
}

const selection = { rule: 'threshold', tau: DEMO_TAU, ranking: 'absolute', prune: true } as const;

async function loadCheckpoint(
  series: DemoSeries,
  checkpoint: DemoCheckpoint,
  options: DemoOptions,
): Promise<{ model: Model; pairs: TokenizedPair[] }> {
  const model = await loadModel(join(series.folder, checkpoint.label), {
    ...options.load,
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const pairs = await readPairs(series.pairsFile, {
    ...(model.tokenizer ? { tokenizer: model.tokenizer } : {}),
    vocabSize: model.info.vocab,
    metric: DEMO_METRIC,
  });
  return { model, pairs };
}

async function accuracyOf(
  model: Model,
  pairs: readonly TokenizedPair[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const sweep = await Sweep.create(model, pairs, { metric: DEMO_METRIC, signal });
  try {
    const { correct } = await sweep.run([{ name: 'unablated', heads: [], factor: 1 }], { signal });
    return mean(correct);
  } finally {
    sweep.dispose();
  }
}

async function circuitOf(
  checkpoint: DemoCheckpoint,
  loaded: { model: Model; pairs: TokenizedPair[] },
  options: DemoOptions,
): Promise<DemoCircuit> {
  const { model, pairs } = loaded;
  const { signal, seed = 0 } = options;
  const { pairMetrics, ...table } = await attribute(model, pairs, {
    metric: DEMO_METRIC,
    keepPairScores: true,
    signal,
  });
  const circuit = buildCircuit(table, selection);
  const evaluation = await evaluateCircuits(model, pairs, [circuit], {
    metric: DEMO_METRIC,
    bootstrap: { seed },
    signal,
  });
  return {
    checkpoint,
    table,
    circuit,
    accuracy: await accuracyOf(model, pairs, signal),
    cleanMetric: mean(pairMetrics.clean),
    corruptedMetric: mean(pairMetrics.corrupted),
    edges: countEdges(circuit),
    heads: circuitHeads(circuit).length,
    evaluation: evaluation.circuits[0],
  };
}

async function ablationOf(
  checkpoint: DemoCheckpoint,
  place: { series: DemoSeries; report: DiffReport },
  options: DemoOptions,
): Promise<DemoAblation> {
  const { heads } = headsOfGroup(place.report, 'emergent', checkpoint.label);
  if (heads.length === 0) return { checkpoint, table: undefined };
  const { model, pairs } = await loadCheckpoint(place.series, checkpoint, options);
  try {
    const table = await ablate(model, pairs, {
      plan: { kind: 'top-k', heads, k: DEMO_TOP_K, group: 'emergent' },
      controls: DEMO_CONTROLS,
      metric: DEMO_METRIC,
      seed: options.seed ?? 0,
      signal: options.signal,
    });
    return { checkpoint, table };
  } finally {
    model.dispose();
  }
}

/**
 * Runs the demo and writes its results. About a minute at most on two cores.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND when the series is missing or `out` cannot be written,
 *   ERR_HEADSPARK_CANCELLED.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const { seed = 0, signal, onStep } = options;
  const series = await demoSeries(options.models);
  const out = resolve(options.out);
  await mkdir(out, { recursive: true });
  const checkpoints = [series.base, ...series.post];
  const total = checkpoints.length + 1 + series.post.length;
  let done = 0;
  const begin = (step: string): void => onStep?.(step, done++, total);
  const circuits: DemoCircuit[] = [];
  let pairCount = 0;
  for (const checkpoint of checkpoints) {
    begin(`circuit of ${checkpoint.label}`);
    const loaded = await loadCheckpoint(series, checkpoint, options);
    pairCount = loaded.pairs.length;
    try {
      circuits.push(await circuitOf(checkpoint, loaded, options));
    } finally {
      loaded.model.dispose();
    }
  }
  begin('differences');
  const inputs = circuits.map(({ checkpoint, table }) => ({ name: checkpoint.label, table }));
  const report = await diff(inputs, { selection, seed, signal });
  const ablations: DemoAblation[] = [];
  for (const checkpoint of series.post) {
    begin(`ablation in ${checkpoint.label}`);
    ablations.push(await ablationOf(checkpoint, { series, report }, options));
  }
  const seconds = (performance.now() - start) / 1000;
  const result = { out, pairs: pairCount, circuits, diff: report, ablations, seconds };
  return { ...result, files: await writeDemo(result, series) };
}
