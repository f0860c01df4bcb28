// How sure is each emergent head? Pairs are resampled with replacement, both circuits rebuilt by
// the same selection, and every head gets an interval and an emergence probability.
// A set difference of two thresholded sets is noisy; this is what says how noisy.

import { checkNamedTable, checkObjects, checkSomeOptions } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import type { HeadRef } from '../head-gate.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { graphOf } from '../circuit/graph.js';
import { checkComparable, type ScoreTable } from '../circuit/score-table.js';
import { fewestFlips } from '../stats/power.js';
import { checkConfidence, percentileBounds, type Interval } from '../stats/quantile.js';
import { Random } from '../stats/random.js';
import { Turns } from '../turns.js';
import {
  CircuitResampler,
  resampledWeights,
  resamplingWork,
  runResamples,
  type ResampleStep,
  type ResamplingOptions,
} from './resample.js';
import { headView, type HeadView } from './resampled-heads.js';
import { headStatus, type HeadStatus } from './sets.js';

/** A score table with per-pair scores, under the name that comparisons call it by. */
export interface NamedTable {
  readonly name: string;
  readonly table: ScoreTable;
}

/** Every Pairing. */
export const pairings = ['paired', 'independent'] as const;

/**
 * `paired`: one draw of pair indexes for all tables (pair i is the same problem everywhere);
 * `independent`: every table draws its own.
 */
export type Pairing = (typeof pairings)[number];

/** How circuits are made and resampled; only `selection` must be given. */
export interface BootstrapDiffOptions extends ResamplingOptions {
  /** How every circuit is selected and pruned. */
  readonly selection: BuildCircuitOptions;
  /** A number, or `auto` (default): 1,000, fewer (at least 200) where that would take minutes. */
  readonly resamples?: number | 'auto';
  /** Of the intervals, and the probability from which a head is certain; default 0.95. */
  readonly confidence?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Default: paired where all tables are known to be of the same pairs (equal `meta.pairsHash`). */
  readonly pairing?: Pairing;
}

/** What the resamples say of one head, base against other. */
export interface HeadEvidence extends HeadRef {
  /** In the circuits of all pairs. */
  readonly status: HeadStatus;
  readonly baseImportance: number;
  readonly otherImportance: number;
  /** other - base; `estimate` is of all pairs and within the bounds. */
  readonly importanceDifference: Interval;
  /** Share of resamples with the head in the other circuit and not in the base. */
  readonly emergenceProbability: number;
  readonly vanishingProbability: number;
  readonly retentionProbability: number;
  /**
   * The observed status has at least the asked-for probability. Never with so few pairs that the sign
   * test of all of them cannot reach it (fewer than 6 at 0.95): resamples of few are often all alike.
   */
  readonly certain: boolean;
}

/** One table against the base. */
export interface BootstrapComparison {
  readonly base: string;
  readonly other: string;
  /** Every head, by layer, then head. */
  readonly heads: HeadEvidence[];
  /** Number of emergent heads: of all pairs, and its interval over resamples. */
  readonly emergentCount: Interval;
  readonly vanishedCount: Interval;
}

/** What `bootstrapDiff` gives: evidence for every head of every comparison. */
export interface BootstrapDiff {
  /** Resamples used. */
  readonly resamples: number;
  readonly seed: number;
  readonly confidence: number;
  readonly pairing: Pairing;
  /** Pairs of every table, in order. */
  readonly pairCounts: number[];
  /** One per table after the first. */
  readonly comparisons: BootstrapComparison[];
}

const DEFAULT_RESAMPLES = 1000;
const LEAST_RESAMPLES = 200;
/** Every one keeps what it says of every head. */
const MOST_RESAMPLES = 1_000_000;
/** Of resamplingWork: about half a minute. */
const WORK_BUDGET = 3e10;

/** The number of resamples that `auto` means for these tables. */
export function automaticResamples(edgeCount: number, pairCounts: readonly number[]): number {
  const work = pairCounts.reduce((sum, pairs) => sum + resamplingWork(edgeCount, pairs), 0);
  const affordable = Math.floor(WORK_BUDGET / work);
  return Math.max(LEAST_RESAMPLES, Math.min(DEFAULT_RESAMPLES, affordable));
}

