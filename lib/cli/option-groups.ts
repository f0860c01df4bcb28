// Options that several commands take together.
import type { OptionName } from './vocabulary.js';

const every = ['json', 'quiet', 'debug', 'config'] as const;

/** Options that name a file or folder to be read, which no result may overwrite. */
export const inputOptions: readonly OptionName[] = [
  'model',
  'adapter',
  'base',
  'pairs',
  'prompts',
  'benchmark',
  'heads-file',
  'diff',
  'config',
];

/** Groups of options that several commands share. */
export const optionGroups = {
  every,
  model: [
    'adapter',
    'base',
    'threads',
    'memory',
    'device',
    'precision',
    'batch-tokens',
    'share-prefix',
    'offline',
    'revision',
  ],
  pairs: ['pairs', 'task', 'count', 'skip-unfit', 'metric', 'enable-thinking'],
  benchmark: [
    'benchmark',
    'data',
    'template',
    'system',
    'suffix',
    'samples',
    'answer-from',
    'shard',
  ],
  sampling: [
    'temperature',
    'top-p',
    'top-k-tokens',
    'min-p',
    'repetition-penalty',
    'max-new-tokens',
    'stop',
    'stop-token',
    'max-rows',
  ],
  selection: ['top-n', 'tau', 'tau-all', 'greedy', 'ranking', 'prune'],
} as const satisfies Record<string, readonly OptionName[]>;
