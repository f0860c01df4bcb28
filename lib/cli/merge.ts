// `headspark merge`: one table from the journals of shards.

import { existsSync } from 'node:fs';
import { mergeAblations } from '../ablation.js';
import { mergeAttributions } from '../attribution.js';
import { scoresPath } from '../attribution/journal.js';
import { mergeEvaluations } from '../evaluation.js';
import { journalVerb } from '../journal.js';
import { ablationOutputs, describeGates, writeAblation } from './ablation-run.js';
import { printAblation } from './ablation-table.js';
import { usageError, type Arguments } from './arguments.js';
import { finishScores, scoreOutputs } from './attribution-run.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { evaluationOutputs, writeEvaluation } from './evaluation-run.js';
import { printEvaluation } from './evaluation-table.js';
import { plural } from './output.js';
import { checkOutputs } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

async function mergeScores(journals: readonly string[], args: Arguments, context: Context) {
  for (const name of ['csv', 'parquet', 'resamples'] as const) {
    if (args.has(name)) throw usageError(`--${name} is of evaluations; scores go to --out.`);
  }
  refuseUnread(args, ['confidence'], 'is of evaluations; leave it out for scores.');
  const out = args.text('out');
  const outputs = out === undefined ? [] : [out];
  await checkOutputs(args, scoreOutputs(outputs));
  const start = performance.now();
  const result = await mergeAttributions(journals, { signal: context.signal });
  const { model, method, pairCount, task } = result.meta;
  context.print(
    `${context.paint('bold', model!)}: ${method}, ${plural(pairCount!, 'pair')} of ${task}, ` +
      `from ${plural(journals.length, 'shard')}`,
  );
  // As of attribute, whose --seed has no part in the scores.
  return finishScores(result, { outputs, top: args.value('top'), seed: 0, start }, context);
}

async function mergeSamples(journals: readonly string[], args: Arguments, context: Context) {
  const resamples = resamplesOf(args, context);
  await checkOutputs(args, evaluationOutputs(args));
  const result = await mergeEvaluations(journals, {
    confidence: args.value('confidence'),
    ...(resamples === undefined ? {} : { resamples }),
    signal: context.signal,
  });
  printEvaluation(result.table, context, args.value('top'));
  await writeEvaluation(result, args, { context, resumes: false });
  return result.table;
}

async function mergeVariants(journals: readonly string[], args: Arguments, context: Context) {
  if (args.has('parquet')) throw usageError('--parquet holds samples, which are of evaluations.');
  const resamples = resamplesOf(args, context);
  await checkOutputs(args, ablationOutputs(args));
  const table = await mergeAblations(journals, {
    confidence: args.value('confidence'),
    ...(resamples === undefined ? {} : { resamples }),
    signal: context.signal,
  });
  context.print(
    `${context.paint('bold', table.settings.model)}: ${describeGates(table.settings)}, ` +
      `from ${plural(journals.length, 'shard')}`,
  );
  printAblation(table, context, args.value('top'));
  await writeAblation(table, args, { context, resumes: false });
  return table;
}

export const mergeCommand: Command = {
  name: 'merge',
  usage: 'merge <journals..>',
  describe: 'Join the journals of shards into one result',
  positionals: [
    {
      name: 'journals',
      describe: 'journals of attribute, ablate or evaluate',
      rest: true,
    },
  ],
  options: ['out', 'csv', 'parquet', 'top', 'confidence', 'resamples', ...optionGroups.every],
  meanings: { out: 'table (.json) or scores (.json, .pt or .npy) to write' },
  examples: [
    ['$0 merge 1.jsonl 2.jsonl --out result.json', 'both halves of a run'],
    ['$0 merge *.journal --out scores.json', 'the scores of attribute --shard'],
    ['$0 merge *.jsonl --out ablation.json --csv ablation.csv', 'the table of ablate --shard'],
  ],
  async run(args, context) {
    const journals = args.positionals('journals');
    if (journals.some((path) => existsSync(scoresPath(path)))) {
      return mergeScores(journals, args, context);
    }
    const verbs = await Promise.all(journals.map(journalVerb));
    return verbs.includes('ablate')
      ? mergeVariants(journals, args, context)
      : mergeSamples(journals, args, context);
  },
};
