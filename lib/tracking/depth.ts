// Where in the model heads emerge, as relative depth, so that models of different numbers of
// layers and heads can be compared: 0 is the first layer's input, 1 the last layer's output.

import type { HeadShape } from '../head-gate.js';
import { holmAdjust } from '../stats/several-tests.js';
import { wassersteinTest } from '../stats/two-samples.js';

export interface ShapedHeadSet {
  readonly name: string;
  readonly shape: HeadShape;
  /** [layers * heads] */
  readonly mask: Uint8Array;
}

export interface DepthProfile {
  readonly name: string;
  readonly layers: number;
  readonly headsPerLayer: number;
  readonly count: number;
  /** Of all heads of the model. */
  readonly share: number;
  /** (layer + 1/2) / layers of every head, ascending. */
  readonly depths: number[];
  /** Null without heads. */
  readonly meanDepth: number | null;
  /** Heads in tenths of the depth. */
  readonly tenths: number[];
}

export interface DepthComparison {
  readonly first: string;
  readonly second: string;
  readonly countDifference: number;
  /** 1-Wasserstein distance of the relative depths, 0 to 1; null when a set is empty. */
  readonly distance: number | null;
  /** Labels permuted; after Holm's correction in `adjusted`. */
  readonly pValue: number | null;
  readonly adjusted: number | null;
}

export interface DepthReport {
  readonly profiles: DepthProfile[];
  readonly comparisons: DepthComparison[];
}

/** The relative depths of one set of heads. */
export function depthProfile({ name, shape, mask }: ShapedHeadSet): DepthProfile {
  const depths: number[] = [];
  mask.forEach((inside, head) => {
    if (inside) depths.push((Math.floor(head / shape.heads) + 0.5) / shape.layers);
  });
  const tenths = new Array<number>(10).fill(0);
  for (const depth of depths) tenths[Math.min(9, Math.floor(depth * 10))]++;
  return {
    name,
    layers: shape.layers,
    headsPerLayer: shape.heads,
    count: depths.length,
    share: depths.length / mask.length,
    depths,
    meanDepth:
      depths.length === 0 ? null : depths.reduce((sum, depth) => sum + depth, 0) / depths.length,
    tenths,
  };
}

/** Profiles of all sets and every pair compared. */
export function compareDepths(
  sets: readonly ShapedHeadSet[],
  options: { permutations?: number; seed?: number } = {},
): DepthReport {
  const profiles = sets.map(depthProfile);
  const pairs = profiles.flatMap((first, index) =>
    profiles.slice(index + 1).map((second) => ({ first, second })),
  );
  const tests = pairs.map(({ first, second }) =>
    first.count > 0 && second.count > 0
      ? wassersteinTest(first.depths, second.depths, options)
      : undefined,
  );
  const adjusted = holmAdjust(tests.flatMap((test) => (test ? [test.pValue] : [])));
  let next = 0;
  return {
    profiles,
    comparisons: pairs.map(({ first, second }, index) => {
      const test = tests[index];
      return {
        first: first.name,
        second: second.name,
        countDifference: second.count - first.count,
        distance: test?.distance ?? null,
        pValue: test?.pValue ?? null,
        adjusted: test ? adjusted[next++] : null,
      };
    }),
  };
}
