// Logits of prompts, with heads ablated or scaled by request.
import { checkModel, checkTokenLists } from './argument-checks.js';
import type { Model } from './model.js';
import { runJob, type JobOptions } from './native.js';
import { checkOptionNames, optionNames, trueOrFalse } from './option-checks.js';
import { packHeads, packRows, type GatedHead } from './packed.js';

export type { GatedHead } from './packed.js';

/** Which logits, and of which gated model. */
export interface LogitsOptions extends JobOptions {
  /** Heads whose z is multiplied by `factor` (0: zero ablation) at all positions. */
  heads?: readonly GatedHead[] | undefined;
  /** Logits at every token instead of the last one of each prompt. Default false. */
  allPositions?: boolean | undefined;
}

const logitsOptions = optionNames<LogitsOptions>({
  heads: true,
  allPositions: true,
  signal: true,
  onProgress: true,
});

/**
 * Logits before any softmax, fp32: [prompts, vocab] at the last token of each prompt, or
 * [tokens of all prompts in order, vocab] with `allPositions`.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an empty prompt, a token outside the vocabulary or
 *   positions, or a head outside the model; _OUT_OF_MEMORY, _CANCELLED.
 */
export async function computeLogits(
  model: Model,
  prompts: readonly (Int32Array | readonly number[])[],
  options: LogitsOptions = {},
): Promise<Float32Array> {
  checkModel('computeLogits', model);
  checkTokenLists('computeLogits', prompts);
  checkOptionNames('computeLogits', options, logitsOptions);
  const request = {
    prompts: packRows(prompts, 'the prompts'),
    heads: packHeads([options.heads ?? []], model.info),
    allPositions: trueOrFalse('allPositions', options.allPositions, false),
  };
  const handle = model.handle();
  return runJob((addon, onProgress) => addon.computeLogits(handle, request, onProgress), options);
}
