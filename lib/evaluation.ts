// Benchmarks through the public API: what a model solves, alone and with heads gated, and how the
// answers fail.
import { checkPlan } from './ablation/plan.js';
import { checkBenchmark, checkModel, checkText, checkTexts } from './argument-checks.js';
import type { PromptForm } from './benchmarks/prompts.js';
import type { Benchmark } from './benchmarks/types.js';
import { withCallbacks } from './callbacks.js';
import { HeadsparkError } from './errors.js';
import {
  answerSubject,
  evaluateSubject,
  type Answers,
  type EvaluateOptions,
  type EvaluationSubject,
  type EvaluationResult,
} from './evaluation/evaluate.js';
import { mergeJournals } from './evaluation/merge.js';
import { buildEvaluation } from './evaluation/table.js';
import type { StatisticsOptions } from './evaluation/types.js';
import { generate } from './generation.js';
import type { GenerationOptions } from './generation-types.js';
import { headActivations } from './head-activations.js';
import type { Model } from './model.js';
import { checkOptionNames, optionNames } from './option-checks.js';

export { evaluationCsv, samplesParquet } from './evaluation/files.js';
export type { Answers, EvaluateOptions, EvaluationResult } from './evaluation/evaluate.js';
export type { Samples } from './evaluation/run.js';
export type {
  EvaluationProgress,
  EvaluationSettings,
  EvaluationTable,
  RowResult,
  SampleRecord,
  VariantResult,
} from './evaluation/types.js';

/** What a run of samples takes beside the options of an evaluation. */
export type AnswerOptions = EvaluateOptions &
  Pick<GenerationOptions, 'maxRows' | 'memoryBytes'> & {
    /** Name of the model in the results; default: its own. */
    readonly label?: string;
  };

const answerOptions = optionNames<AnswerOptions>({
  plan: true,
  controls: true,
  match: true,
  factors: true,
  ablation: true,
  references: true,
  positions: true,
  prompt: true,
  samples: true,
  sampling: true,
  maxNewTokens: true,
  stopStrings: true,
  stopTokens: true,
  seed: true,
  sources: true,
  shard: true,
  journal: true,
  onRemark: true,
  confidence: true,
  resamples: true,
  ks: true,
  maxRows: true,
  memoryBytes: true,
  label: true,
  signal: true,
  onProgress: true,
});

const promptForm = optionNames<PromptForm>({
  template: true,
  enableThinking: true,
  system: true,
  suffix: true,
});

const mergeOptions = optionNames<StatisticsOptions & { signal?: AbortSignal | undefined }>({
  confidence: true,
  resamples: true,
  ks: true,
  signal: true,
});

function checkArguments(
  call: string,
  { model, benchmark }: { model: Model; benchmark: Benchmark },
  options: AnswerOptions,
): void {
  checkModel(call, model);
  checkBenchmark(call, benchmark);
  checkOptionNames(call, options, answerOptions);
  const { plan, prompt, label, journal } = options;
  if (plan !== undefined) checkPlan(call, plan);
  if (benchmark.problems.length === 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${call}: the benchmark ${benchmark.name} has no problems.`,
    );
  }
  if (prompt !== undefined) checkOptionNames(`${call}: prompt`, prompt, promptForm);
  if (label !== undefined) checkText(call, 'the label', label);
  if (journal !== undefined) checkText(call, 'the journal', journal);
}

function subjectOf(
  model: Model,
  { maxRows, memoryBytes, label }: AnswerOptions,
): EvaluationSubject {
  return {
    info: label === undefined ? model.info : { ...model.info, label },
    tokenizer: model.tokenizer,
    chatTemplate: model.chatTemplate,
    fingerprint: model.fingerprint(),
    generate: (requests: Parameters<typeof generate>[1], own: GenerationOptions) =>
      generate(model, requests, {
        ...own,
        ...(maxRows === undefined ? {} : { maxRows }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }),
    activations: (sequences, own) => headActivations(model, sequences, own),
  };
}

/**
 * The samples of `evaluate` alone, without any statistics: what takes the time. `mergeEvaluations`
 * makes the table from their journals.
 * @throws as `evaluate` does.
 */
export async function answerBenchmark(
  model: Model,
  benchmark: Benchmark,
  options: AnswerOptions = {},
): Promise<Answers> {
  checkArguments('answerBenchmark', { model, benchmark }, options);
  return withCallbacks(options, (own) =>
    model.lend((lent) => answerSubject(subjectOf(lent, own), benchmark, own)),
  );
}

/**
 * Lets a model answer a benchmark, unablated and with every set of heads of `plan` gated by every factor
 * (z' = factor * z + (1 - factor) * r at the input of the output projection), every set beside its matched random
 * control sets, all in one decode batch.
 *
 * Each row carries accuracy, pass@k, success@k and the majority vote with bootstrap intervals over
 * problems; the change against the unablated model with McNemar's exact test and a permutation
 * test, corrected over the rows (Holm); the comparison with the controls; and its failure modes. The
 * power line says which change a run of this size could show at all.
 *
 * With `journal` every finished sample is a synced line: a run killed at any moment and started again
 * gives the same bytes. A sample depends on the run's seed, its problem and its number alone.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for options and heads that do not fit, _PAIR_FORMAT for
 *   problems that hold special tokens, _TOKENIZER, _SETTINGS_MISMATCH and _FILE_CORRUPT for the
 *   journal, _OUT_OF_MEMORY, _CANCELLED.
 */
export async function evaluate(
  model: Model,
  benchmark: Benchmark,
  options: AnswerOptions = {},
): Promise<EvaluationResult> {
  checkArguments('evaluate', { model, benchmark }, options);
  return withCallbacks(options, (own) =>
    model.lend((lent) => evaluateSubject(subjectOf(lent, own), benchmark, own)),
  );
}

/**
 * The table of several shards, from their journals; without a model.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ, _INVALID_ARGUMENT for
 *   missing samples, _FILE_CORRUPT, _FILE_NOT_FOUND.
 */
export async function mergeEvaluations(
  journals: readonly string[],
  options: StatisticsOptions & { signal?: AbortSignal | undefined } = {},
): Promise<EvaluationResult> {
  checkTexts('mergeEvaluations', 'journals', journals);
  checkOptionNames('mergeEvaluations', options, mergeOptions);
  const merged = await mergeJournals(journals);
  const table = await buildEvaluation({ ...merged, ...options });
  return { table, samples: merged.samples, own: merged.own };
}
