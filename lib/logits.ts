// Logits of prompts, with heads ablated or scaled by request.
import { checkModel, checkPrompts } from './argument-checks.js';
import type { Model } from './model.js';
import { runJob, type JobOptions } from './native.js';
import { checkOptionNames, optionNames, trueOrFalse } from './option-checks.js';
import { packHeads, packRows, type GatedHead, type PromptRow } from './packed.js';

export type { GatedHead, PromptRow } from './packed.js';

/** Which logits, and of which gated model. */
export interface LogitsOptions extends JobOptions {
  /** Of every prompt that has none of its own. */
  heads?: readonly GatedHead[] | undefined;
  /** Logits at every token instead of the last one of each prompt. Default false. */
  allPositions?: boolean | undefined;
}

const promptOptions = optionNames<PromptRow>({ prompt: true, heads: true });

const logitsOptions = optionNames<LogitsOptions>({
  heads: true,
  allPositions: true,
  signal: true,
  onProgress: true,
});

/**
 * Logits before any softmax, fp32: [prompts, vocab] at the last token of each prompt, or
 * [tokens of all prompts in order, vocab] with `allPositions`. Prompts of different gates share every
 * pass over the weights; the logits of a prompt do not depend on the others.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an empty prompt, a token outside the vocabulary or
 *   positions, or a head outside the model; _OUT_OF_MEMORY, _CANCELLED.
 */
export async function computeLogits(
  model: Model,
  prompts: readonly (Int32Array | readonly number[] | PromptRow)[],
  options: LogitsOptions = {},
): Promise<Float32Array> {
  checkModel('computeLogits', model);
  checkPrompts('computeLogits', prompts);
  checkOptionNames('computeLogits', options, logitsOptions);
  const rows = prompts.map((row) => ('prompt' in row ? row : { prompt: row }));
  for (const row of rows) checkOptionNames('a prompt', row, promptOptions);
  const request = {
    prompts: packRows(
      rows.map(({ prompt }) => prompt),
      'the prompts',
    ),
    heads: packHeads(
      rows.map(({ heads }) => heads ?? options.heads ?? []),
      model.info,
    ),
    allPositions: trueOrFalse('allPositions', options.allPositions, false),
  };
  const handle = model.handle();
  return runJob((addon, onProgress) => addon.computeLogits(handle, request, onProgress), options);
}
