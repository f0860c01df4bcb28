// What a stage will take: rates measured on this machine with the study's own models and pairs,
// multiplied by the work of every stage.

import type { JobProgress } from '../callbacks.js';
import { Sweep } from '../ablation-sweep.js';
import { attribute } from '../attribution.js';
import { evaluateCircuits } from '../circuit-evaluation.js';
import { edgeCount } from '../circuit/shape.js';
import { nullDiff } from '../diff/null-diff.js';
import { resamplingWork } from '../diff/resample.js';
import { fastestResampledHeads } from '../native-resampling.js';
import { generateGreedy } from '../generate.js';
import type { Model } from '../model.js';
import {
  generationKey,
  generationWork,
  measureGeneration,
  type GenerationRates,
} from './estimate-generation.js';
import { hasSamePrompts } from '../pairs/same-prompts.js';
import { pairsKey, type Facts } from './facts.js';
import type { StageNode } from './graph.js';
import { ModelPool, type PoolOptions } from './model-pool.js';
import type { OpeningsFacts } from './openings-facts.js';
import { bootstrapMean } from '../stats/bootstrap.js';
import type { StageWork } from './stage.js';
import type { Checkpoint, Study } from './study.js';
import { timed } from './timing.js';

/** Seconds of one unit of work, for the pairs of one base, task and form. */
export interface Rates {
  /** 0 where the pairs are made of no openings. */
  readonly openings: number;
  readonly attribution: number;
  readonly circuits: number;
  readonly sweep: number;
  readonly resampling: number;
}

export interface MeasuredRates {
  /** By `pairsKey`. */
  readonly rates: ReadonlyMap<string, Rates>;
  /** Seconds of a draw of a bootstrap, on one core as all statistics. */
  readonly draw: number;
  /** By `generationKey`. */
  readonly generation: ReadonlyMap<string, GenerationRates>;
  /** Resident memory of this process before and at the peak of the measurement. */
  readonly idleBytes: number;
  readonly peakBytes: number;
}

/** A bootstrap of the size that ablations have. */
const drawnValues = 32;
const drawnResamples = 10_000;

async function measureDraw(): Promise<number> {
  const values = Float64Array.from({ length: drawnValues }, (_, index) => index);
  const bootstrap = () =>
    Promise.resolve(bootstrapMean(values, { resamples: drawnResamples, seed: 0 }));
  return (await timed(bootstrap)).seconds / (drawnValues * drawnResamples);
}

/** Enough pairs to fill the threads; few enough to take a moment. */
export const samplePairs = 8;
/** Openings are cheap, and decoding is faster the more rows there are. */
const sampleOpenings = 32;
export const sampleHeads = 4;
/** Enough that the loops are compiled before the last of them. */
const sampleRepeats = 60;

/** Seconds of an opening: its prompt, and all its tokens. */
async function measureOpenings(
  model: Model,
  openings: OpeningsFacts | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (!openings) return 0;
  const rows = openings.prompts.slice(0, sampleOpenings).map(({ tokens }) => ({ prompt: tokens }));
  const settings = { maxNewTokens: openings.length + 1, ...(signal ? { signal } : {}) };
  const write = () => generateGreedy(model, rows, settings);
  return (await timed(write)).seconds / rows.length;
}

