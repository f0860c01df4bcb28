// Which variants belong to a shard: a range of them in the order of the sweep, so that variants with a
// beginning in common stay together, and of about an equal part of the layers that are computed.

import { HeadsparkError } from '../errors.js';
import { uniqueHeads } from '../head-gate.js';
import type { Shard } from '../shard.js';
import { compareVariants, variantKey, type GatedHeads } from './run.js';

/**
 * [variants] layers that the sweep computes for each, beyond what it shares with those before it: what
 * lies below the first gated layer is the unablated run's, and the same gates so far are computed once.
 */
export function computedLayers(variants: readonly GatedHeads[], layers: number): number[] {
  /** The end of what is computed, by the gates up to there. */
  const ends = new Map<string, number>();
  return variants.map(({ heads, factor }) => {
    if (heads.length === 0) return layers;
    let [count, gates] = [0, `x${factor}`];
    for (const [index, { layer, head }] of heads.entries()) {
      gates += ` ${layer}.${head}`;
      const next = heads.at(index + 1)?.layer ?? layers;
      const begin = Math.max(layer, ends.get(gates) ?? 0);
      // Of several heads in a layer the last one has all gates of it.
      if (next <= begin) continue;
      count += next - begin;
      ends.set(gates, next);
    }
    return count;
  });
}

/**
 * Where each of `count` parts begins, and the end: no part is empty, and a cut lies where the work is
 * about even and little of what was computed before it has to be computed again.
 */
function beginnings(variants: readonly GatedHeads[], layers: number, count: number): number[] {
  const costs = computedLayers(variants, layers);
  const alone = ({ heads }: GatedHeads): number => layers - (heads.at(0)?.layer ?? 0);
  const begins = [0];
  let total = 0;
  const ends = costs.map((cost) => (total += cost));
  for (let part = 1; part < count; part++) {
    const even = (total * part) / count;
    const last = variants.length - (count - part);
    let [best, least] = [last, Infinity];
    for (let at = begins[part - 1] + 1; at <= last && ends[at - 1] - even < least; at++) {
      const off = Math.abs(ends[at - 1] - even) + alone(variants[at]) - costs[at];
      if (off < least) [best, least] = [at, off];
    }
    begins.push(best);
  }
  return [...begins, variants.length];
}

/** Each different variant once, in the order of the sweep. */
export function differentVariants(variants: readonly GatedHeads[]): GatedHeads[] {
  const different = new Map(variants.map((variant) => [variantKey(variant), variant]));
  return [...different.values()]
    .map(({ heads, factor }) => ({ heads: uniqueHeads(heads), factor }))
    .sort(compareVariants);
}

/**
 * The parts of different variants, in the order of the sweep, for so many shards.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT where there are fewer variants than shards.
 */
export function shareVariants(
  variants: readonly GatedHeads[],
  { index, count }: Shard,
  layers: number,
): GatedHeads[][] {
  if (count > variants.length) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the shard ${index}/${count} is of only ${variants.length} variants; use at most ` +
        `${variants.length} shards.`,
    );
  }
  const begins = beginnings(variants, layers, count);
  return begins.slice(1).map((end, part) => variants.slice(begins[part], end));
}
