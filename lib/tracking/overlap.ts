// Do regimes bring up the same heads? The overlap of every combination of emergent sets, against
// sets of the same numbers of heads per layer drawn at random from the heads that the base circuit
// leaves free (an emergent head is never a base head, so those are all that chance could pick).

import { HeadsparkError } from '../errors.js';
import type { HeadShape } from '../head-gate.js';
import {
  expectedValue,
  hypergeometricDistribution,
  layeredOverlapDistribution,
  upperTail,
  type SubsetSizes,
} from '../stats/hypergeometric.js';
import { holmAdjust } from '../stats/several-tests.js';
import { Random } from '../stats/random.js';
import { namesWhere } from './series.js';

export interface NamedHeadSet {
  readonly name: string;
  /** [layers * heads]; heads of the base are 0. */
  readonly mask: Uint8Array;
}

export interface OverlapOptions {
  readonly shape: HeadShape;
  /** [layers * heads], the heads of the base circuit, which no emergent set can hold. */
  readonly base: Uint8Array;
  /** Random draws; default 9,999. */
  readonly permutations?: number;
  readonly seed?: number;
}

export interface CombinationOverlap {
  readonly sets: string[];
  /** Heads in all of the sets, whatever the other sets hold. */
  readonly shared: number;
  readonly heads: string[];
  /** Heads in all of these sets and in no other one. */
  readonly exclusive: number;
  /** Mean over the random draws. */
  readonly expected: number;
  /** Share of draws with at least as many shared heads, the observation counted. */
  readonly pValue: number;
  readonly adjusted: number;
  /** Pairs only: exact, with the layers' numbers kept, and over the whole model at once. */
  readonly hypergeometric: {
    readonly expected: number;
    readonly withinLayers: number;
    readonly wholeModel: number;
  } | null;
}

export interface RegimeOverlap {
  readonly sets: { readonly name: string; readonly size: number }[];
  /** Every combination of at least two sets: pairs first, then triples, … */
  readonly combinations: CombinationOverlap[];
  readonly permutations: number;
  readonly seed: number;
}

/** 2^12 combinations are the most that anybody could read. */
const MOST_SETS = 12;

function checkSets(sets: readonly NamedHeadSet[], { shape, base }: OverlapOptions): void {
  const size = shape.layers * shape.heads;
  const problem =
    sets.length > MOST_SETS
      ? `at most ${MOST_SETS} sets can be compared, got ${sets.length}`
      : [base, ...sets.map(({ mask }) => mask)].some((mask) => mask.length !== size)
        ? `every set must have ${shape.layers} x ${shape.heads} heads`
        : sets.find(({ mask }) => mask.some((inside, head) => inside && base[head]))
          ? `an emergent set holds heads of the base circuit`
          : undefined;
  if (problem === undefined) return;
  throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', `overlap: ${problem}.`);
}

/** Bit masks of combinations of at least two of `count` sets, small ones first. */
function combinationsOf(count: number): number[] {
  const size = (bits: number): number => bits.toString(2).replaceAll('0', '').length;
  return Array.from({ length: 2 ** count }, (_, bits) => bits)
    .filter((bits) => size(bits) >= 2)
    .sort((a, b) => size(a) - size(b) || a - b);
}

/** Heads in all sets of each combination, from the membership bits of every head. */
function countShared(membership: Uint16Array, combinations: readonly number[]): Uint32Array {
  const counts = new Uint32Array(combinations.length);
  for (const bits of membership) {
    if ((bits & (bits - 1)) === 0) continue; // in none or in one
    combinations.forEach((wanted, index) => {
      if ((bits & wanted) === wanted) counts[index]++;
    });
  }
  return counts;
}

/** Draws every set anew within its layers. */
class LayerShuffler {
  readonly #free: number[][];
  readonly #sizes: number[][];

  constructor(sets: readonly NamedHeadSet[], { shape, base }: OverlapOptions) {
    const layers = Array.from({ length: shape.layers }, (_, layer) => layer);
    const headsOf = (layer: number): number[] =>
      Array.from({ length: shape.heads }, (_, head) => layer * shape.heads + head);
    this.#free = layers.map((layer) => headsOf(layer).filter((head) => !base[head]));
    this.#sizes = sets.map(({ mask }) =>
      layers.map((layer) => headsOf(layer).filter((head) => mask[head]).length),
    );
  }

  draw(random: Random, membership: Uint16Array): void {
    membership.fill(0);
    this.#sizes.forEach((sizes, set) => {
      sizes.forEach((size, layer) => {
        if (size === 0) return;
        for (const head of random.sample(this.#free[layer], size)) membership[head] |= 1 << set;
      });
    });
  }

  /** The numbers of the exact law of one pair. */
  layerSizes(first: number, second: number): SubsetSizes[] {
    return this.#free.map((free, layer) => ({
      population: free.length,
      first: this.#sizes[first][layer],
      second: this.#sizes[second][layer],
    }));
  }
}

function exactPair(shuffler: LayerShuffler, pair: readonly number[], shared: number) {
  const layers = shuffler.layerSizes(pair[0], pair[1]);
  const sum = (key: keyof SubsetSizes): number =>
    layers.reduce((total, layer) => total + layer[key], 0);
  const whole = { population: sum('population'), first: sum('first'), second: sum('second') };
  const law = layeredOverlapDistribution(layers);
  return {
    expected: expectedValue(law),
    withinLayers: upperTail(law, shared),
    wholeModel: upperTail(hypergeometricDistribution(whole), shared),
  };
}

/**
 * Overlap of every combination of emergent sets of one model. Deterministic for a seed.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for other shapes, sets with base heads, or over 12 sets.
 */
export function regimeOverlap(
  sets: readonly NamedHeadSet[],
  options: OverlapOptions,
): RegimeOverlap {
  checkSets(sets, options);
  const { shape, permutations = 9_999, seed = 0 } = options;
  const combinations = combinationsOf(sets.length);
  const membership = Uint16Array.from(options.base, (_, head) =>
    sets.reduce((bits, { mask }, set) => bits | (mask[head] ? 1 << set : 0), 0),
  );
  const observed = countShared(membership, combinations);
  const shuffler = new LayerShuffler(sets, options);
  const [sums, extreme] = [combinations.map(() => 0), combinations.map(() => 0)];
  const drawn = new Uint16Array(membership.length);
  for (let round = 0; round < permutations; round++) {
    shuffler.draw(new Random(seed, round), drawn);
    countShared(drawn, combinations).forEach((count, index) => {
      sums[index] += count;
      if (count >= observed[index]) extreme[index]++;
    });
  }
  const pValues = extreme.map((count) => (count + 1) / (permutations + 1));
  const adjusted = holmAdjust(pValues);
  return {
    sets: sets.map(({ name, mask }) => ({ name, size: mask.filter(Boolean).length })),
    combinations: combinations.map((bits, index) => {
      const members = sets.map((_, set) => set).filter((set) => bits & (1 << set));
      return {
        sets: members.map((set) => sets[set].name),
        shared: observed[index],
        heads: namesWhere(shape, (head) => (membership[head] & bits) === bits),
        exclusive: membership.filter((own) => own === bits).length,
        expected: permutations > 0 ? sums[index] / permutations : 0,
        pValue: pValues[index],
        adjusted: adjusted[index],
        hypergeometric: members.length === 2 ? exactPair(shuffler, members, observed[index]) : null,
      };
    }),
    permutations,
    seed,
  };
}
