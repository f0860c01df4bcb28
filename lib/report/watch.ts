// Follows a run: draws the report again when results arrive, until the run is complete. A run that was
// stopped may go on, so whoever watches says when to stop.

import { setTimeout } from 'node:timers/promises';
import { writeFileAtomic } from '../atomic-file.js';
import { withCallbacks, type CallbackResult } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { wholeNumber } from '../option-checks.js';
import { formatDuration } from '../progress.js';
import {
  checkReportOptions,
  writeReport,
  type ReportOptions,
  type ReportSummary,
} from './write-report.js';
import type { LiveState } from './page-live.js';
import { readRun, type RunData } from './run-data.js';
import { RunWatcher, type RunState } from './run-state.js';
import type { Section } from './figure.js';

/** As of `writeReport`, and how often the run is looked at, in milliseconds. */
export interface WatchOptions extends ReportOptions {
  /** Stops following; the page then shows the run as it stands. */
  readonly signal?: AbortSignal | undefined;
  /** Between two looks at the run; default 2,000. */
  readonly pollMs?: number;
  /** How long a run may take to begin; default 15,000. */
  readonly graceMs?: number;
  /** Called after every look. */
  readonly onLook?: (look: WatchLook) => CallbackResult;
}

/** One look at a run. */
export interface WatchLook {
  readonly state: RunState;
  /** The page was drawn again, since results arrived. */
  readonly drawn: boolean;
}

/** The last page, and what it took. */
export interface WatchSummary extends ReportSummary {
  /** Times that the figures were drawn. */
  readonly drawings: number;
  /** Every stage has its result. */
  readonly complete: boolean;
}

/** Drawing and writing take at most about this share of the time. */
const workShare = 0.2;
/** The lines on the page are renewed this often while the same stages run, else at once. */
const linesMs = 10_000;

/** What is running, as sentences. */
export function runningLines({ running, queued, going }: RunState, now: Date): string[] {
  const lines = running.slice(0, 6).map(({ kind, id, share, since, host }) => {
    const percent = share > 0 ? `, ${Math.floor(100 * share)} %` : '';
    const time = formatDuration(Math.max(0, (now.getTime() - since) / 1000));
    return `Running: ${kind} ${id}${percent}, for ${time}, on ${host}.`;
  });
  if (running.length > 6) lines.push(`And ${running.length - 6} more.`);
  if (queued > 0) lines.push(`Tasks in the queue: ${queued}.`);
  if (lines.length === 0)
    lines.push(going ? 'Between two stages.' : 'Nothing works on the run now.');
  return [...lines, `As of ${now.toLocaleTimeString('en-GB')}.`];
}

class LiveReport {
  readonly #run: string;
  readonly #out: string;
  #drawn: { stamp: string; data: RunData; sections: Section[] } | undefined;
  #written = { at: -Infinity, running: '' };
  #restUntil = -Infinity;
  drawings = 0;

  constructor(run: string, out: string) {
    this.#run = run;
    this.#out = out;
  }

  /** Draws or renews the page where it is time to; true where it was drawn. */
  async show(state: RunState): Promise<boolean> {
    const now = performance.now();
    const running = state.running.map(({ kind, id }) => `${kind}/${id}`).join(' ');
    const fresh = this.#drawn?.stamp !== state.stamp;
    const renew = running !== this.#written.running || now - this.#written.at >= linesMs;
    if (now < this.#restUntil || (!fresh && !renew)) return false;
    const [{ sectionsOf }, { pageHtml }] = await Promise.all([
      import('./sections.js'),
      import('./page.js'),
    ]);
    if (fresh) {
      const data = await readRun(this.#run);
      this.#drawn = { stamp: state.stamp, data, sections: sectionsOf(data) };
      this.drawings++;
    }
    const { data, sections } = this.#drawn!;
    const { done, total } = state;
    const live: LiveState = { done, total, lines: runningLines(state, new Date()) };
    await writeFileAtomic(this.#out, pageHtml(data, sections, live));
    const end = performance.now();
    this.#written = { at: end, running };
    this.#restUntil = end + (end - now) * (1 / workShare - 1);
    return fresh;
  }
}

/**
 * Looks until the run is complete, or has not begun in time; gives the last state, or undefined where
 * the signal came first.
 */
async function follow(
  watcher: RunWatcher,
  report: LiveReport,
  options: WatchOptions,
): Promise<RunState | undefined> {
  const { signal, pollMs = 2000, graceMs = 15_000, onLook } = options;
  let quietSince = performance.now();
  for (;;) {
    const state = await watcher.look();
    const { going, done, total } = state;
    if (signal?.aborted) return undefined;
    if (total > 0 && done === total) return state;
    if (going || total > 0) quietSince = performance.now();
    else if (performance.now() - quietSince >= graceMs) return state;
    const drawn = total > 0 ? await report.show(state) : false;
    onLook?.({ state, drawn });
    await setTimeout(pollMs, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

/**
 * Keeps a report up to date until the run is complete or the signal fires, also while nothing works on
 * it: a run that was stopped may go on. It may also be about to begin. In the end the page is that of
 * `writeReport`.
 * @throws ERR_HEADSPARK_CANCELLED after the signal, when the page shows the run as it stands;
 *   ERR_HEADSPARK_FILE_NOT_FOUND where no run begins, _FILE_CORRUPT.
 */
export async function watchReport(run: string, options: WatchOptions): Promise<WatchSummary> {
  checkReportOptions('watchReport', run, options, ['signal', 'pollMs', 'graceMs', 'onLook']);
  const { pollMs, graceMs } = options;
  wholeNumber('pollMs', pollMs, { low: 1, high: 2 ** 31 - 1, fallback: 2000 });
  wholeNumber('graceMs', graceMs, { low: 0, high: 2 ** 31 - 1, fallback: 0 });
  return withCallbacks(options, (own) => watchChecked(run, own));
}

async function watchChecked(run: string, options: WatchOptions): Promise<WatchSummary> {
  const { out, figures, formats, onProgress } = options;
  const report = new LiveReport(run, out);
  const watcher = new RunWatcher(run);
  let last: RunState | undefined;
  try {
    last = await follow(watcher, report, options);
  } finally {
    // Whatever ended it: no page is left that waits for a newer one.
    if (!last && report.drawings > 0) await writeReport(run, { out });
  }
  if (!last) {
    throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'following the run was stopped.', {
      cause: options.signal?.reason,
    });
  }
  const summary = await writeReport(run, { out, figures, formats, onProgress });
  return { ...summary, drawings: report.drawings, complete: last.done === last.total };
}
