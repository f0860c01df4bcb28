// Greedy generation of given rows with heads ablated or scaled per row: a thin layer over generate().
import { checkModel, checkPrompt, checkRows } from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { generate } from './generation.js';
import type { Model } from './model.js';
import type { JobOptions } from './native.js';
import { checkOptionNames, optionNames, wholeNumber } from './option-checks.js';
import { packRows, type PromptRow } from './packed.js';

/** How far rows are continued. */
export interface GenerateGreedyOptions extends JobOptions {
  /** 0 to 1,000,000; default 64. */
  maxNewTokens?: number | undefined;
  /** Ids that end a row; the one met is kept. Default: the tokenizer's end-of-sequence ids. */
  stopTokens?: readonly number[] | undefined;
}

const greedyOptions = optionNames<GenerateGreedyOptions>({
  maxNewTokens: true,
  stopTokens: true,
  signal: true,
  onProgress: true,
});

/**
 * The new tokens of each row, by the largest logit (ties: the smaller id). A row's tokens do not
 * depend on the other rows.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an empty prompt, a token outside the vocabulary, more
 *   positions than the model has, or a head outside the model; _OUT_OF_MEMORY, _CANCELLED.
 */
export async function generateGreedy(
  model: Model,
  rows: readonly PromptRow[],
  options: GenerateGreedyOptions = {},
): Promise<number[][]> {
  checkModel('generateGreedy', model);
  checkRows('generateGreedy', rows);
  for (const row of rows) checkPrompt('generateGreedy', row);
  checkOptionNames('generateGreedy', options, greedyOptions);
  const { maxNewTokens: wanted, stopTokens, ...job } = options;
  const maxNewTokens = wholeNumber('maxNewTokens', wanted, {
    low: 0,
    high: 1_000_000,
    fallback: 64,
  });
  if (stopTokens) packRows([stopTokens], 'stopTokens');
  const { maxPositions } = model.info;
  const longest = rows.reduce((most, { prompt }) => Math.max(most, prompt.length), 0);
  // The last new token is never fed back, so it needs no position.
  if (longest + Math.max(0, maxNewTokens - 1) > maxPositions) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `a prompt of ${longest} tokens and ${maxNewTokens} new ones are more than the ` +
        `${maxPositions} positions of ${model.info.label}; lower maxNewTokens.`,
    );
  }
  const requests = rows.map((row) => ({
    ...row,
    maxNewTokens,
    ...(stopTokens ? { stopTokens } : {}),
  }));
  const completions: number[][] = rows.map(() => []);
  for await (const { index, tokens } of generate(model, requests, job)) {
    completions[index] = tokens;
  }
  return completions;
}
