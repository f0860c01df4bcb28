// Which part of a study one of n processes computes: whole checkpoints in turn, so that a shard's
// stages find what they need in the shard itself as far as possible.

import { HeadsparkError } from '../errors.js';
import type { StageNode } from './graph.js';
import type { Study } from './study.js';

export interface Shard {
  /** From 1 to `count`. */
  readonly index: number;
  readonly count: number;
}

/** Reads `2/4`. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,5})\/(\d{1,5})$/.exec(text.trim());
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match && index >= 1 && index <= count) return { index, count };
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `the shard "${text.slice(0, 40)}" is not of the form I/N with I from 1 to N, for instance 2/4.`,
  );
}

/** True where this shard computes the node; nodes without a checkpoint belong to every shard. */
export function ownsNode(node: StageNode, study: Study, shard: Shard | undefined): boolean {
  if (!shard || node.checkpoint === undefined) return true;
  const place = study.checkpoints.findIndex(({ name }) => name === node.checkpoint);
  return place % shard.count === shard.index - 1;
}