/** Circuit heads of one table: of all pairs, and of every resample. */
interface Samples {
  readonly name: string;
  readonly observed: HeadView;
  /** [resamples, layers * heads] */
  readonly masks: Uint8Array;
  readonly importances: Float32Array;
}

/** The heads of all pairs, and room for those of resamples. */
function observedSamples(
  { name, table }: NamedTable,
  selection: BuildCircuitOptions,
  resamples: number,
): Samples {
  const graph = graphOf(table.shape);
  const observed = headView(graph, graph.compact(table.scores), selection);
  const size = resamples * observed.mask.length;
  return { name, observed, masks: new Uint8Array(size), importances: new Float32Array(size) };
}

/** Whether tables are known to be of the same pairs; as many may be others. */
function ofSamePairs(tables: readonly NamedTable[]): boolean {
  const [hash] = tables.map(({ table }) => table.meta.pairsHash);
  return hash !== undefined && tables.every(({ table }) => table.meta.pairsHash === hash);
}

function choosePairing(
  tables: readonly NamedTable[],
  pairCounts: readonly number[],
  wanted?: Pairing,
): Pairing {
  const isEqual = pairCounts.every((count) => count === pairCounts[0]);
  if (wanted === 'paired' && !isEqual) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `paired resampling needs equal numbers of pairs, got ${pairCounts.join(', ')}`,
    );
  }
  return wanted ?? (isEqual && ofSamePairs(tables) ? 'paired' : 'independent');
}

function chooseResamples(wanted: number | 'auto', edges: number, pairCounts: number[]): number {
  const resamples = wanted === 'auto' ? automaticResamples(edges, pairCounts) : wanted;
  if (!Number.isInteger(resamples) || resamples < 1 || resamples > MOST_RESAMPLES) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `resamples must be a whole number from 1 to ${MOST_RESAMPLES} or 'auto', got ${resamples}`,
    );
  }
  return resamples;
}

/**
 * Percentile bounds of resamples, stretched to the value of all pairs. Resampled pairs make noisier circuits: a
 * head that is just inside of all pairs' may be in hardly any of theirs, and its importance there nearly always 0.
 */
function intervalOf(estimate: number, resamples: Float64Array, confidence: number): Interval {
  const { low, high } = percentileBounds(resamples, confidence);
  return { estimate, low: Math.min(low, estimate), high: Math.max(high, estimate) };
}

/** From when a head is certain, and whether there are pairs enough for any to be. */
interface Certainty {
  readonly confidence: number;
  readonly enoughPairs: boolean;
}

function compareHead(base: Samples, other: Samples, head: number, options: Certainty) {
  const { confidence, enoughPairs } = options;
  const width = base.observed.mask.length;
  const resamples = base.masks.length / width;
  const counts: Record<HeadStatus, number> = { retained: 0, emergent: 0, vanished: 0, absent: 0 };
  const differences = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    const place = resample * width + head;
    counts[headStatus(base.masks[place] === 1, other.masks[place] === 1)]++;
    differences[resample] = other.importances[place] - base.importances[place];
  }
  const status = headStatus(base.observed.mask[head] === 1, other.observed.mask[head] === 1);
  const baseImportance = base.observed.importance[head];
  const otherImportance = other.observed.importance[head];
  return {
    status,
    baseImportance,
    otherImportance,
    importanceDifference: intervalOf(otherImportance - baseImportance, differences, confidence),
    emergenceProbability: counts.emergent / resamples,
    vanishingProbability: counts.vanished / resamples,
    retentionProbability: counts.retained / resamples,
    certain: enoughPairs && counts[status] / resamples >= confidence,
  };
}

