// What a command is given besides its arguments: where to print, how to report progress, and the
// signal that Ctrl-C fires.

import type { JobProgress } from '../native.js';
import {
  createProgress,
  type ProgressReporter,
  type ProgressStream,
  type ProgressUnit,
} from '../progress.js';
import type { RunProgress } from '../study/run-study.js';
import { formatTable, painter, type Paint, type TableColumn } from './output.js';

/** The streams and environment of a process; tests give their own. */
export interface Terminal {
  readonly stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly environment: NodeJS.ProcessEnv;
}

/** A running task's progress, in the forms that the library's functions report it. */
export interface Task {
  readonly reporter: ProgressReporter;
  readonly onJob: (progress: JobProgress) => void;
  /** For runs of studies, in percent. */
  readonly onStudy: (progress: RunProgress) => void;
  /** For remarks of studies. */
  readonly onRemark: (remark: string) => void;
}

/** A stream that gets whole lines alone. */
const plainOf = (stream: Terminal['stderr']): ProgressStream => ({
  write: (text) => stream.write(text),
});

/** How a run asks to end in order on a signal, and how it says that it need not. */
export interface SignalHandling {
  listen(): void;
  release(): void;
}

export interface ContextParts {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly signal: AbortSignal;
  readonly handling?: SignalHandling;
  readonly terminal: Terminal;
}

export class Context {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly signal: AbortSignal;
  /** Colours for stdout. */
  readonly paint: Paint;
  /** Said after "Interrupted."; a command sets it where a run can be resumed. */
  resumeHint: string | undefined;
  readonly #terminal: Terminal;
  readonly #handling: SignalHandling | undefined;
  readonly #said = new Set<string>();

  constructor(parts: ContextParts) {
    this.json = parts.json;
    this.quiet = parts.quiet;
    this.signal = parts.signal;
    this.#handling = parts.handling;
    this.#terminal = parts.terminal;
    this.paint = painter(parts.terminal.stdout, parts.terminal.environment);
  }

  /** A signal from now on fires `signal`: there is something to end in order. */
  endsInOrder(): void {
    this.#handling?.listen();
  }

  /** A signal from now on ends the process, also where it reads a pipe or the main thread is busy. */
  endsAtOnce(): void {
    this.#handling?.release();
  }

  /** A line on stdout for a person; nothing with --json or --quiet. */
  print(line = ''): void {
    if (!this.json && !this.quiet) this.#terminal.stdout.write(`${line}\n`);
  }

  /** Text on stdout for a person, as it stands; nothing with --json or --quiet. */
  write(text: string): void {
    if (!this.json && !this.quiet) this.#terminal.stdout.write(text);
  }

  heading(text: string): void {
    this.print();
    this.print(this.paint('bold', text));
  }

  table(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): void {
    this.print(formatTable(columns, rows, this.paint));
  }

  /** Characters of a line on stdout; 100 where it is no terminal. */
  get columns(): number {
    return this.#terminal.stdout.columns ?? 100;
  }

  /** Whether progress is seen on a terminal, where a line can be written over. */
  get interactive(): boolean {
    const { stderr, environment } = this.#terminal;
    return stderr.isTTY === true && environment['TERM'] !== 'dumb';
  }

  /** A plain line of progress on stderr; nothing with --quiet. */
  note(text: string): void {
    if (!this.quiet) this.#terminal.stderr.write(`${text}\n`);
  }

  /** A remark on stderr; nothing with --quiet. */
  warn(text: string): void {
    if (this.quiet) return;
    const paint = painter(this.#terminal.stderr, this.#terminal.environment);
    this.#terminal.stderr.write(`${paint('yellow', 'note:')} ${text}\n`);
  }

  /** A remark that a command may come upon many times and that is worth one line. */
  warnOnce(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.warn(text);
  }

  /** Runs work under a progress bar on stderr; from its first progress on, it ends in order if it is to. */
  async task<T>(
    label: string,
    unit: ProgressUnit,
    work: (task: Task) => Promise<T>,
    { inOrder = true } = {},
  ): Promise<T> {
    const reporter = createProgress({
      label,
      unit,
      enabled: !this.quiet,
      stream: this.interactive ? this.#terminal.stderr : plainOf(this.#terminal.stderr),
      ...(inOrder ? { onBegin: () => this.endsInOrder() } : {}),
    });
    try {
      return await work({
        reporter,
        onJob: ({ done, total, phase }) => {
          reporter.update(
            done,
            total > 0 ? total : undefined,
            phase === unit || phase === 'attribution' ? '' : phase,
          );
        },
        onStudy: ({ done, total, stored, detail, secondsLeft }) => {
          const percent = (part: number): number => (total > 0 ? (100 * part) / total : 100);
          reporter.update(percent(done), 100, detail, { secondsLeft, stored: percent(stored) });
        },
        onRemark: (remark) => {
          reporter.hide();
          this.warn(remark);
        },
      });
    } finally {
      reporter.finish();
    }
  }
}
