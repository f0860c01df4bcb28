// How tokens are drawn, for the commands that generate.

import type { SamplingOptions } from '../generation-types.js';
import { usageError, type Arguments } from './arguments.js';

/** The options that are given, under the names of the library. */
export function given<T extends object>(values: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

/**
 * The sampling that the arguments ask for.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what the vocabulary's bounds let through.
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
  return sampling;
}
