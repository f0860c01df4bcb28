// Options of a command that what else is on its line leaves without effect: refused rather than
// ignored. Those of a config file or of the environment are meant for other runs too and pass.

import { usageError, type Arguments } from './arguments.js';
import type { OptionName } from './vocabulary.js';

/** Throws for the first of these that the line gives; `why` is the rest of the sentence. */
export function refuseUnread(args: Arguments, names: readonly OptionName[], why: string): void {
  const name = names.find((option) => args.given(option));
  if (name !== undefined) throw usageError(`--${name} ${why}`);
}

/** Throws for options of gated heads where no heads are gated. */
export function refuseWithoutHeads(
  args: Arguments,
  names: readonly OptionName[],
  ways: string,
): void {
  refuseUnread(args, names, `acts on heads: name them with ${ways}, or leave it out.`);
}
