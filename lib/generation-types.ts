// What a generation is asked for and what it gives: types only.
import type { CallbackResult } from './callbacks.js';
import type { GatePositions } from './head-gate.js';
import type { JobOptions } from './native.js';
import type { GatedHead } from './packed.js';

/**
 * How the next token is chosen. The filters act in this order, as in Hugging Face transformers:
 * repetition penalty, temperature, top-k, top-p, min-p. Defaults leave the distribution alone.
 */
export interface SamplingOptions {
  /** 0 (the default): the largest logit; ties go to the smaller id. */
  temperature?: number;
  /** In (0, 1]: the likeliest tokens that together reach this probability. Default 1. */
  topP?: number;
  /** The k likeliest tokens; 0 (the default): all. */
  topK?: number;
  /** In [0, 1): tokens with this share of the likeliest one's probability. Default 0. */
  minP?: number;
  /** More than 0: logits of tokens seen so far are divided (below 0: multiplied) by it. Default 1. */
  repetitionPenalty?: number;
}

/**
 * Rows of the replacement table that stand for the positions of a request: position p takes row
 * `begin + p`; from `length` on the rows from `begin + loop` to `begin + length` go round.
 */
export interface ReplacementRun {
  begin: number;
  length: number;
  /** 0 to length - 1. */
  loop: number;
}

/** One row to generate. */
export interface GenerationRequest {
  /** Token ids; at least one, at most as many as the model has positions. */
  prompt: Int32Array | readonly number[];
  /** Gates of this row: z' = factor z + (1 - factor) r. */
  heads?: readonly GatedHead[] | undefined;
  /** Where the gates act: everywhere (default), in the prompt, or after it. */
  positions?: GatePositions | undefined;
  /** Default: row 0 at every position. Only read with `replacement` of the generation. */
  replacement?: ReplacementRun | undefined;
  sampling?: SamplingOptions | undefined;
  /** 0 to 2^64 - 1, default 0. A sample depends on its request and its seed alone. */
  seed?: bigint | number | undefined;
  /** 0 to 1,000,000; default 256. */
  maxNewTokens?: number | undefined;
  /** Ids that end the row; the one met is kept. Default: the tokenizer's end-of-sequence ids. */
  stopTokens?: readonly number[] | undefined;
  /** Texts that end the row; the token that completes one is kept. Needs a tokenizer. */
  stopStrings?: readonly string[] | undefined;
  /** Whether the completion tells `logProbs`. Default false. Never changes a token. */
  logProbs?: boolean | undefined;
}

/** Requests that are there, or that come while earlier ones are decoded. */
export type GenerationRequests = Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>;

/** Why a row ended; `context`: the model has no more positions. */
export type FinishReason = 'stop-token' | 'stop-string' | 'length' | 'context';

/** What became of one request. */
export interface Completion {
  /** Of the request in the input order. */
  index: number;
  /** New tokens, the one that ended the row included. */
  tokens: number[];
  /**
   * [tokens] of a greedy row: the largest logit (after the repetition penalty) minus the second
   * largest, 0 for a tie: how near each token was to being another. Empty for a sampled row.
   */
  margins: number[];
  /**
   * [tokens] with `logProbs` of the request: the natural logarithm of each token's probability under the
   * gated model at temperature 1, after the repetition penalty and before top-k, top-p and min-p. Empty
   * otherwise.
   */
  logProbs: number[];
  finish: FinishReason;
  /** Tokens of the prompt. */
  promptTokens: number;
}

/** Progress counts new tokens; its total is not known. */
export interface GenerationOptions extends JobOptions {
  /** Rows decoded together, 1 to 65,536; default 64. Never changes a result. */
  maxRows?: number | undefined;
  /** Budget for keys, values and workspace; default: the model's. Never changes a result. */
  memoryBytes?: number | undefined;
  /** Called for every new token of every row, in order within a row; `margin` of greedy ones. */
  onToken?: ((index: number, token: number, margin?: number) => CallbackResult) | undefined;
  /**
   * [layers, rows, heads, headDim] (`headActivations` makes it): what closed gates put in place of a
   * head, one row for means or many that requests choose by position; default zero.
   */
  replacement?: Float32Array | undefined;
}
