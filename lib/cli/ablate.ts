// `headspark ablate`: gates heads while the model answers pairs, against matched random sets.

import { rm } from 'node:fs/promises';
import type { Metric } from '../attribution.js';
import type { AblationKind } from '../ablation-kinds.js';
import { ablate, ablateShard, type AblateShardOptions, type ControlMatch } from '../ablation.js';
import type { GatePositions } from '../head-gate.js';
import { checkPlanOptions, factorsOf, planOf } from './ablation-plan.js';
import { ablationOutputs, describeGates, writeAblation } from './ablation-run.js';
import { printAblation } from './ablation-table.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { runAblationByGeneration } from './evaluation-run.js';
import type { Context, Task } from './context.js';
import { loadFrom, pairsFrom } from './inputs.js';
import {
  journalOf,
  journalOutput,
  resumeAnnouncer,
  resumeHintOf,
  shardOf,
} from './journal-option.js';
import { formatPercent } from './output.js';
import { checkOutputs } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups, optionSpec, type OptionName } from './vocabulary.js';

/** What `--generate` alone reads. */
const answerOptions: readonly OptionName[] = [
  ...optionGroups.benchmark.filter((name) => name !== 'shard'),
  ...optionGroups.sampling,
  'references',
];

/** Throws for options of a benchmark whose results would silently not be there. */
function checkWithoutGenerate(args: Arguments): void {
  const given = (['benchmark', 'parquet'] as const).find((name) => args.has(name));
  if (given === undefined) {
    refuseUnread(
      args,
      answerOptions,
      'is of answers to a benchmark: add --generate, or leave it out.',
    );
    return;
  }
  const why = {
    benchmark: 'is answered by generating',
    parquet: 'holds the samples of a benchmark',
  }[given];
  throw usageError(`--${given} ${why}: add --generate.`);
}

/** As the library does, before a model is loaded. */
function checkPositions(args: Arguments): void {
  if (args.choice<GatePositions>('positions') !== 'generated') return;
  if (args.choice<Metric>('metric') === 'nll') return;
  throw usageError('--positions generated needs --metric nll, which has a continuation.');
}

/** Throws for options of the table, which a shard does not make. */
function checkOfShard(args: Arguments): void {
  const given = (['out', 'csv', 'confidence', 'resamples', 'top'] as const).find(
    (name) => args.has(name) && args.value(name) !== optionSpec(name).default,
  );
  if (given === undefined) return;
  throw usageError(`--shard writes its journal alone: give --${given} to headspark merge.`);
}

/** What decides the variants and their values, beside the plan. */
const settingsOf = (args: Arguments) => ({
  controls: args.value('controls'),
  match: args.choice<ControlMatch>('match'),
  seed: args.value('seed'),
  factors: factorsOf(args),
  ablation: args.choice<AblationKind>('ablation'),
  metric: args.choice<Metric>('metric'),
  positions: args.choice<GatePositions>('positions'),
});

/** What a run tells while it goes on. */
function hooksOf(
  { onJob, onRemark, reporter }: Task,
  journal: string | undefined,
  context: Context,
) {
  const announce = resumeAnnouncer(journal, 'variants', context);
  return {
    signal: context.signal,
    onRemark,
    onPlan: ({ variants, computedShare }) =>
      reporter.note(
        `${variants} variants: ${formatPercent(computedShare, 0)} of their layers are computed; ` +
          'the rest is shared with the unablated run or between variants.',
      ),
    onProgress: (progress) => {
      announce(progress.done, progress.total);
      onJob(progress);
    },
  } satisfies Partial<AblateShardOptions>;
}

