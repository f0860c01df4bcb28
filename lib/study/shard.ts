// Which part of a study one of n processes computes: whole checkpoints in turn, so that a shard's
// stages find what they need in the shard itself as far as possible.

import type { Shard } from '../shard.js';
import type { StageNode } from './graph.js';
import type { Study } from './study.js';

/** True where this shard computes the node; nodes without a checkpoint belong to every shard. */
export function ownsNode(node: StageNode, study: Study, shard: Shard | undefined): boolean {
  if (!shard || node.checkpoint === undefined) return true;
  const place = study.checkpoints.findIndex(({ name }) => name === node.checkpoint);
  return (place + (node.part ?? 0)) % shard.count === shard.index - 1;
}
