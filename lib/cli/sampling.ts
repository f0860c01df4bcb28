// How tokens are drawn, for the commands that generate.

import type { SamplingOptions } from '../generation-types.js';
import { usageError, type Arguments } from './arguments.js';
import { refuseUnread } from './unread-options.js';

/** The options that are given, under the names of the library. */
export function given<T extends object>(values: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

/**
 * The sampling that the arguments ask for.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what the vocabulary's bounds let through, and for filters of
 *   greedy tokens, which they do not change. Several samples are never greedy.
 */
export function samplingOf(args: Arguments): SamplingOptions {
  const sampling = given<SamplingOptions>({
    temperature: args.number('temperature'),
    topP: args.number('top-p'),
    topK: args.number('top-k-tokens'),
    minP: args.number('min-p'),
    repetitionPenalty: args.number('repetition-penalty'),
  });
  const { topP, minP, repetitionPenalty } = sampling;
  if (topP !== undefined && topP <= 0) throw usageError('--top-p must be more than 0.');
  if (minP !== undefined && minP >= 1) throw usageError('--min-p must be less than 1.');
  if (repetitionPenalty !== undefined && repetitionPenalty <= 0)
    throw usageError('--repetition-penalty must be more than 0.');
  if ((sampling.temperature ?? (args.value('samples') > 1 ? 1 : 0)) === 0) {
    const why = 'filters sampled tokens: add a --temperature above 0, or leave it out.';
    refuseUnread(args, ['top-p', 'top-k-tokens', 'min-p'], why);
  }
  return sampling;
}
