// One of the equal parts that a run over several machines is cut into.

import { checkAnyText } from './argument-checks.js';
import { HeadsparkError } from './errors.js';

export interface Shard {
  /** From 1 to `count`. */
  readonly index: number;
  readonly count: number;
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for what is no part of a whole. */
export function checkShard(shard: unknown): void {
  const given: Partial<Shard> = typeof shard === 'object' && shard !== null ? shard : {};
  const { index = NaN, count = NaN } = given;
  const whole = Number.isInteger(index) && Number.isInteger(count);
  if (whole && index >= 1 && index <= count) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    'shard must be { index, count } with index from 1 to count; parseShard makes it of a text ' +
      'such as 2/4.',
  );
}

/** The items [begin, end) of a shard of `count` ones in a row. */
export function shardRange(count: number, shard: Shard): [begin: number, end: number] {
  const at = (part: number): number => Math.floor((part * count) / shard.count);
  return [at(shard.index - 1), at(shard.index)];
}

/** Reads `2/4`. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function parseShard(text: string): Shard {
  checkAnyText('parseShard', text);
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text.trim());
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match && index >= 1 && index <= count) return { index, count };
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `the shard "${text.slice(0, 40)}" is not of the form I/N with I from 1 to N, for instance 2/4.`,
  );
}
