// What `evaluate` and `ablate --generate` share: from arguments to a finished table and its files.

import { rm } from 'node:fs/promises';
import type { AblationKind } from '../ablation-kinds.js';
import type { ControlMatch } from '../ablation.js';
import { answerSources, type AnswerSource } from '../answers/extract.js';
import { writeFileAtomic } from '../atomic-file.js';
import { resolvePromptForm } from '../benchmarks/prompts.js';
import { readBenchmark } from '../benchmarks/read.js';
import { repeatedProblemsRemark } from '../benchmarks/repeated.js';
import type { Benchmark } from '../benchmarks/types.js';
import {
  evaluate,
  evaluationCsv,
  samplesParquet,
  type EvaluateOptions,
  type EvaluationProgress,
  type EvaluationResult,
} from '../evaluation.js';
import { checkReferences } from '../evaluation/replacements.js';
import { checkStopTokens } from '../generation-requests.js';
import type { GatePositions } from '../head-gate.js';
import type { ProgressReporter } from '../progress.js';
import { factorsOf, namesHeads, planOf } from './ablation-plan.js';
import { usageError, type Arguments } from './arguments.js';
import type { Context } from './context.js';
import { printEvaluation } from './evaluation-table.js';
import { journalOf, journalOutput, resumeHintOf, shardOf } from './journal-option.js';
import { parseBytes } from './byte-size.js';
import { loadFrom } from './inputs.js';
import { plural } from './output.js';
import { checkOutputs, fileOutput, type Output } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { given, samplingOf } from './sampling.js';
import { refuseUnread } from './unread-options.js';

function sourcesOf(args: Arguments): readonly AnswerSource[] {
  const choice = args.choice<'any' | AnswerSource>('answer-from');
  return choice === 'any' ? answerSources : [choice];
}

async function benchmarkFrom(args: Arguments): Promise<Benchmark> {
  const name = args.text('benchmark');
  if (name === undefined) {
    throw usageError('say what to answer: --benchmark gsm8k (or another name, or a file).');
  }
  const limit = args.number('count');
  return readBenchmark(name, {
    folder: args.text('data') ?? 'data',
    ...(limit === undefined ? {} : { limit }),
  });
}

/** `812 tokens/s; unablated 12 done, 228 left; a0.h5 3 done, 237 left; 104 more variants`. */
export function describeProgress(progress: EvaluationProgress, seconds: number): string {
  const open = progress.variants.filter(({ done, total }) => done < total);
  const shown = open
    .slice(0, 2)
    .map(({ name, done, total }) => `${name} ${done} done, ${total - done} left`);
  const more = open.length - shown.length;
  const rate = seconds > 0 ? [`${Math.round(progress.tokens / seconds)} tokens/s`] : [];
  return [...rate, ...shown, ...(more > 0 ? [`${more} more variants`] : [])].join('; ');
}

/** Feeds the reporter, and says once what an earlier run finished. */
function progressOf(reporter: ProgressReporter, path: string | undefined, context: Context) {
  let start: number | undefined;
  return (progress: EvaluationProgress): void => {
    const now = performance.now();
    if (start === undefined) {
      start = now;
      if (progress.done > 0 && path !== undefined) {
        const count = `${progress.done} of ${progress.total} samples`;
        context.warn(`${path} holds ${count}; going on from there.`);
      }
    }
    const detail = describeProgress(progress, (now - start) / 1000);
    reporter.update(progress.done, progress.total, detail);
  };
}

function optionsOf(args: Arguments, controls: number): EvaluateOptions {
  const [shard, thinking] = [shardOf(args), args.switch('enable-thinking')];
  const template = args.optionalChoice<'chat' | 'plain'>('template');
  return {
    controls,
    factors: factorsOf(args),
    ablation: args.choice<AblationKind>('ablation'),
    references: args.value('references'),
    positions: args.choice<GatePositions>('positions'),
    prompt: given({
      template,
      enableThinking: thinking,
      system: args.text('system'),
      suffix: args.text('suffix'),
    }),
    samples: args.value('samples'),
    sampling: samplingOf(args),
    ...given({ maxNewTokens: args.number('max-new-tokens') }),
    stopStrings: args.list('stop'),
    stopTokens: args.numbers('stop-token'),
    seed: args.value('seed'),
    sources: sourcesOf(args),
    confidence: args.value('confidence'),
    ...(shard === undefined ? {} : { shard }),
  };
}

