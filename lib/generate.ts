// Greedy generation with heads ablated or scaled per row.
import type { Model } from './model.js';
import { runJob, type JobOptions } from './native.js';
import { wholeNumber } from './option-checks.js';
import { packHeads, packRows, type GatedHead } from './packed.js';

/** A prompt to continue. */
export interface GenerateRow {
  prompt: Int32Array | readonly number[];
  /** Heads whose z is multiplied by `factor` (0: zero ablation) at all positions of this row. */
  heads?: readonly GatedHead[];
}

export interface GenerateGreedyOptions extends JobOptions {
  /** 0 to 1,000,000; default 64. */
  maxNewTokens?: number;
  /** Ids that end a row; the one met is kept. Default: the tokenizer's end-of-sequence ids. */
  stopTokens?: readonly number[];
}

/**
 * The new tokens of each row, by the largest logit (ties: the smaller id). A row's tokens do not
 * depend on the other rows.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an empty prompt, a token outside the vocabulary, more
 *   positions than the model has, or a head outside the model; _OUT_OF_MEMORY, _CANCELLED.
 */
export async function generateGreedy(
  model: Model,
  rows: readonly GenerateRow[],
  options: GenerateGreedyOptions = {},
): Promise<number[][]> {
  const stopTokens = options.stopTokens ?? model.tokenizer?.eosIds ?? [];
  const request = {
    prompts: packRows(
      rows.map(({ prompt }) => prompt),
      'the prompts',
    ),
    heads: packHeads(
      rows.map(({ heads }) => heads ?? []),
      model.info,
    ),
    maxNewTokens: wholeNumber('maxNewTokens', options.maxNewTokens, {
      low: 0,
      high: 1_000_000,
      fallback: 64,
    }),
    stopTokens: packRows([stopTokens], 'stopTokens').values,
  };
  const handle = model.handle();
  const { values, offsets } = await runJob(
    (addon, onProgress) => addon.generateGreedy(handle, request, onProgress),
    options,
  );
  return rows.map((_, row) => Array.from(values.subarray(offsets[row], offsets[row + 1])));
}
