// The journal of `ablate`, `evaluate` and `generate`: where it lies, and what is said of it.

import type { Arguments } from './arguments.js';
import type { Output } from './outputs.js';

export interface JournalPlace {
  readonly path: string;
  /** Removed once the results are written. */
  readonly temporary: boolean;
}

/** The one of --journal, or one beside --out. */
export function journalOf(args: Arguments): JournalPlace | undefined {
  const [journal, out] = [args.text('journal'), args.text('out')];
  if (journal !== undefined) return { path: journal, temporary: false };
  return out === undefined ? undefined : { path: `${out}.journal`, temporary: true };
}

export const journalOutput = (journal: JournalPlace | undefined): Output => ({
  option: journal?.temporary ? '--out' : '--journal',
  path: journal?.path,
  kind: 'file',
});

/** What an interrupted run says. */
export function resumeHintOf(journal: JournalPlace | undefined): string {
  return journal
    ? `${journal.path} keeps what is finished: run the same command again to go on from there.`
    : 'Nothing was kept; with --out or --journal a run can be resumed.';
}
