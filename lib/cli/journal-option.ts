// The journal of a command that can be resumed: where it lies, and what is said of it.

import { parseShard, type Shard } from '../shard.js';
import { usageError, type Arguments } from './arguments.js';
import type { Context } from './context.js';
import type { Output } from './outputs.js';
import type { OptionName } from './vocabulary.js';

export interface JournalPlace {
  readonly path: string;
  /** The option that says where it lies. */
  readonly option: OptionName;
  /** Removed once the results are written. */
  readonly temporary: boolean;
}

/** Files that hold a run's results: a journal without a place of its own lies beside the first. */
const RESULTS = ['out', 'csv', 'parquet'] as const;

/** The one of --journal, or one beside the results. */
export function journalOf(args: Arguments): JournalPlace | undefined {
  const option = RESULTS.find((name) => args.has(name));
  return journalBeside(args, option, option && args.text(option));
}

/** The one of --journal, or one beside this file, which `option` names. */
export function journalBeside(
  args: Arguments,
  option: OptionName | undefined,
  file: string | undefined,
): JournalPlace | undefined {
  const journal = args.text('journal');
  if (journal !== undefined) return { path: journal, option: 'journal', temporary: false };
  if (option === undefined || file === undefined) return undefined;
  return { path: `${file}.journal`, option, temporary: true };
}

export const journalOutput = (journal: JournalPlace | undefined): Output => ({
  option: `--${journal?.option ?? 'journal'}`,
  path: journal?.path,
  kind: 'file',
});

/** The part of --shard. @throws a usage error without a journal, which is what merge reads. */
export function shardOf(args: Arguments): Shard | undefined {
  const shard = args.text('shard');
  if (shard === undefined) return undefined;
  if (!args.has('journal')) throw usageError('--shard needs --journal FILE, which merge reads.');
  return parseShard(shard);
}

/** Says once, at the first report of progress, what a journal holds; `units` as in `variants`. */
export function resumeAnnouncer(
  journal: string | undefined,
  units: string,
  context: Context,
): (done: number, total: number, of?: string) => void {
  let first = true;
  return (done, total, of = units) => {
    if (first && done > 0 && journal !== undefined) {
      const [held, all] = [done, total].map((count) => count.toLocaleString('en-US'));
      context.warn(`${journal} holds ${held} of ${all} ${of}; going on from there.`);
    }
    first = false;
  };
}

/** What an interrupted run says. */
export function resumeHintOf(journal: JournalPlace | undefined): string {
  return journal
    ? `${journal.path} keeps what is finished: run the same command again to go on from there.`
    : 'Nothing was kept; with --journal or a file for the results a run can be resumed.';
}
