// The tokenized pair that every attribution method reads, and the options for making pairs.
import type { ChatTemplate } from '../chat-template.js';
import type { Tokenizer } from '../tokenizer.js';

/** A clean and a corrupted prompt of equal token length with the answers told apart. */
export interface TokenizedPair {
  /** Position among the pairs read, from 0. */
  index: number;
  /** Line of the file (from 1), or index + 1 for a generated pair. */
  line: number;
  /** Token ids of the clean prompt, [T]. */
  clean: Int32Array;
  /** Token ids of the corrupted prompt, [T]. */
  corrupted: Int32Array;
  /** Ids of the right next tokens. */
  correct: number[];
  /** Ids of the wrong next tokens. */
  incorrect: number[];
  /** Gold continuation of the clean prompt, for metric nll. */
  continuation?: number[];
  /** The clean prompt as text, where it is known. */
  text?: string;
  corruptedText?: string;
}

/** A pair as a file or a generator gives it, before tokenization; keys as in the JSONL form. */
export type RawPair = Record<string, unknown>;

/** The metric that the pairs will be read with; decides which keys a pair must have. */
export type PairMetric = 'logit-diff' | 'prob-diff' | 'kl' | 'nll';

export interface PairOptions {
  /** Needed when a pair has text rather than ids. */
  tokenizer?: Tokenizer | undefined;
  /** Needed when a pair has `messages`. */
  chatTemplate?: ChatTemplate | undefined;
  /** The model's vocabulary size; ids from it upwards are refused. Default: the tokenizer's. */
  vocabSize?: number | undefined;
  /** The model's positions; longer pairs are refused. Default: any length. */
  maxPositions?: number | undefined;
  /** With it, a pair without what the metric reads is refused. */
  metric?: PairMetric | undefined;
  /** Add special tokens (bos) to text prompts as the tokenizer does by default. Default true. */
  addSpecialTokens?: boolean | undefined;
  /** The template's thinking switch for `messages`; a line's `enable_thinking` wins. */
  enableThinking?: boolean | undefined;
  /** Called for every prompt that is rendered from `messages`. */
  onMessages?: (() => void) | undefined;
  /** Most tokens of `opening` to keep, at least 1. Default 16. */
  openingLength?: number | undefined;
  /** The time a dated chat template shows. */
  now?: Date | undefined;
}

/** Where a raw pair came from. */
export interface PairPlace {
  file: string;
  line: number;
  index: number;
}
