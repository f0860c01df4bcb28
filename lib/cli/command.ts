// What a command is: its usage, the options it takes from the vocabulary, and its action.

import type { Arguments } from './arguments.js';
import type { Context } from './context.js';
import type { OptionName } from './vocabulary.js';

export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  /** What completion offers. */
  readonly choices?: readonly string[];
  /** Takes the rest of the line. */
  readonly rest?: true;
}

export interface Command {
  readonly name: string;
  /** yargs' form: `attribute <model>`. */
  readonly usage: string;
  readonly describe: string;
  readonly positionals: readonly PositionalSpec[];
  readonly options: readonly OptionName[];
  /** What options do here, where the vocabulary's words do not say it. */
  readonly meanings?: Readonly<Partial<Record<OptionName, string>>>;
  /** Options that may be given several times. */
  readonly multiple?: readonly OptionName[];
  /** Prints its result as it comes: where it writes no file, it ends when nobody reads that. */
  readonly streams?: true;
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [string, string])[];
  /** Does the work, prints for a person, and returns what --json prints. */
  run(args: Arguments, context: Context): Promise<unknown>;
}