export const ablateCommand: Command = {
  name: 'ablate',
  usage: 'ablate <model>',
  describe: 'Ablate or scale heads and compare with matched random sets',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'heads',
    'heads-file',
    'single',
    'diff',
    'top-k',
    'group',
    'post',
    'controls',
    'match',
    'factor',
    'ablation',
    'references',
    'positions',
    'journal',
    ...optionGroups.pairs,
    'generate',
    ...optionGroups.benchmark,
    ...optionGroups.sampling,
    'seed',
    'confidence',
    'resamples',
    'out',
    'csv',
    'parquet',
    'top',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  meanings: {
    count: 'pairs to generate (default 100), or most pairs or problems to read (default: all)',
    system: 'system message before each problem, through the chat template',
    positions:
      'where heads are gated; generated on pairs needs --metric nll and continuations of several tokens',
    shard:
      'only part i/n of the sets and random sets, with --generate of the problems; needs --journal, ' +
      'which headspark merge reads',
  },
  multiple: ['stop', 'stop-token'],
  examples: [
    ['$0 ablate ./sft --pairs p.jsonl --diff diff.json --top-k 10', 'emergent heads, one by one'],
    ['$0 ablate ./sft --pairs p.jsonl --heads "3.1,5.0;4.*"', 'two sets of heads'],
    [
      '$0 ablate ./sft --pairs p.jsonl --heads-file sets.jsonl',
      '{"name": "a", "heads": "3.1,5.0"}',
    ],
    ['$0 ablate ./sft --pairs p.jsonl --single --ablation mean', 'every head by itself'],
    [
      '$0 ablate ./sft --pairs p.jsonl --single --shard 1/8 --journal 1.jsonl',
      'an eighth, for merge',
    ],
    ['$0 ablate ./sft --pairs p.jsonl --heads 3.1 --factor 0,0.5,2', 'removed, halved, doubled'],
    ['$0 ablate ./sft --generate --benchmark gsm8k --heads 3.1', 'by solving problems'],
    ['$0 ablate ./sft --generate --benchmark gsm8k --heads 3.1 --ablation resample', 'swapped'],
  ],
  async run(args, context) {
    checkPlanOptions(args);
    if (args.flag('single')) {
      const why = 'is of random sets, against which single heads are not set; leave it out.';
      refuseUnread(args, args.value('controls') > 0 ? ['controls', 'match'] : ['match'], why);
    }
    if (args.flag('generate')) return runAblationByGeneration(args, context);
    checkWithoutGenerate(args);
    checkPositions(args);
    const shard = shardOf(args);
    if (shard) checkOfShard(args);
    const [settings, resamples] = [settingsOf(args), resamplesOf(args, context)];
    const journal = journalOf(args);
    await checkOutputs(args, [...ablationOutputs(args), journalOutput(journal)]);
    const model = await loadFrom(args.positional('model'), args, context);
    const { plan, notes } = await planOf(args, model, context);
    const { pairs, name } = await pairsFrom(model, args, context);
    context.resumeHint = resumeHintOf(journal);
    context.print(
      `${context.paint('bold', model.info.label)}: ${describeGates(settings)} on ${name}` +
        (shard ? `, shard ${args.text('shard')}` : ''),
    );
    const options = { ...settings, plan };
    if (shard) {
      const own = { ...options, shard, journal: journal!.path };
      const done = await context.task('ablate', 'variants', (task) =>
        ablateShard(model, pairs, { ...own, ...hooksOf(task, own.journal, context) }),
      );
      model.dispose();
      context.print(
        `  ${done.variants} of ${done.ofVariants} variants\n` +
          `Wrote ${own.journal}, for headspark merge`,
      );
      return { model: model.info.label, ...done };
    }
    const measured = await context.task('ablate', 'variants', (task) =>
      ablate(model, pairs, {
        ...options,
        confidence: args.value('confidence'),
        ...(resamples === undefined ? {} : { resamples }),
        ...(journal ? { journal: journal.path } : {}),
        ...hooksOf(task, journal?.path, context),
      }),
    );
    model.dispose();
    // Notes that were printed before the run are in the result, too.
    printAblation(measured, context, args.value('top'));
    const table = { ...measured, notes: [...notes, ...measured.notes] };
    await writeAblation(table, args, { context, resumes: journal !== undefined });
    if (journal?.temporary) await rm(journal.path, { force: true });
    return table;
  },
};
