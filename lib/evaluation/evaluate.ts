// An evaluation with the model reduced to what it needs. lib/evaluation.ts puts a real model behind
// it; tests put in a fake.
import type { CallbackResult } from '../callbacks.js';
import type { Shard } from '../shard.js';
import { answerSources, type AnswerSource } from '../answers/extract.js';
import { ablationKinds, type AblationKind } from '../ablation-kinds.js';
import { checkTexts } from '../argument-checks.js';
import { controlMatches, type AblationPlan, type ControlMatch } from '../ablation/types.js';
import {
  benchmarkPrompts,
  promptText,
  resolvePromptForm,
  type PromptForm,
  type PromptModel,
} from '../benchmarks/prompts.js';
import type { Benchmark } from '../benchmarks/types.js';
import { HeadsparkError } from '../errors.js';
import type { SamplingOptions } from '../generation-types.js';
import { checkFactors, formatHead, gatePositions, type GatePositions } from '../head-gate.js';
import { oneOf, wholeNumber } from '../option-checks.js';
import { checkConfidence } from '../stats/quantile.js';
import { version } from '../version.js';
import { evaluationVariants, shardProblems } from './plan.js';
import { checkReferences, referenceProblems, type Activations } from './replacements.js';
import { runSamples, type EvaluationRun, type Generate, type Samples } from './run.js';
import { buildEvaluation, checkKs } from './table.js';
import type {
  EvaluationProgress,
  EvaluationSettings,
  EvaluationTable,
  EvaluationVariant,
  StatisticsOptions,
} from './types.js';

/**
 * How a benchmark is asked, and what is gated. Without options: every problem once, greedily, by
 * the unablated model, at most 2,048 new tokens each.
 */
export interface EvaluateOptions extends StatisticsOptions {
  /** Sets of heads to gate; default: only the unablated model. */
  readonly plan?: AblationPlan | undefined;
  /** Matched random control sets for every set; default 0. */
  readonly controls?: number | undefined;
  /** What control sets have in common with the set: `layer` (default) or `write-norm`. */
  readonly match?: ControlMatch | undefined;
  /**
   * Factors of the gated heads, each a variant of every set: 0 ablates, 0.5 weakens, 1.3 amplifies.
   * Default [0].
   */
  readonly factors?: readonly number[] | undefined;
  /** What a closed gate puts in a head's place; default `zero`. See `referenceProblems`. */
  readonly ablation?: AblationKind | undefined;
  /**
   * Problems whose unablated runs (prompt and at most 256 greedy tokens) the means or the resampled
   * activations come from, drawn by the seed; default 32.
   */
  readonly references?: number | undefined;
  /** Where heads are gated; default `all`. */
  readonly positions?: GatePositions | undefined;
  /** How problems are asked. */
  readonly prompt?: PromptForm | undefined;
  /** Samples per problem; default 1. */
  readonly samples?: number | undefined;
  /** Default: greedy with one sample, temperature 0.6 and top-p 0.95 with several (the paper's). */
  readonly sampling?: SamplingOptions | undefined;
  /** Default 2048. */
  readonly maxNewTokens?: number | undefined;
  /** Texts that end an answer. */
  readonly stopStrings?: readonly string[] | undefined;
  /** Ids that end an answer beside the tokenizer's end-of-sequence ids. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Of the samples, the control sets and the statistics; default 0. */
  readonly seed?: number | undefined;
  /** Ways of giving an answer that count; default all. */
  readonly sources?: readonly AnswerSource[] | undefined;
  /** Only this part of the problems. */
  readonly shard?: Shard | undefined;
  /** JSONL file that keeps finished samples: a run can be resumed, and shards can be merged. */
  readonly journal?: string | undefined;
  /** Called where lines of the journal are damaged: what they held is computed again. */
  readonly onRemark?: ((remark: string) => CallbackResult) | undefined;
  /** Aborting rejects with ERR_HEADSPARK_CANCELLED; a journal keeps what is finished. */
  readonly signal?: AbortSignal | undefined;
  /** After every sample, and now and then between. */
  readonly onProgress?: ((progress: EvaluationProgress) => CallbackResult) | undefined;
}

