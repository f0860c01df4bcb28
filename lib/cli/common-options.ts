// Options that are about the command line itself.

import type { OptionSpec } from './option-types.js';

const output = 'Output:';

export const commonOptions = {
  measure: {
    type: 'boolean',
    group: output,
    describe: 'measure peak arithmetic and memory bandwidth (about 2 s)',
  },
  json: {
    type: 'boolean',
    group: output,
    describe: 'results as JSON on stdout, nothing else there',
  },
  quiet: { type: 'boolean', group: output, describe: 'print errors only' },
  debug: { type: 'boolean', group: output, describe: 'show the stack of an error' },
  config: { type: 'string', group: output, describe: 'options from a JSON or YAML file' },
} as const satisfies Record<string, OptionSpec>;
