// How many "emergent" heads does noise alone make? The base is compared with itself: its pairs
// are split into two random halves, a circuit is built from each, and the heads of one half that
// the other lacks are counted. Halves hold half the data, so the counts are an upper estimate.

import {
  checkNamedTable,
  checkNumbers,
  checkRecord,
  checkSomeOptions,
} from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { mean, quantile } from '../stats/quantile.js';
import { Random } from '../stats/random.js';
import type { NamedTable } from './bootstrap-diff.js';
import { CircuitResampler, runResamples, type ResamplingOptions } from './resample.js';
import { jaccard, overlapOfMasks } from './sets.js';

/** As of the difference that the null diff stands beside; only `selection` must be given. */
export interface NullDiffOptions extends ResamplingOptions {
  /** How both circuits are selected and pruned; as in the real difference. */
  readonly selection: BuildCircuitOptions;
  /** Random splits; default 100. */
  readonly repeats?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Distribution of a count over the splits. */
export interface CountDistribution {
  readonly mean: number;
  readonly median: number;
  /** 95 % of the splits have at most this many. */
  readonly p95: number;
  readonly max: number;
}

/** How many heads differ between random halves of one table. */
export interface NullDiff {
  readonly base: string;
  readonly repeats: number;
  readonly seed: number;
  readonly pairCount: number;
  /** Pairs in each half (an odd one is left out). */
  readonly halfPairs: number;
  readonly emergent: CountDistribution;
  readonly vanished: CountDistribution;
  /** Mean over splits of the Jaccard index of the two halves' heads. */
  readonly headJaccard: number;
  /** Emergent heads of every split, in order; for comparing an observed number with. */
  readonly emergentCounts: number[];
}

function distribution(counts: readonly number[]): CountDistribution {
  return {
    mean: mean(counts),
    median: quantile(counts, 0.5),
    p95: quantile(counts, 0.95),
    max: Math.max(...counts),
  };
}

function checkInputs(repeats: number, pairs: number, name: string): void {
  if (!Number.isInteger(repeats) || repeats < 1 || repeats > 100_000) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `null diff: repeats must be a whole number from 1 to 100000, got ${repeats}`,
    );
  }
  if (pairs < 2) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `null diff: ${name} has ${pairs} pair; two halves need at least 2; ` +
        'leave the null diff out with 0 null repeats',
    );
  }
}

/**
 * Base against base over random halves of its pairs. Deterministic for a seed.
 * Throws ERR_HEADSPARK_INVALID_ARGUMENT, _CANCELLED.
 */
export async function nullDiff(base: NamedTable, options: NullDiffOptions): Promise<NullDiff> {
  checkNamedTable('nullDiff', base);
  checkSomeOptions('nullDiff', options);
  const { name, table } = base;
  const { selection, resampledHeads, repeats = 100, seed = 0 } = options;
  const resampler = new CircuitResampler(table, name, { selection, resampledHeads });
  const { pairs } = resampler;
  checkInputs(repeats, pairs, name);
  const halfPairs = Math.floor(pairs / 2);
  const emergentCounts: number[] = [];
  const vanishedCounts: number[] = [];
  const similarities: number[] = [];
  const step = (begin: number, end: number): void => {
    const weights = new Uint32Array((end - begin) * 2 * pairs);
    for (let repeat = begin; repeat < end; repeat++) {
      const order = new Random(seed, repeat).shuffle(Array.from({ length: pairs }, (_, i) => i));
      const first = (repeat - begin) * 2 * pairs;
      for (const pair of order.slice(0, halfPairs)) weights[first + pair] = 1;
      for (const pair of order.slice(halfPairs, 2 * halfPairs)) weights[first + pairs + pair] = 1;
    }
    const halves = resampler.heads(weights);
    for (let row = 0; row < halves.length; row += 2) {
      const overlap = overlapOfMasks(halves[row].mask, halves[row + 1].mask);
      emergentCounts.push(overlap.onlySecond);
      vanishedCounts.push(overlap.onlyFirst);
      similarities.push(jaccard(overlap));
    }
  };
  const { edgeCount } = resampler.graph;
  await runResamples({ total: repeats, edges: edgeCount, rows: 2 }, step, options);
  return {
    base: name,
    repeats,
    seed,
    pairCount: pairs,
    halfPairs,
    emergent: distribution(emergentCounts),
    vanished: distribution(vanishedCounts),
    headJaccard: mean(similarities),
    emergentCounts,
  };
}

/**
 * Share of null splits with at least as many emergent heads as observed, counting the observation
 * itself: a p-value of "noise alone made these heads".
 */
export function nullPValue(observed: number, noise: Pick<NullDiff, 'emergentCounts'>): number {
  checkRecord('nullPValue', 'what nullDiff gives', noise);
  checkNumbers('nullPValue', noise.emergentCounts);
  const { emergentCounts } = noise;
  const atLeast = emergentCounts.filter((count) => count >= observed).length;
  return (atLeast + 1) / (emergentCounts.length + 1);
}
