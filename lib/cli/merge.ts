// `headspark merge`: one table from the journals of shards.

import { mergeEvaluations } from '../evaluation.js';
import type { Command } from './command.js';
import { evaluationOutputs, writeEvaluation } from './evaluation-run.js';
import { printEvaluation } from './evaluation-table.js';
import { checkOutputs } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { optionGroups } from './vocabulary.js';

export const mergeCommand: Command = {
  name: 'merge',
  usage: 'merge <journals..>',
  describe: 'Join the journals of evaluation shards into one result',
  positionals: [
    { name: 'journals', describe: 'journals of evaluate or ablate --generate', rest: true },
  ],
  options: ['out', 'csv', 'parquet', 'top', 'confidence', 'resamples', ...optionGroups.every],
  examples: [['$0 merge 1.jsonl 2.jsonl --out result.json', 'both halves of a run']],
  async run(args, context) {
    const resamples = resamplesOf(args, context);
    await checkOutputs(evaluationOutputs(args));
    const result = await mergeEvaluations(args.positionals('journals'), {
      confidence: args.value('confidence'),
      ...(resamples === undefined ? {} : { resamples }),
      signal: context.signal,
    });
    printEvaluation(result.table, context, args.value('top'));
    await writeEvaluation(result, args, { context, resumes: false });
    return result.table;
  },
};
