// What heads put out (z, the input of the output projection) on given sequences: means and single
// tokens for mean and resample ablation in a generation, and the size of what heads write.
import { checkModel, checkTokenLists } from './argument-checks.js';
import type { Model } from './model.js';
import { runJob, type JobOptions } from './native.js';
import { checkOptionNames, oneOf, optionNames, trueOrFalse } from './option-checks.js';
import { packRows } from './packed.js';

/** Every ActivationRows. */
export const activationRows = ['mean', 'mean-per-position', 'tokens'] as const;

/**
 * `mean`: one row, the mean over all tokens. `mean-per-position`: the mean at every position of the
 * longest sequence, then one row of the mean over all tokens. `tokens`: every token in order.
 */
export type ActivationRows = (typeof activationRows)[number];

/** Which rows of activations, and whether the lengths of what heads write. */
export interface HeadActivationsOptions extends JobOptions {
  /** Default `mean`. */
  rows?: ActivationRows | undefined;
  /** Also the mean length of every head's write. Default false. */
  writeNorms?: boolean | undefined;
}

/** What `headActivations` gives; `rows` is the second size of `z`. */
export interface HeadActivations {
  rows: number;
  /** [layers, rows, heads, headDim], fp32; `replacement` of a generation. */
  z: Float32Array;
  /** [layers, heads] mean over all tokens of |W_O z|; empty unless asked for. */
  writeNorms: Float32Array;
}

const activationsOptions = optionNames<HeadActivationsOptions>({
  rows: true,
  writeNorms: true,
  signal: true,
  onProgress: true,
});

/**
 * z of every head of the unablated model on token sequences. Neither batches nor threads change a bit.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for no sequences, an empty or too long one, or a token
 *   outside the vocabulary; _OUT_OF_MEMORY, _CANCELLED.
 */
export async function headActivations(
  model: Model,
  sequences: readonly (Int32Array | readonly number[])[],
  options: HeadActivationsOptions = {},
): Promise<HeadActivations> {
  checkModel('headActivations', model);
  checkTokenLists('headActivations', sequences);
  checkOptionNames('headActivations', options, activationsOptions);
  const request = {
    sequences: packRows(sequences, 'the sequences'),
    rows: oneOf('rows', options.rows, { allowed: activationRows, fallback: 'mean' }),
    writeNorms: trueOrFalse('writeNorms', options.writeNorms, false),
  };
  const handle = model.handle();
  return runJob((addon, onProgress) => addon.headActivations(handle, request, onProgress), options);
}
