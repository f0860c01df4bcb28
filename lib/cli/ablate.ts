// `headspark ablate`: gates heads while the model answers pairs, against matched random sets.

import { rm } from 'node:fs/promises';
import type { Metric } from '../attribution.js';
import type { AblationKind } from '../ablation-kinds.js';
import { ablate, ablationCsv, type ControlMatch } from '../ablation.js';
import { writeFileAtomic } from '../atomic-file.js';
import type { GatePositions } from '../head-gate.js';
import { checkPlanOptions, factorsOf, planOf } from './ablation-plan.js';
import { printAblation } from './ablation-table.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { runAblationByGeneration } from './evaluation-run.js';
import type { Context } from './context.js';
import { loadFrom, pairsFrom } from './inputs.js';
import { journalOf, journalOutput, resumeAnnouncer, resumeHintOf } from './journal-option.js';
import { formatPercent } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups, type OptionName } from './vocabulary.js';

const describe = (args: Arguments, factors: readonly number[]): string => {
  const kind = args.choice<AblationKind>('ablation');
  const positions = args.choice<GatePositions>('positions');
  const list = factors.join(', ');
  const what = list === '0' ? `${kind} ablation` : `heads times ${list} (${kind})`;
  return positions === 'all' ? what : `${what}, ${positions} positions`;
};

async function write(
  results: { path: string | undefined; text: () => string }[],
  { context, resumes }: { context: Context; resumes: boolean },
): Promise<void> {
  for (const { path, text } of results) {
    if (path === undefined) continue;
    await writeFileAtomic(path, text(), { resumes });
    context.print(`\nWrote ${path}`);
  }
}

/** What `--generate` alone reads. */
const answerOptions: readonly OptionName[] = [
  ...optionGroups.benchmark,
  ...optionGroups.sampling,
  'references',
];

/** Throws for options of a benchmark whose results would silently not be there. */
function checkWithoutGenerate(args: Arguments): void {
  const given = (['benchmark', 'shard', 'parquet'] as const).find((name) => args.has(name));
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
    shard: 'takes a part of the problems of a benchmark',
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

export const ablateCommand: Command = {
  name: 'ablate',
  usage: 'ablate <model>',
  describe: 'Ablate or scale heads and compare with matched random sets',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'heads',
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
  },
  multiple: ['stop', 'stop-token'],
  examples: [
    ['$0 ablate ./sft --pairs p.jsonl --diff diff.json --top-k 10', 'emergent heads, one by one'],
    ['$0 ablate ./sft --pairs p.jsonl --heads "3.1,5.0;4.*"', 'two sets of heads'],
    ['$0 ablate ./sft --pairs p.jsonl --single --ablation mean', 'every head by itself'],
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
    const [out, csv] = [args.text('out'), args.text('csv')];
    const [factors, resamples] = [factorsOf(args), resamplesOf(args, context)];
    const journal = journalOf(args);
    await checkOutputs(args, [
      fileOutput(args, 'out', ['.json']),
      fileOutput(args, 'csv', ['.csv']),
      journalOutput(journal),
    ]);
    const model = await loadFrom(args.positional('model'), args, context);
    const { plan, notes } = await planOf(args, model, context);
    const { pairs, name } = await pairsFrom(model, args, context);
    context.resumeHint = resumeHintOf(journal);
    const announce = resumeAnnouncer(journal?.path, 'variants', context);
    context.print(
      `${context.paint('bold', model.info.label)}: ${describe(args, factors)} on ${name}`,
    );
    const measured = await context.task('ablate', 'variants', ({ onCount, reporter }) =>
      ablate(model, pairs, {
        plan,
        controls: args.value('controls'),
        match: args.choice<ControlMatch>('match'),
        seed: args.value('seed'),
        factors,
        ablation: args.choice<AblationKind>('ablation'),
        metric: args.choice<Metric>('metric'),
        positions: args.choice<GatePositions>('positions'),
        confidence: args.value('confidence'),
        ...(resamples === undefined ? {} : { resamples }),
        ...(journal ? { journal: journal.path } : {}),
        signal: context.signal,
        onPlan: ({ variants, computedShare }) =>
          reporter.note(
            `${variants} variants: ${formatPercent(computedShare, 0)} of their layers are computed; ` +
              'the rest is shared with the unablated run or between variants.',
          ),
        onProgress: (done, total) => {
          announce(done, total);
          onCount(done, total);
        },
      }),
    );
    model.dispose();
    // Notes that were printed before the run are in the result, too.
    printAblation(measured, context, args.value('top'));
    const table = { ...measured, notes: [...notes, ...measured.notes] };
    const json = (): string => `${JSON.stringify(table)}\n`;
    await write(
      [
        { path: out, text: json },
        { path: csv, text: () => ablationCsv(table) },
      ],
      { context, resumes: journal !== undefined },
    );
    if (journal?.temporary) await rm(journal.path, { force: true });
    return table;
  },
};