/** Heads in `second` and not in `first`: observed, with the interval over resamples. */
function countNew(first: Samples, second: Samples, confidence: number): Interval {
  const width = first.observed.mask.length;
  const count = (a: Uint8Array, b: Uint8Array): number =>
    b.reduce((sum, inside, head) => sum + (inside && !a[head] ? 1 : 0), 0);
  const counts = Float64Array.from({ length: first.masks.length / width }, (_, resample) => {
    const from = resample * width;
    return count(
      first.masks.subarray(from, from + width),
      second.masks.subarray(from, from + width),
    );
  });
  return intervalOf(count(first.observed.mask, second.observed.mask), counts, confidence);
}

async function compareTables(
  base: Samples,
  other: Samples,
  options: Certainty & { headsPerLayer: number; turns: Turns },
): Promise<BootstrapComparison> {
  const { confidence, headsPerLayer, turns } = options;
  const heads: HeadEvidence[] = [];
  for (let head = 0; head < base.observed.mask.length; head++) {
    heads.push({
      layer: Math.floor(head / headsPerLayer),
      head: head % headsPerLayer,
      ...compareHead(base, other, head, options),
    });
    await turns.give();
  }
  return {
    base: base.name,
    other: other.name,
    heads,
    emergentCount: countNew(base, other, confidence),
    vanishedCount: countNew(other, base, confidence),
  };
}

/**
 * Bootstrap of the difference between score tables; the first is the base. Deterministic for a
 * seed. Throws ERR_HEADSPARK_INVALID_ARGUMENT, _SETTINGS_MISMATCH, _CANCELLED.
 */
export async function bootstrapDiff(
  tables: readonly NamedTable[],
  options: BootstrapDiffOptions,
): Promise<BootstrapDiff> {
  checkObjects('bootstrapDiff', 'score tables', tables);
  for (const named of tables) checkNamedTable('bootstrapDiff', named);
  checkSomeOptions('bootstrapDiff', options);
  const { selection, resampledHeads, confidence = 0.95, seed = 0 } = options;
  checkConfidence(confidence);
  const [base, ...others] = tables;
  if (!base || others.length === 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `a difference needs at least two score tables, got ${tables.length}`,
    );
  }
  for (const { name, table } of others) {
    checkComparable(base.table, table, { base: base.name, other: name });
  }
  const graph = graphOf(base.table.shape);
  const resamplers = tables.map(
    ({ name, table }) => new CircuitResampler(table, name, { selection, resampledHeads }),
  );
  const pairCounts = resamplers.map(({ pairs }) => pairs);
  const pairing = choosePairing(tables, pairCounts, options.pairing);
  const resamples = chooseResamples(options.resamples ?? 'auto', graph.edgeCount, pairCounts);
  const width = graph.shape.layers * graph.shape.heads;
  const turns = new Turns('the comparison', options.signal);
  const samples: Samples[] = [];
  for (const table of tables) {
    samples.push(observedSamples(table, selection, resamples));
    await turns.give();
  }
  const step: ResampleStep = async (begin, end, own) => {
    for (const [index, resampler] of resamplers.entries()) {
      await own.give();
      const { pairs } = resampler;
      // Streams of the base and, unless paired, of what is compared with it: the other tables change nothing.
      const stream = pairing === 'paired' || index === 0 ? 0 : 1;
      const weights = resampledWeights(
        { begin, end, pairs },
        (resample) => new Random(seed, resample * 2 + stream),
      );
      resampler.heads(weights).forEach((view, row) => {
        samples[index].masks.set(view.mask, (begin + row) * width);
        samples[index].importances.set(view.importance, (begin + row) * width);
      });
    }
  };
  await runResamples({ total: resamples, edges: graph.edgeCount }, step, options);
  const headsPerLayer = graph.shape.heads;
  const enoughPairs = Math.min(...pairCounts) >= fewestFlips(1 - confidence);
  const comparisons: BootstrapComparison[] = [];
  for (const other of samples.slice(1)) {
    const certainty = { confidence, enoughPairs };
    comparisons.push(
      await compareTables(samples[0], other, { ...certainty, headsPerLayer, turns }),
    );
  }
  return { resamples, seed, confidence, pairing, pairCounts, comparisons };
}
