// What is asked about heads and what comes back: plain JSON, the same bytes for the same settings.

import type { Interval } from '../stats/quantile.js';
import type { HeadPropertyName } from './properties.js';
import type { TokenClass } from './token-classes.js';

/** Every HeadQueries. */
export const headQueries = ['all', 'answer'] as const;

/**
 * Whose attention is looked at: every token but the first, or the tokens where the model answers
 * (without an answer the last).
 */
export type HeadQueries = (typeof headQueries)[number];

/** Mean over the prompts where it is defined, prompts resampled. */
export interface HeadValue extends Interval {
  /** Prompts where it is defined. */
  readonly prompts: number;
}

/** What one head does. */
export interface HeadRow {
  /** `a3.h1` */
  readonly name: string;
  readonly layer: number;
  readonly head: number;
  /** Null where no prompt defines it. `copying` has no interval: it is of the weights. */
  readonly values: Readonly<Record<HeadPropertyName, HeadValue | null>>;
}

/** An attention map to draw: rows are queries, columns keys. */
export interface AttentionMap {
  readonly head: string;
  /** Index of the prompt. */
  readonly prompt: number;
  /** Decoded, or ids where there is no tokenizer. */
  readonly tokens: readonly string[];
  /** Row i has the i + 1 probabilities of query i. */
  readonly rows: readonly (readonly number[])[];
}

/** Everything that decides the numbers. */
export interface HeadSettings {
  readonly headspark: string;
  readonly model: string;
  readonly modelFingerprint: string;
  readonly device: string;
  readonly isa: string;
  readonly precision: string;
  readonly prompts: number;
  readonly promptsHash: string;
  readonly queries: HeadQueries;
  readonly markers: readonly string[];
  readonly confidence: number;
  readonly resamples: number;
  readonly seed: number;
}

/** What `headProperties` gives: plain JSON, the same bytes for the same prompts and options. */
export interface HeadTable {
  readonly format: 'headspark-heads';
  readonly version: 1;
  readonly settings: HeadSettings;
  /** How many tokens of the prompts are of each class; null without a tokenizer. */
  readonly tokens: Readonly<Record<TokenClass | 'all', number>> | null;
  /** What uniform attention without a window would give, mean over prompts; null where undefined. */
  readonly uniform: Readonly<Record<HeadPropertyName, number | null>>;
  /** By layer, then head. */
  readonly heads: readonly HeadRow[];
  readonly maps: readonly AttentionMap[];
  readonly notes: readonly string[];
}