async function measure(
  study: Study,
  facts: Facts,
  at: { pool: ModelPool; base: Checkpoint; key: string },
  signal: AbortSignal | undefined,
): Promise<Rates> {
  const model = await at.pool.get(at.base);
  const known = facts.pairs.get(at.key)!;
  // Attribution refuses pairs that are all alike; some may be.
  const usual = known.pairs.filter((pair) => !hasSamePrompts(pair));
  const pairs = (usual.length > 0 ? usual : known.pairs).slice(0, samplePairs);
  const openings = await measureOpenings(model, known.openings, signal);
  const { metric } = study.attribution;
  const { seconds: attribution, result: table } = await timed(() =>
    attribute(model, pairs, { ...study.attribution, keepPairScores: true, signal }),
  );
  const { seconds: circuits } = await timed(() =>
    evaluateCircuits(model, pairs, [], { metric, bootstrap: { resamples: 1 }, signal }),
  );
  const sweep = await Sweep.create(model, pairs, { metric, signal });
  const variants = Array.from({ length: sampleHeads }, (_, index) => ({
    name: `head ${index}`,
    heads: [{ layer: 0, head: index % model.info.heads }],
    factor: 0,
  }));
  try {
    const { seconds: swept } = await timed(() => sweep.run(variants, { signal }));
    const edges = edgeCount(table.shape);
    const repeats = pairs.length < 2 ? 0 : sampleRepeats;
    const resample = async (): Promise<void> => {
      if (repeats === 0) return;
      const resampledHeads = fastestResampledHeads();
      const { selection } = study;
      await nullDiff({ name: 'sample', table }, { selection, repeats, resampledHeads, signal });
    };
    const { seconds: resampled } = await timed(resample);
    return {
      openings,
      attribution: attribution / pairs.length,
      // Clean, corrupted and empty circuit were run; an evaluation also has the circuit and a sweep.
      circuits: ((5 / 3) * circuits) / pairs.length,
      sweep: swept / (variants.length * pairs.length),
      resampling:
        repeats === 0 ? 0 : resampled / (repeats * 2 * resamplingWork(edges, pairs.length / 2)),
    };
  } finally {
    sweep.dispose();
  }
}

/**
 * Measures every base on every task and prompt form with a few pairs, and what the stages that are
 * left generate with a few problems.
 */
export async function measureRates(
  study: Study,
  facts: Facts,
  options: PoolOptions & {
    works?: readonly StageWork[];
    onProgress?: (progress: JobProgress) => void;
  } = {},
): Promise<MeasuredRates> {
  const idleBytes = process.memoryUsage().rss;
  const pool = new ModelPool(options);
  const rates = new Map<string, Rates>();
  const generation = new Map<string, GenerationRates>();
  const answered = generationWork(options.works ?? []);
  const keys = study.bases.flatMap((base) =>
    study.tasks.flatMap((task) =>
      task.forms.map(({ form }) => ({ base, key: pairsKey(base.name, task.name, form.name) })),
    ),
  );
  const total = keys.length + answered.length;
  const tell = (done: number): void =>
    void options.onProgress?.({ done, total, phase: 'measurements' });
  try {
    for (const { base, key } of keys) {
      tell(rates.size);
      rates.set(key, await measure(study, facts, { pool, base, key }, options.signal));
    }
    for (const work of answered) {
      tell(keys.length + generation.size);
      const measured = await measureGeneration(work, { study, facts, pool }, options.signal);
      generation.set(generationKey(work), measured);
    }
  } finally {
    pool.dispose();
  }
  const draw = await measureDraw();
  // maxRSS is in KiB on every platform that Node runs on.
  return { rates, draw, generation, idleBytes, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

/** For what no rate covers: reading and writing. */
const overheadSeconds = 0.05;

export interface Estimate {
  readonly seconds: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** The pairs that an instance works on: those of its id's task and form, else the first. */
function ratesOf(node: StageNode, study: Study, measured: MeasuredRates): Rates | undefined {
  const checkpoint = study.checkpoints.find(({ name }) => name === node.checkpoint);
  const base = checkpoint?.base ?? study.bases[0].name;
  // Longest first: the form `direct` is also the beginning of `direct-short`.
  const own = [...measured.rates]
    .filter(([key]) => key.startsWith(`${base}.`))
    .sort(([a], [b]) => b.length - a.length);
  const fitting = own.find(([key]) =>
    node.id.includes(key.slice(base.length).replaceAll(' ', '-')),
  );
  return (fitting ?? own[0])?.[1];
}

function secondsFor(node: StageNode, study: Study, measured: MeasuredRates): number {
  const { rate, units, forwards, generation }: StageWork = node.work;
  if (rate === 'none') return 0;
  if (rate === 'generation') {
    const own = generation && measured.generation.get(generationKey(generation));
    return own ? forwards * own.prompt + units * own.sample : 0;
  }
  const own = ratesOf(node, study, measured);
  return own ? units * own[rate] : 0;
}

export function estimateOf(node: StageNode, study: Study, measured: MeasuredRates): Estimate {
  const { memoryBytes, diskBytes } = node.work;
  const { draws = 0 } = node.work;
  const seconds = secondsFor(node, study, measured) + draws * measured.draw;
  const resident = node.weights.length > 0 ? measured.peakBytes : measured.idleBytes;
  return { seconds: seconds + overheadSeconds, memoryBytes: resident + memoryBytes, diskBytes };
}
