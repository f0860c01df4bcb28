// `headspark evaluate`: lets a model answer a benchmark, unablated and with heads gated.

import { checkPlanOptions, namesHeads } from './ablation-plan.js';
import type { Command } from './command.js';
import { runEvaluation } from './evaluation-run.js';
import { refuseWithoutHeads } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

export const evaluateCommand: Command = {
  name: 'evaluate',
  usage: 'evaluate <model>',
  describe: 'Answer a benchmark, also with heads ablated or scaled',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    ...optionGroups.benchmark,
    ...optionGroups.sampling,
    'count',
    'enable-thinking',
    'heads',
    'heads-file',
    'diff',
    'top-k',
    'group',
    'post',
    'factor',
    'ablation',
    'references',
    'positions',
    'journal',
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
    count: 'most problems to read; default: all',
    system: 'system message before each problem, through the chat template',
  },
  multiple: ['stop', 'stop-token'],
  examples: [
    ['$0 evaluate ./sft --benchmark demo --enable-thinking', 'greedy, one answer per problem'],
    ['$0 evaluate ./sft --benchmark aime24 --data ../data --samples 16', 'pass@k, majority vote'],
    ['$0 evaluate ./sft --benchmark p.jsonl --heads "3.1;4.*" --out r.json', 'two sets ablated'],
    ['$0 evaluate ./sft --benchmark gsm8k --shard 1/8 --journal 1.jsonl', 'an eighth, for merge'],
  ],
  async run(args, context) {
    checkPlanOptions(args, { optional: true });
    if (!namesHeads(args)) {
      const names = ['factor', 'ablation', 'references', 'positions'] as const;
      refuseWithoutHeads(args, names, '--heads, --heads-file or --diff');
    }
    return runEvaluation(args, context, { needsHeads: false, controls: 0 });
  },
};
