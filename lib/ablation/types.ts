// What an ablation is asked for and what it returns. The result is plain JSON: numbers, texts and
// lists, the same bytes for the same settings.

import type { CallbackResult, JobProgress } from '../callbacks.js';
import type { AblationKind } from '../ablation-sweep.js';
import type { GatePositions, HeadRef } from '../head-gate.js';
import type { PairMetric } from '../pairs/types.js';
import type { Shard } from '../shard.js';
import type { VariantPlan } from './run.js';
import type { Interval } from '../stats/quantile.js';

/** Heads that are gated together, under the name of their row. */
export interface HeadSet {
  readonly name: string;
  readonly heads: readonly HeadRef[];
}

/**
 * - `single`: every head of the model, one at a time.
 * - `sets`: the given sets, each as one variant.
 * - `top-k`: the first head of the list, the first two, … the first k.
 */
export type AblationPlan =
  | { readonly kind: 'single' }
  | { readonly kind: 'sets'; readonly sets: readonly (HeadSet | readonly HeadRef[])[] }
  | {
      readonly kind: 'top-k';
      /** Best first. */
      readonly heads: readonly HeadRef[];
      readonly k: number;
      /** What the heads are, for names: `emergent` gives `emergent top-3`. Default `heads`. */
      readonly group?: string;
    };

/** Every ControlMatch. */
export const controlMatches = ['layer', 'write-norm'] as const;
/** What random control sets have in common with their set: see `match` of AblateOptions. */
export type ControlMatch = (typeof controlMatches)[number];

/** What control sets have in common with their set, for headings and captions. */
export const controlMatchTexts: Readonly<Record<ControlMatch, string>> = {
  layer: 'same number of heads in every layer',
  'write-norm': 'heads of any layer that write as much',
};

/**
 * What `ablate` gates and measures; only `plan` must be given. A run goes on from a journal of the
 * same settings (others: ERR_HEADSPARK_SETTINGS_MISMATCH), also with a longer plan.
 */
export interface AblateOptions {
  /** The sets of heads, or every head alone. */
  readonly plan: AblationPlan;
  /** Matched random control sets for every set; default 20. Single heads have none. */
  readonly controls?: number | undefined;
  /**
   * What random sets have in common with the set: as many heads in every `layer` (default), or heads
   * of any layer whose writes are as long (`write-norm`).
   */
  readonly match?: ControlMatch | undefined;
  /** Of the control sets and of the statistics; default 0. */
  readonly seed?: number | undefined;
  /** JSONL file that keeps finished variants, so that a run can be resumed. */
  readonly journal?: string | undefined;
  /** Called where lines of the journal are damaged: what they held is computed again. */
  readonly onRemark?: ((remark: string) => CallbackResult) | undefined;
  /**
   * Factors of the heads, each a variant of every set: 0 ablates, 0.5 weakens, 1.3 amplifies.
   * Default [0].
   */
  readonly factors?: readonly number[] | undefined;
  /** What a closed gate puts in a head's place; default `zero`. */
  readonly ablation?: AblationKind | undefined;
  /** Default `logit-diff`. */
  readonly metric?: PairMetric | undefined;
  /**
   * Where gates act: `all` (default), `prompt`, or `generated`: the continuation of `nll`, but for its
   * last token, which is not read.
   */
  readonly positions?: GatePositions | undefined;
  /** Of the intervals; default 0.95. */
  readonly confidence?: number | undefined;
  /** Bootstrap resamples of the intervals; default 10,000. */
  readonly resamples?: number | undefined;
  /** Aborting rejects with ERR_HEADSPARK_CANCELLED; a journal keeps what is finished. */
  readonly signal?: AbortSignal | undefined;
  /** What is left to run, before it runs. */
  readonly onPlan?: ((plan: VariantPlan) => CallbackResult) | undefined;
  /** Finished variants of all of them, resumed ones included. */
  readonly onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
}

/** How the values of variants become intervals; other values need no new run. */
export type StatisticsOfAblation = Pick<AblateOptions, 'confidence' | 'resamples'>;

/**
 * What `ablateShard` takes: the options of the whole ablation, the same for every shard, but for its
 * statistics, which `mergeAblations` makes.
 */
export interface AblateShardOptions extends Omit<AblateOptions, 'confidence' | 'resamples'> {
  /** Which of the parts of the variants. */
  readonly shard: Shard;
  /** JSONL file of the finished variants, for `mergeAblations`; the same call goes on from it. */
  readonly journal: string;
}

