// Random control sets for an ablated set of heads: as many heads in each layer, none of the set's
// own where the layer has enough others. Without such controls an ablation shows nothing.

import { checkRecord } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import {
  checkHeads,
  compareHeads,
  formatHeads,
  uniqueHeads,
  type HeadRef,
  type HeadShape,
} from '../head-gate.js';
import { Random } from '../stats/random.js';

export interface MatchedControlsOptions {
  readonly shape: HeadShape;
  /** Sets wanted. */
  readonly count: number;
  /** Default 0. */
  readonly seed?: number;
}

export interface MatchedControls {
  /** Different sets, none equal to the ablated one; each sorted by layer, then head. */
  readonly sets: HeadRef[][];
  /** Layers with too few other heads: there, controls share heads with the ablated set. */
  readonly overlappingLayers: number[];
  /** What a reader of the results has to know; empty when nothing. */
  readonly notes: string[];
}

/** One layer's part of a control: `fixed` heads always, and `choose` of `pool`. */
interface LayerPlan {
  readonly layer: number;
  readonly fixed: number[];
  readonly pool: number[];
  readonly choose: number;
  /** Heads that every control shares with the ablated set. */
  readonly shared: number;
}

function planLayer(layer: number, ablated: number[], heads: number): LayerPlan {
  const others = Array.from({ length: heads }, (_, head) => head).filter(
    (head) => !ablated.includes(head),
  );
  if (others.length >= ablated.length) {
    return { layer, fixed: [], pool: others, choose: ablated.length, shared: 0 };
  }
  const shared = ablated.length - others.length;
  return { layer, fixed: others, pool: ablated, choose: shared, shared };
}

function planLayers(set: readonly HeadRef[], heads: number): LayerPlan[] {
  const layers = [...new Set(set.map(({ layer }) => layer))];
  return layers.map((layer) =>
    planLayer(
      layer,
      set.filter((ref) => ref.layer === layer).map(({ head }) => head),
      heads,
    ),
  );
}

/** n choose k as a double; only compared with small numbers, so rounding does not matter. */
function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
  return Math.round(value);
}

function combinations(pool: readonly number[], choose: number): number[][] {
  if (choose === 0) return [[]];
  return pool.flatMap((head, index) =>
    combinations(pool.slice(index + 1), choose - 1).map((rest) => [head, ...rest]),
  );
}

function toRefs({ layer, fixed }: LayerPlan, chosen: readonly number[]): HeadRef[] {
  return [...fixed, ...chosen].map((head) => ({ layer, head }));
}

/** Every possible control set. */
function enumerate(plans: readonly LayerPlan[]): HeadRef[][] {
  let sets: HeadRef[][] = [[]];
  for (const plan of plans) {
    const parts = combinations(plan.pool, plan.choose).map((chosen) => toRefs(plan, chosen));
    sets = sets.flatMap((set) => parts.map((part) => [...set, ...part]));
  }
  return sets;
}

/** Different random sets; there are at least four times as many as wanted. */
function drawDistinct(plans: readonly LayerPlan[], count: number, random: Random): HeadRef[][] {
  const sets = new Map<string, HeadRef[]>();
  while (sets.size < count) {
    const set = plans.flatMap((plan) => toRefs(plan, random.sample(plan.pool, plan.choose)));
    const sorted = set.sort(compareHeads);
    sets.set(formatHeads(sorted), sorted);
  }
  return [...sets.values()];
}

function notesOf(overlapping: readonly LayerPlan[], got: number, wanted: number): string[] {
  if (wanted === 0) return [];
  const notes = overlapping.map(
    ({ layer, fixed, shared }) =>
      `layer ${layer} has ${fixed.length} heads outside the set of ${fixed.length + shared}: ` +
      `its controls share ${shared} with the set`,
  );
  if (got < wanted) {
    notes.push(
      `only ${got} different control sets with as many heads in every layer exist, ` +
        `${wanted} were asked for; matching by write-norm takes heads of other layers too`,
    );
  }
  return notes;
}

/** Below this many possible sets, listing them all is cheaper than drawing until they differ. */
const ENUMERATE_LIMIT = 4096;

const possibleSets = (plans: readonly LayerPlan[]): number =>
  plans.reduce((n, { pool, choose }) => n * binomial(pool.length, choose), 1);

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for heads outside the model or no number of sets. */
export function checkControls(
  call: string,
  ablated: readonly HeadRef[],
  options: Omit<MatchedControlsOptions, 'seed'>,
): void {
  checkRecord(call, 'its options as an object', options);
  const { shape, count } = options;
  if (!Number.isInteger(count) || count < 0 || count > 100_000) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `controls: the number of sets must be a whole number from 0 to 100000, got ${count}`,
    );
  }
  checkHeads(ablated, shape);
}

/**
 * How many sets `matchedControls` gives of `count` wanted ones, without making any.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function matchedControlCount(
  ablated: readonly HeadRef[],
  options: Omit<MatchedControlsOptions, 'seed'>,
): number {
  checkControls('matchedControlCount', ablated, options);
  const { shape, count } = options;
  const plans = planLayers(uniqueHeads(ablated), shape.heads);
  // Whole layers leave nothing but the set itself.
  const self = plans.every(({ fixed, shared }) => shared > 0 && fixed.length === 0) ? 1 : 0;
  return Math.min(count, possibleSets(plans) - self);
}

/**
 * Control sets matched to `ablated` in the number of heads of every layer. Distinct; fewer than
 * `count` where fewer exist. Throws ERR_HEADSPARK_INVALID_ARGUMENT.
 */
export function matchedControls(
  ablated: readonly HeadRef[],
  options: MatchedControlsOptions,
): MatchedControls {
  checkControls('matchedControls', ablated, options);
  const { shape, count, seed = 0 } = options;
  const set = uniqueHeads(ablated);
  const plans = planLayers(set, shape.heads);
  const overlapping = plans.filter(({ shared }) => shared > 0);
  const possible = possibleSets(plans);
  const random = new Random(seed);
  const sets =
    possible <= Math.max(ENUMERATE_LIMIT, 4 * count)
      ? random
          .shuffle(enumerate(plans).map((heads) => heads.sort(compareHeads)))
          .filter((heads) => formatHeads(heads) !== formatHeads(set))
          .slice(0, count)
      : drawDistinct(plans, count, random);
  return {
    sets,
    overlappingLayers: overlapping.map(({ layer }) => layer),
    notes: notesOf(overlapping, sets.length, count),
  };
}
