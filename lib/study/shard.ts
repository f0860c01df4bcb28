// Which part of a study one of n processes computes: whole checkpoints in turn, so that a shard's
// stages find what they need in the shard itself as far as possible.

import type { Shard } from '../shard.js';
import type { StageNode } from './graph.js';
import type { Study } from './study.js';

/** Nodes of one place stay together, however many shards there are. */
function placeOf({ checkpoint, part = 0 }: StageNode, study: Study): number {
  return study.checkpoints.findIndex(({ name }) => name === checkpoint) + part;
}

/** The most shards of which each has something to compute. */
export function mostShards(nodes: readonly StageNode[], study: Study): number {
  const places = nodes.filter((node) => node.checkpoint !== undefined);
  return Math.max(0, ...places.map((node) => placeOf(node, study))) + 1;
}

/**
 * The shard, from 1 to `count`, that computes a checkpoint's nodes; undefined for nodes without a
 * checkpoint.
 */
export function shardOf(node: StageNode, study: Study, count: number): number | undefined {
  if (node.checkpoint === undefined) return undefined;
  return (placeOf(node, study) % count) + 1;
}

/** True where this shard computes the node; nodes without a checkpoint belong to every shard. */
export function ownsNode(node: StageNode, study: Study, shard: Shard | undefined): boolean {
  if (!shard) return true;
  const owner = shardOf(node, study, shard.count);
  return owner === undefined || owner === shard.index;
}