/** What `writeEvaluation` writes. */
export const evaluationOutputs = (args: Arguments): Output[] => [
  fileOutput(args, 'out', ['.json']),
  fileOutput(args, 'csv', ['.csv']),
  fileOutput(args, 'parquet', ['.parquet']),
];

/** Writes --out, --csv and --parquet. `resumes`: whether a journal keeps the samples. */
export async function writeEvaluation(
  result: EvaluationResult,
  args: Arguments,
  { context, resumes }: { context: Context; resumes: boolean },
): Promise<void> {
  const { table, own, samples } = result;
  const files = [
    { path: args.text('out'), data: () => `${JSON.stringify(table)}\n` },
    { path: args.text('csv'), data: () => evaluationCsv(table) },
    { path: args.text('parquet'), data: () => samplesParquet(table.settings, own, samples) },
  ];
  for (const { path, data } of files) {
    if (path === undefined) continue;
    await writeFileAtomic(path, await data(), { resumes });
    context.print(`\nWrote ${path}`);
  }
}

export interface EvaluationCommandOptions {
  /** Whether heads must be named. */
  readonly needsHeads: boolean;
  readonly controls: number;
  readonly match?: ControlMatch;
}

/** Runs a benchmark as the arguments say; returns what --json prints. */
export async function runEvaluation(
  args: Arguments,
  context: Context,
  { needsHeads, controls, match }: EvaluationCommandOptions,
): Promise<unknown> {
  if (args.choice<AblationKind>('ablation') === 'zero') {
    const why = 'gives means and other runs: add --ablation mean or resample, or leave it out.';
    refuseUnread(args, ['references'], why);
  }
  const [options, resamples] = [optionsOf(args, controls), resamplesOf(args, context)];
  shardOf(args); // refuses one without a journal before anything is read
  const journal = journalOf(args);
  await checkOutputs(args, [...evaluationOutputs(args), journalOutput(journal)]);
  const benchmark = await benchmarkFrom(args);
  const model = await loadFrom(args.positional('model'), args, context);
  checkStopTokens(options.stopTokens ?? [], model);
  const { plan, notes } =
    needsHeads || namesHeads(args)
      ? await planOf(args, model, context)
      : { plan: undefined, notes: [] };
  // Refused before anything is printed, and before a long run.
  resolvePromptForm(options.prompt ?? {}, model, benchmark.suffix);
  if (plan) {
    const references = Math.min(options.references!, benchmark.problems.length);
    checkReferences(options.ablation!, references);
  }
  context.resumeHint = resumeHintOf(journal);
  const count = plural(benchmark.problems.length, 'problem');
  context.print(`${context.paint('bold', model.info.label)} on ${benchmark.name} (${count})`);
  const repeated = repeatedProblemsRemark(benchmark);
  if (repeated !== undefined) context.warn(repeated);
  const [rows, memory] = [args.number('max-rows'), args.text('memory')];
  const measured = await context.task('evaluate', 'samples', ({ reporter, onRemark }) =>
    evaluate(model, benchmark, {
      ...options,
      ...(plan ? { plan } : {}),
      ...(match ? { match } : {}),
      ...(resamples === undefined ? {} : { resamples }),
      ...(journal ? { journal: journal.path } : {}),
      ...(rows === undefined ? {} : { maxRows: rows }),
      ...(memory === undefined ? {} : { memoryBytes: parseBytes(memory) }),
      signal: context.signal,
      onRemark,
      onProgress: progressOf(reporter, journal?.path, context),
    }),
  );
  model.dispose();
  // Notes that were printed before the run are in the result, too.
  printEvaluation(measured.table, context, args.value('top'));
  const table = { ...measured.table, notes: [...notes, ...measured.table.notes] };
  const result = { ...measured, table };
  await writeEvaluation(result, args, { context, resumes: journal !== undefined });
  if (journal?.temporary) await rm(journal.path, { force: true });
  return table;
}

/** `ablate --generate`. */
export async function runAblationByGeneration(args: Arguments, context: Context): Promise<unknown> {
  for (const option of ['pairs', 'task'] as const) {
    if (args.text(option) === undefined) continue;
    throw usageError(`--${option} is not read with --generate; give --benchmark instead.`);
  }
  const why = 'is of pairs, which are not read with --generate; leave it out.';
  refuseUnread(args, ['metric', 'skip-unfit'], why);
  return runEvaluation(args, context, {
    needsHeads: true,
    controls: args.value('controls'),
    match: args.choice<ControlMatch>('match'),
  });
}