/** What `ablateShard` did; the values of its variants lie in the journal. */
export interface AblatedShard {
  /** As in `2/4`. */
  readonly shard: string;
  /** Different variants of the shard: sets, random control sets, in one of them the unablated model. */
  readonly variants: number;
  /** Those of all shards. */
  readonly ofVariants: number;
  readonly journal: string;
}

/** How `mergeAblations` makes the table. */
export interface MergeAblationsOptions extends StatisticsOfAblation {
  /** Aborting rejects with ERR_HEADSPARK_CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** Everything that decides the numbers, as it stands in the result. */
export interface AblationSettings {
  readonly headspark: string;
  readonly model: string;
  readonly modelFingerprint: string;
  readonly device: string;
  readonly isa: string;
  readonly precision: string;
  readonly pairs: number;
  readonly pairsHash: string;
  readonly metric: PairMetric;
  /** Whether a drop or a rise of the metric means that the model got worse. */
  readonly worse: 'lower' | 'higher';
  readonly ablation: AblationKind;
  readonly factors: readonly number[];
  readonly positions: GatePositions;
  readonly plan: AblationPlan['kind'];
  readonly match: ControlMatch;
  readonly controls: number;
  readonly seed: number;
  readonly confidence: number;
  readonly resamples: number;
  /** Sign patterns of a permutation test that cannot be enumerated. */
  readonly permutations: number;
}

/** The metric of every pair and whether the right answer had the largest logit. */
export interface PairResults {
  /** [pairs] */
  readonly values: number[];
  /** [pairs], 1 where the right answer was the model's first choice. */
  readonly correct: number[];
}

/** Mean metric and accuracy of one variant. */
export interface VariantMeans {
  readonly name: string;
  /** `a3.h1`, sorted. */
  readonly heads: string[];
  /** Of the heads; 1 of the unablated model. */
  readonly factor: number;
  readonly metric: number;
  /** Share of pairs whose right answer was the first choice. */
  readonly accuracy: number;
}

/** A two-sided p-value, alone and among those of the rows of the table. */
export interface TestResult {
  readonly pValue: number;
  /** After Holm's correction: below x, the chance of one false claim in the table is below x. */
  readonly adjusted: number;
  /** Benjamini and Hochberg's: of all rows with q below x, less than x are expected to be false. */
  readonly qValue: number;
}

/** A set against its matched controls. "Drop": how much worse than the unablated model. */
export interface ControlComparison {
  readonly sets: number;
  /** Change of the mean metric over the control sets. */
  readonly change: { readonly mean: number; readonly min: number; readonly max: number };
  readonly accuracyChange: { readonly mean: number; readonly min: number; readonly max: number };
  /** (1 + control sets with at least as large a drop) / (sets + 1). */
  readonly rankPValue: number;
  readonly rankAdjusted: number;
  readonly rankQValue: number;
  /** Change of the set minus the mean change of its controls, pairs resampled. */
  readonly difference: Interval;
  readonly accuracyRankPValue: number;
  readonly accuracyDifference: Interval;
}

/**
 * One variant of the plan against the unablated model, over the same pairs. Changes are in units of
 * the metric, those of accuracy shares from -1 to 1.
 */
export interface AblationRow extends VariantMeans, PairResults {
  readonly kind: AblationPlan['kind'];
  /** Mean metric minus the unablated one, pairs resampled. */
  readonly change: Interval;
  /** Share of right answers minus the unablated one. */
  readonly accuracyChange: Interval;
  /** Pairs right before and wrong after, and the other way round. */
  readonly lost: number;
  readonly gained: number;
  /** McNemar's exact test on the right answers. */
  readonly mcnemar: TestResult;
  /** Paired permutation test on the metric; exact up to 20 pairs that differ. */
  readonly permutation: TestResult & { readonly exact: boolean };
  /** Absent for single heads, and where no control sets were asked for. */
  readonly controls?: ControlComparison;
}

/** A random control set of a row; changes are against the unablated model. */
export interface ControlRow extends VariantMeans, PairResults {
  /** Name of the row it belongs to. */
  readonly of: string;
  readonly change: number;
  readonly accuracyChange: number;
}

/**
 * What `ablate` gives: plain JSON, the same bytes for the same settings. `variants` are in the
 * order of the plan; `notes` say what the numbers cannot show.
 */
export interface AblationTable {
  readonly format: 'headspark-ablation';
  readonly version: 1;
  readonly settings: AblationSettings;
  /** The unablated model. */
  readonly baseline: VariantMeans & PairResults;
  readonly variants: AblationRow[];
  readonly controls: ControlRow[];
  readonly notes: string[];
}
