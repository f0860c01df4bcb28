// A study as the stages read it: every default filled in, every name unique, every path absolute.

import type { AblationKind } from '../ablation-sweep.js';
import type { ControlMatch } from '../ablation/types.js';
import type { AttributionMethod, IgGrid, Metric } from '../attribution.js';
import type { ExcludedEdges } from '../circuit-evaluation.js';
import type { AnswerSource } from '../answers/extract.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import type { KvEdges } from '../circuit/shape.js';
import { headGroups, type HeadGroup } from '../diff-report.js';
import type { SamplingOptions } from '../generation-types.js';
import type { GatePositions } from '../head-gate.js';
import type { HeadQueries } from '../heads/types.js';
import type { ArithmeticOptions } from '../tasks/arithmetic.js';
import type { TaskName } from '../tasks/index.js';
import type { StudySource, ValuePath } from './source.js';

/** A base or a post-trained checkpoint. */
export interface Checkpoint {
  /** Unique in the study; part of file names. */
  readonly name: string;
  readonly step: number;
  /** Absolute folder or hub id. */
  readonly model: string;
  readonly adapter?: string;
  /** Name of the base that it is compared with; its own name for a base. */
  readonly base: string;
  /** Label of its series; undefined for a base. */
  readonly series?: string;
  /** Where it stands in the study file. */
  readonly path: ValuePath;
}

export const logReductions = ['last', 'mean'] as const;

/**
 * The value of a log at a checkpoint: the last entry since the checkpoint before (an accuracy that
 * was measured there), or the mean of those entries (a reward that is noisy at every step).
 */
export type LogReduction = (typeof logReductions)[number];

/** Where the values of a training log are. */
export interface LogSpec {
  readonly name: string;
  readonly file: string;
  readonly at?: string;
  readonly where: Readonly<Record<string, string | number | boolean>>;
  readonly step: string;
  readonly value: string;
  readonly reduce: LogReduction;
  readonly path: ValuePath;
}

export interface Series {
  readonly label: string;
  readonly regime: string;
  readonly base: Checkpoint;
  /** Ascending steps. */
  readonly checkpoints: readonly Checkpoint[];
  readonly logs: readonly LogSpec[];
  /** Label of the series with the true reward, where this one's reward was corrupted. */
  readonly corruptedRewardOf?: string;
}

export interface PromptForm {
  readonly name: string;
  readonly thinking?: boolean;
}

/** Where a task's pairs come from under one prompt form. */
export type PairsInput =
  | { readonly kind: 'file'; readonly file: string; readonly path: ValuePath }
  | {
      readonly kind: 'generate';
      readonly task: TaskName;
      readonly options: ArithmeticOptions;
      readonly path: ValuePath;
    }
  | {
      readonly kind: 'openings';
      /** Absolute, or the name of a known benchmark in `folder`. */
      readonly problems: string;
      readonly folder: string;
      readonly limit?: number;
      /** Tokens of an opening. */
      readonly openingLength: number;
      /** Name of the post-trained model. */
      readonly by?: string;
      readonly template?: 'chat' | 'plain';
      readonly system?: string;
      readonly suffix?: string;
      readonly path: ValuePath;
    };

export interface Task {
  readonly name: string;
  readonly limit?: number;
  /** One for every prompt form that the task is asked under. */
  readonly forms: readonly { readonly form: PromptForm; readonly input: PairsInput }[];
  readonly path: ValuePath;
}

export interface AttributionSettings {
  readonly method: AttributionMethod;
  readonly metric: Metric;
  readonly igSteps: number;
  readonly igGrid: IgGrid;
  readonly kvEdges: KvEdges;
}

/**
 * Post-trained checkpoints: the last of every series, all, or named ones and those of named series. A
 * name that a checkpoint and a series share is the checkpoint's.
 */
export type ChosenCheckpoints = 'final' | 'all' | readonly string[];

/** An ablation or scaling plan; every factor is a table of its own. */
export interface AblationSpec {
  readonly name: string;
  readonly what:
    | { readonly kind: 'group'; readonly group: HeadGroup; readonly topK: number }
    | { readonly kind: 'heads'; readonly heads: string }
    | { readonly kind: 'single' };
  readonly controls: number;
  readonly factors: readonly number[];
  readonly ablation: AblationKind;
  readonly positions: GatePositions;
  /** What random sets have in common with their set. */
  readonly match: ControlMatch;
  /** Stages that its variants on pairs are cut into. */
  readonly parts: number;
  /** Problems whose runs replacements come from, with benchmarks; absent: as `evaluate` has it. */
  readonly references?: number;
  readonly checkpoints: ChosenCheckpoints;
  /** Names of benchmarks that are answered under ablation; absent: the pairs are. */
  readonly benchmarks?: readonly string[];
  readonly tasks?: readonly string[];
  readonly forms?: readonly string[];
  readonly path: ValuePath;
}

