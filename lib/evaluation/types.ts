// What an evaluation is asked for, what its journal holds, and what it returns. All of it is plain
// JSON, the same bytes for the same settings.
import type { ControlMatch, TestResult } from '../ablation/types.js';
import type { AblationKind } from '../ablation-kinds.js';
import type { AnswerSource } from '../answers/extract.js';
import type { ResolvedPromptForm } from '../benchmarks/prompts.js';
import type { FailureSummary, Flip } from '../failures/summary.js';
import type { SampleAnalysis } from '../failures/sample.js';
import type { FinishReason, SamplingOptions } from '../generation-types.js';
import type { GatePositions, HeadRef } from '../head-gate.js';
import type { DetectableChange } from '../stats/power.js';
import type { Interval } from '../stats/quantile.js';

/** A gated model that answers the benchmark; the first variant of a run is the unablated model. */
export interface EvaluationVariant {
  readonly name: string;
  readonly kind: 'unablated' | 'set' | 'control';
  /** Of a control: the name of its set. */
  readonly of?: string;
  readonly heads: readonly HeadRef[];
  /** Of the heads; 1 of the unablated model. */
  readonly factor: number;
}

/** Everything that decides the samples and the numbers: the header of the journal. */
export interface EvaluationSettings {
  readonly verb: 'evaluate';
  readonly headspark: string;
  readonly model: string;
  readonly modelFingerprint: string;
  readonly device: string;
  readonly isa: string;
  readonly precision: string;
  readonly benchmark: string;
  readonly benchmarkHash: string;
  readonly problems: readonly string[];
  readonly prompt: ResolvedPromptForm;
  readonly variants: readonly {
    readonly name: string;
    readonly kind: EvaluationVariant['kind'];
    readonly of?: string;
    readonly heads: readonly string[];
    readonly factor: number;
  }[];
  /** Every set is a variant with each of them. */
  readonly factors: readonly number[];
  /** What a closed gate puts in a head's place. */
  readonly ablation: AblationKind;
  /** What control sets have in common with their set. */
  readonly match: ControlMatch;
  /** Problems whose unablated runs the means or the resampled activations come from. */
  readonly references: readonly string[];
  readonly positions: GatePositions;
  readonly samples: number;
  readonly sampling: Readonly<Required<SamplingOptions>>;
  readonly maxNewTokens: number;
  readonly stopStrings: readonly string[];
  /** Beside the tokenizer's end-of-sequence ids. */
  readonly stopTokens: readonly number[];
  readonly seed: number;
  readonly sources: readonly AnswerSource[];
  readonly modulus: number | null;
  /** What a reader has to know about the control sets. */
  readonly planNotes: readonly string[];
}

/** The greedy token of a sample that was nearest to being another. */
export interface NearestTie {
  /** Its logit minus the second largest. */
  readonly margin: number;
  /** Index among the new tokens, from 0. */
  readonly token: number;
}

/** One sample, as it stands in the journal under `problem/variant/sample`. */
export interface SampleRecord extends SampleAnalysis {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finish: FinishReason;
  readonly promptTokens: number;
  /** Null for a sample that was drawn at a temperature. */
  readonly nearestTie: NearestTie | null;
}

/** How samples become intervals; other values need no new samples. */
export interface StatisticsOptions {
  /** Default 0.95. */
  readonly confidence?: number | undefined;
  /** Bootstrap resamples of accuracies; default 10,000. */
  readonly resamples?: number | undefined;
  /** The k of pass@k and success@k, each at most the samples; default 1, 2, 4, … and all samples. */
  readonly ks?: readonly number[] | undefined;
}

/** A figure at several k. */
export interface AtK {
  readonly k: number;
  readonly value: Interval;
}

/**
 * A gated variant against the unablated model on the same problems: shares, and two-sided p-values.
 */
export interface TestedChange {
  /** Accuracy minus the unablated one, problems resampled whole. */
  readonly accuracy: Interval;
  /** pass@k at the largest k minus the unablated one; absent with one sample. */
  readonly passAtMost?: Interval;
  /** Problems whose outcome (majority of the samples) went from right to wrong, and back. */
  readonly lost: number;
  readonly gained: number;
  /** McNemar's exact test on those outcomes. */
  readonly mcnemar: TestResult;
  /** Paired permutation test on the problems' shares of right samples. */
  readonly permutation: TestResult;
}

