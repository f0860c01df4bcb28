// Options of `headspark heads`: whose attention, which maps, and the correlations.

import type { OptionSpec } from './option-types.js';

const heads = 'Heads:';

export const headOptions = {
  queries: {
    type: 'string',
    group: heads,
    choices: ['all', 'answer'],
    default: 'all',
    describe: 'whose attention: every token but the first, or the tokens before an answer',
  },
  effects: {
    type: 'boolean',
    group: heads,
    default: true,
    describe: 'with pairs: ablate every head alone and correlate; --no-effects leaves it out',
  },
  'think-marker': {
    type: 'string',
    group: heads,
    describe: 'text of a think marker instead of the usual ones (<think>, </think>, …)',
  },
  draw: {
    type: 'string',
    group: heads,
    describe: 'with --out: heads whose attention maps are drawn, as in --heads',
  },
  'draw-prompts': {
    type: 'string',
    group: heads,
    default: '1',
    describe: 'with --draw: prompts by number, for instance 1,3',
  },
} as const satisfies Record<string, OptionSpec>;