/** What is used of a model. */
export interface EvaluationSubject extends PromptModel {
  readonly info: PromptModel['info'] & {
    readonly layers: number;
    readonly heads: number;
    readonly headDim: number;
    readonly device: string;
    readonly isa: string;
    readonly precision: string;
  };
  readonly fingerprint: string;
  readonly generate: Generate;
  readonly activations: Activations;
}

/** The samples of a run, before anything is computed from them. */
export interface Answers {
  readonly settings: EvaluationSettings;
  readonly samples: Samples;
  /** Indexes of the problems that were answered. */
  readonly own: readonly number[];
}

/** What `evaluate` gives: the statistics, and the samples that they are of. */
export interface EvaluationResult extends Omit<Answers, 'settings'> {
  /** Accuracies, changes, failure modes and what the run could show. */
  readonly table: EvaluationTable;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** The paper's sampling (temperature 0.6, top-p 0.95) where several samples are drawn. */
function samplingOf(sampling: SamplingOptions, samples: number): Required<SamplingOptions> {
  const paper = samples > 1 && sampling.temperature === undefined;
  const { temperature = paper ? 0.6 : 0, topP = paper ? 0.95 : 1 } = sampling;
  const { topK = 0, minP = 0, repetitionPenalty = 1 } = sampling;
  return { temperature, topP, topK, minP, repetitionPenalty };
}

function checkOptions(options: EvaluateOptions): void {
  const { factors = [0], positions = 'all', sources = answerSources, confidence = 0.95 } = options;
  oneOf('match', options.match, { allowed: controlMatches, fallback: 'layer' });
  oneOf('ablation', options.ablation, { allowed: ablationKinds, fallback: 'zero' });
  checkFactors(factors);
  if (!gatePositions.includes(positions)) {
    throw invalid(`positions "${String(positions)}" are unknown: use ${gatePositions.join(', ')}.`);
  }
  checkTexts('evaluate', 'sources', sources);
  const unknown = sources.find((source) => !answerSources.includes(source));
  if (unknown !== undefined || sources.length === 0) {
    throw invalid(`answer sources are ${answerSources.join(', ')}; got "${unknown ?? 'none'}".`);
  }
  checkConfidence(confidence);
}

interface PlannedEvaluation {
  readonly variants: readonly EvaluationVariant[];
  readonly notes: readonly string[];
}

/** [layers, heads] mean write norms over the prompts of the reference problems, where controls need them. */
async function writeNormsOf(
  subject: EvaluationSubject,
  benchmark: Benchmark,
  options: EvaluateOptions,
): Promise<Float32Array | undefined> {
  const { plan, match = 'layer', controls = 0, signal, references = defaultReferences } = options;
  if (!plan || match === 'layer' || controls === 0) return undefined;
  const form = resolvePromptForm(options.prompt ?? {}, subject, benchmark.suffix);
  const chosen = referenceProblems(benchmark.problems.length, references, options.seed ?? 0);
  const problems = chosen.map((problem) => benchmark.problems[problem]);
  const prompts = benchmarkPrompts({ ...benchmark, problems }, form, subject);
  const own = { rows: 'mean', writeNorms: true, signal } as const;
  return (await subject.activations(prompts, own)).writeNorms;
}

const defaultReferences = 32;

/** Ids of the reference problems; none for zero ablation and where nothing is gated. */
function referencesOf(benchmark: Benchmark, options: EvaluateOptions, seed: number): string[] {
  const { ablation = 'zero', plan } = options;
  const wanted = wholeNumber('references', options.references, {
    low: 1,
    high: 100_000,
    fallback: defaultReferences,
  });
  if (ablation === 'zero' || !plan) return [];
  const chosen = referenceProblems(benchmark.problems.length, wanted, seed);
  checkReferences(ablation, chosen.length);
  return chosen.map((problem) => benchmark.problems[problem].id);
}

function settingsOf(
  subject: EvaluationSubject,
  benchmark: Benchmark,
  parts: PlannedEvaluation & { options: EvaluateOptions; seed: number },
): EvaluationSettings {
  const { options, variants, notes, seed } = parts;
  const samples = wholeNumber('samples', options.samples, { low: 1, high: 100_000, fallback: 1 });
  return {
    verb: 'evaluate',
    headspark: version,
    model: subject.info.label,
    modelFingerprint: subject.fingerprint,
    device: subject.info.device,
    isa: subject.info.isa,
    precision: subject.info.precision,
    benchmark: benchmark.name,
    benchmarkHash: benchmark.hash,
    problems: benchmark.problems.map(({ id }) => id),
    prompt: resolvePromptForm(options.prompt ?? {}, subject, benchmark.suffix),
    variants: variants.map(({ heads, ...variant }) => ({
      ...variant,
      heads: heads.map(formatHead),
    })),
    factors: options.factors ?? [0],
    ablation: options.ablation ?? 'zero',
    match: options.match ?? 'layer',
    references: referencesOf(benchmark, options, seed),
    positions: options.positions ?? 'all',
    samples,
    sampling: samplingOf(options.sampling ?? {}, samples),
    maxNewTokens: wholeNumber('maxNewTokens', options.maxNewTokens, {
      low: 1,
      high: 1_000_000,
      fallback: 2048,
    }),
    stopStrings: options.stopStrings ?? [],
    stopTokens: options.stopTokens ?? [],
    seed,
    sources: options.sources ?? answerSources,
    modulus: benchmark.modulus ?? null,
    planNotes: notes,
  };
}

function runOf(
  subject: EvaluationSubject,
  benchmark: Benchmark,
  parts: { settings: EvaluationSettings; variants: readonly EvaluationVariant[] },
): EvaluationRun {
  const { settings, variants } = parts;
  const first = promptText(benchmark.problems[0], settings.prompt, subject);
  return {
    settings,
    variants,
    problems: benchmark.problems,
    promptOf: (problem) => {
      const own = { ...benchmark, problems: [benchmark.problems[problem]] };
      return benchmarkPrompts(own, settings.prompt, subject)[0];
    },
    stopTokens: [...subject.tokenizer!.eosIds, ...settings.stopTokens],
    opensThought: /<think>\s*$/.test(first),
    // A stop token was taken off before; other special tokens may be part of the form (<think>).
    decode: (tokens) => subject.tokenizer!.decode(tokens, { skipSpecialTokens: false }),
    generate: subject.generate,
    activations: subject.activations,
    activationWidth: subject.info.layers * subject.info.heads * subject.info.headDim,
  };
}

const shardName = (shard: Shard | undefined): string | null =>
  shard ? `${shard.index}/${shard.count}` : null;

/** Plans and runs (or resumes) without computing statistics; see `evaluate`. */
export async function answerSubject(
  subject: EvaluationSubject,
  benchmark: Benchmark,
  options: EvaluateOptions = {},
): Promise<Answers> {
  checkOptions(options);
  const high = Number.MAX_SAFE_INTEGER;
  const seed = wholeNumber('seed', options.seed, { low: 0, high, fallback: 0 });
  const controls = wholeNumber('controls', options.controls, {
    low: 0,
    high: 100_000,
    fallback: 0,
  });
  const { layers, heads } = subject.info;
  const { variants, notes } = evaluationVariants(options.plan, {
    shape: { layers, heads },
    factors: options.factors ?? [0],
    controls,
    seed,
    writeNorms: await writeNormsOf(subject, benchmark, options),
  });
  const settings = settingsOf(subject, benchmark, { options, variants, notes, seed });
  const own = shardProblems(benchmark.problems.length, options.shard);
  const run = runOf(subject, benchmark, { settings, variants });
  const { journal, signal, onProgress, onRemark } = options;
  const samples = await runSamples(run, {
    own,
    journal:
      journal === undefined
        ? undefined
        : { path: journal, shard: shardName(options.shard), onRemark },
    signal,
    onProgress,
  });
  return { settings, samples, own };
}

/** Plans, runs (or resumes) and evaluates; see `evaluate` for options and errors. */
export async function evaluateSubject(
  subject: EvaluationSubject,
  benchmark: Benchmark,
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const { signal, confidence, resamples, ks } = options;
  if (ks) checkKs(ks, options.samples ?? 1);
  const { settings, samples, own } = await answerSubject(subject, benchmark, options);
  const table = await buildEvaluation({
    settings,
    own,
    samples,
    signal,
    ...(confidence === undefined ? {} : { confidence }),
    ...(resamples === undefined ? {} : { resamples }),
    ...(ks === undefined ? {} : { ks }),
  });
  return { table, samples, own };
}