/** A set against its matched random sets; changes are shares, against the unablated model. */
export interface ControlsComparison {
  readonly sets: number;
  /** Change of accuracy over the control sets. */
  readonly change: { readonly mean: number; readonly min: number; readonly max: number };
  /** (1 + control sets with at least as large a drop) / (sets + 1). */
  readonly rankPValue: number;
  readonly rankAdjusted: number;
  readonly rankQValue: number;
  /** Accuracy of the set minus the mean of its controls, problems resampled whole. */
  readonly difference: Interval;
}

/** What one variant solves. */
export interface VariantResult {
  readonly name: string;
  readonly kind: EvaluationVariant['kind'];
  readonly of?: string;
  readonly heads: readonly string[];
  /** Of the heads; 1 of the unablated model. */
  readonly factor: number;
  /** Share of right samples. */
  readonly accuracy: Interval;
  /** [problems] right samples. */
  readonly right: readonly number[];
  readonly meanTokens: number;
  /** Greedy samples with a near-tie: their answers hang on a token that could be another one. */
  readonly nearTies: number;
}

/**
 * A variant of the plan, or the unablated model, which has no `change`, `controls` and `flips`.
 * Shares are from 0 to 1, with intervals over problems.
 */
export interface RowResult extends VariantResult {
  readonly passAt: readonly AtK[];
  readonly successAt: readonly AtK[];
  /** Share of problems whose majority answer is right; with one sample the accuracy. */
  readonly majority: Interval;
  /** [problems] 1 where the majority answer is right. */
  readonly majorityRight: readonly number[];
  /** How many samples gave their answer in which way; `none`: no answer. */
  readonly sources: Readonly<Record<AnswerSource | 'none', number>>;
  readonly failures: FailureSummary;
  readonly change?: TestedChange;
  readonly controls?: ControlsComparison;
  /** At most 50 with their texts; `flipCounts` has all. */
  readonly flips?: readonly Flip[];
  readonly flipCounts?: { readonly rightToWrong: number; readonly wrongToRight: number };
}

/** A sample whose text hangs on a near-tie. */
export interface NearTie extends NearestTie {
  readonly variant: string;
  readonly problem: string;
  readonly sample: number;
  readonly answer: string | null;
  readonly correct: boolean;
}

/** Greedy samples that rounding could have made into other texts. */
export interface NearTies {
  /** A margin below this is a near-tie (lib/evaluation/near-ties.ts says why). */
  readonly below: number;
  /** Samples with one, over all variants and controls. */
  readonly count: number;
  /** The nearest 100 of them, nearest first. */
  readonly samples: readonly NearTie[];
}

/** The smallest change of accuracy that a run of this size could show. */
export interface PowerLine {
  /** Share of 0 to 1; null where no change of so few problems could be significant. */
  readonly change: number | null;
  readonly method: DetectableChange['method'];
  readonly alpha: number;
  readonly power: number;
  /** At the strictest step of Holm's correction over the table's rows. */
  readonly afterHolm: number | null;
  readonly text: string;
}

/**
 * The statistics of a benchmark: plain JSON, the same bytes for the same samples and options.
 * `evaluationCsv` makes a table of it.
 */
export interface EvaluationTable {
  readonly format: 'headspark-evaluation';
  readonly version: 1;
  readonly settings: EvaluationSettings;
  /** Of all intervals, and the resamples behind those of accuracies. */
  readonly confidence: number;
  readonly resamples: number;
  /** Problems of this table; fewer than the settings name where it is one shard's. */
  readonly problems: readonly string[];
  /** The unablated model, then every set. */
  readonly rows: readonly RowResult[];
  readonly controls: readonly VariantResult[];
  /** Null when the tokens were drawn at a temperature. */
  readonly nearTies: NearTies | null;
  readonly power: PowerLine;
  readonly notes: readonly string[];
}

/** Finished samples, those of a journal included, in all and by variant. */
export interface EvaluationProgress {
  readonly done: number;
  readonly total: number;
  /** Tokens generated by this run. */
  readonly tokens: number;
  readonly variants: readonly {
    readonly name: string;
    readonly done: number;
    readonly total: number;
  }[];
}