export const headChoices = ['all', 'circuit', ...headGroups] as const;

/** What the heads of a checkpoint do on the pairs. */
export interface HeadsSpec {
  readonly name: string;
  /** All heads, those of the circuit, of a group of the diff, or named ones. */
  readonly which:
    | { readonly kind: (typeof headChoices)[number] }
    | { readonly kind: 'heads'; readonly heads: string };
  readonly queries: HeadQueries;
  /** Name of the plan of single heads whose effects properties are set against. */
  readonly effects?: string;
  readonly maps: number;
  /** Index of the pair that is drawn. */
  readonly mapPair: number;
  readonly markers?: readonly string[];
  readonly checkpoints: ChosenCheckpoints;
  readonly tasks?: readonly string[];
  readonly forms?: readonly string[];
  readonly path: ValuePath;
}

/** How problems are answered. */
export interface SamplingSettings {
  /** Answers to every problem. */
  readonly samples: number;
  /** Only what the file says; the rest is as `evaluate` has it. */
  readonly sampling: SamplingOptions;
  readonly maxNewTokens: number;
  readonly stopStrings: readonly string[];
  /** Ids that end an answer beside the tokenizer's own; absent: none. */
  readonly stopTokens?: readonly number[];
  readonly seed: number;
  /** Of pass@k and success@k; absent: 1, 2, 4, … and all samples. */
  readonly ks?: readonly number[];
}

/** A benchmark, how it is asked, and which checkpoints answer it. */
export interface BenchmarkSpec {
  readonly name: string;
  /** Absolute, or the name of a known benchmark in `folder`. */
  readonly file: string;
  readonly folder: string;
  readonly limit?: number;
  readonly checkpoints: 'all' | 'final' | 'none' | readonly string[];
  readonly forms: readonly PromptForm[];
  readonly template?: 'chat' | 'plain';
  readonly system?: string;
  readonly suffix?: string;
  readonly sources: readonly AnswerSource[];
  /** Stages that its problems are cut into. */
  readonly parts: number;
  readonly sampling: SamplingSettings;
  readonly path: ValuePath;
}

export interface StatisticsSettings {
  readonly confidence: number;
  /** Bootstrap resamples of a diff; `auto`: as `headspark diff` chooses. */
  readonly resamples: number | 'auto';
  readonly nullRepeats: number;
  readonly permutations: number;
  readonly blockLength?: number;
}

/** What a task of a job array asks for. */
export interface SlurmTask {
  readonly partition?: string;
  readonly account?: string;
  readonly qos?: string;
  readonly constraint?: string;
  /** As sbatch takes it. */
  readonly time?: string;
  /** A number, or TYPE:NUMBER; only of stages that compute with models. */
  readonly gpus?: string;
  readonly cpus?: number;
  readonly memory?: string;
}

/** How a study is submitted to Slurm; decides no result. */
export interface SlurmSettings extends SlurmTask {
  /** Parts that the checkpoints are divided into; default: one for each. */
  readonly tasks?: number;
  readonly concurrent?: number;
  readonly setup?: string;
  readonly command?: string;
  readonly options: readonly string[];
  /** By kind of stage: what it asks for instead. */
  readonly stages: Readonly<Record<string, SlurmTask>>;
}

export interface Study {
  readonly name: string;
  readonly description?: string;
  readonly seed: number;
  /** The bases first, then every series in order. */
  readonly checkpoints: readonly Checkpoint[];
  readonly bases: readonly Checkpoint[];
  readonly series: readonly Series[];
  readonly forms: readonly PromptForm[];
  readonly tasks: readonly Task[];
  readonly attribution: AttributionSettings;
  readonly selection: BuildCircuitOptions;
  readonly excluded: ExcludedEdges;
  readonly ablations: readonly AblationSpec[];
  readonly heads: readonly HeadsSpec[];
  readonly benchmarks: readonly BenchmarkSpec[];
  readonly statistics: StatisticsSettings;
  readonly slurm: SlurmSettings;
  readonly source: StudySource;
}

/** A name as a part of file names: spaces become dashes. */
export const slug = (name: string): string => name.replaceAll(' ', '-');
