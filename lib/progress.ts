// Progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds
// elsewhere, nothing when disabled (--json, --quiet). Also the helpers that format durations,
// bytes and rates. Never writes to stdout, which belongs to results.

/** What a reporter writes to; `process.stderr` fits. */
export interface ProgressStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** What is counted: decides how amounts and rates are written. */
export type ProgressUnit = 'bytes' | (string & {});

export interface ProgressOptions {
  /** What is being done, for instance `attribute`. */
  label: string;
  /** The amount at 100 %, if it is known. */
  total?: number;
  /** Plural noun of the things counted, or `bytes`. Default `steps`. */
  unit?: ProgressUnit;
  /** False silences the reporter. Default true. */
  enabled?: boolean;
  /** Default `process.stderr`. */
  stream?: ProgressStream;
  /** Least time between two writes; default 100 ms on a terminal, 5,000 ms elsewhere. */
  intervalMs?: number;
  /** Called before the first update, also where the reporter is silent. */
  onBegin?: () => void;
  /** Clock in milliseconds, for tests. */
  now?: () => number;
}

/** What is known of the speed, of work whose parts do not take the same time. */
export interface ProgressPace {
  /** Of the rest; undefined where too little is known. */
  readonly secondsLeft: number | undefined;
  /** Part of the amount done that earlier runs did, which is no speed of this one. */
  readonly stored: number;
}

/** Formats seconds as `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min` or `3 d 04 h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** Formats bytes in binary units: `512 B`, `1.5 KiB`, `269 MiB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '?';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || Math.abs(value) >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Formats an amount of `unit`: bytes in binary units, everything else with thousands commas. */
export function formatAmount(amount: number, unit: ProgressUnit): string {
  if (unit === 'bytes') return formatBytes(amount);
  return amount.toLocaleString('en-US', { maximumFractionDigits: 1 });
}

/** Formats a rate: `12.3 pairs/s`, `4.1 MiB/s`; below one per second per minute or per hour. */
export function formatRate(perSecond: number, unit: ProgressUnit): string {
  if (!Number.isFinite(perSecond) || perSecond <= 0) return '';
  if (unit === 'bytes') return `${formatBytes(perSecond)}/s`;
  if (perSecond >= 100) return `${formatAmount(Math.round(perSecond), unit)} ${unit}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)} ${unit}/s`;
  if (perSecond * 60 >= 1) return `${(perSecond * 60).toFixed(1)} ${unit}/min`;
  return `${(perSecond * 3600).toFixed(1)} ${unit}/h`;
}

interface Facts {
  readonly amount: string;
  readonly rate: string;
  readonly left: string;
}

const joined = (...facts: readonly string[]): string =>
  facts.filter((fact) => fact !== '').join(', ');

/** A bar of so many signs; none where the share is not known. */
function barOf(share: number | undefined, width: number): string {
  if (share === undefined || width === 0) return '';
  const filled = Math.round(share * width);
  return ` [${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

const eraseLine = '\r\u001b[2K';

/** Reports one task's progress. Call `update` freely (writes are limited), then `finish` once. */
export class ProgressReporter {
  #done = 0;
  #total: number | undefined;
  #detail = '';
  #pace: ProgressPace | undefined;
  #lastWrite = -Infinity;
  #barShown = false;
  #ended = false;
  readonly #start: number;
  /** Done by this run at its first update. */
  #first: { own: number; at: number } | undefined;
  readonly #onBegin: (() => void) | undefined;
  readonly #now: () => number;
  readonly #stream: ProgressStream;
  readonly #intervalMs: number;
  readonly #enabled: boolean;
  readonly #unit: ProgressUnit;
  readonly #label: string;

  constructor(options: ProgressOptions) {
    this.#onBegin = options.onBegin;
    this.#now = options.now ?? (() => performance.now());
    this.#stream = options.stream ?? process.stderr;
    this.#enabled = options.enabled ?? true;
    this.#unit = options.unit ?? 'steps';
    this.#label = options.label;
    this.#total = options.total;
    this.#intervalMs = options.intervalMs ?? (this.#stream.isTTY ? 100 : 5000);
    this.#start = this.#now();
    // Off a terminal the first line waits one interval, so that short tasks stay silent.
    if (!this.#stream.isTTY) this.#lastWrite = this.#start;
  }

  /**
   * Sets the amount done so far (and the total, once known); `detail` is shown after it. Without a
   * `pace` the time left is that at the rate so far.
   */
  update(done: number, total?: number, detail?: string, pace?: ProgressPace): void {
    if (!this.#first) this.#onBegin?.();
    this.#done = done;
    this.#pace = pace;
    if (total !== undefined) this.#total = total;
    if (detail !== undefined) this.#detail = detail;
    const at = this.#now();
    // The rate leaves out what a resumed run had already done at its first update.
    this.#first ??= { own: this.#own, at };
    if (this.#ended || !this.#enabled || at - this.#lastWrite < this.#intervalMs) return;
    this.#lastWrite = at;
    this.#draw(at);
  }

  /** Writes a line of its own above the bar. */
  note(text: string): void {
    if (!this.#enabled) return;
    this.#clear();
    this.#stream.write(`${text}\n`);
    this.#lastWrite = -Infinity;
  }

  /** Takes the bar away until the next update, so that something else can be written. */
  hide(): void {
    this.#clear();
    this.#lastWrite = -Infinity;
  }

  /** Removes the bar; with `summary` leaves that line, with the time taken, in its place. */
  finish(summary?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#clear();
    if (!this.#enabled || summary === undefined) return;
    this.#stream.write(`${summary} (${formatDuration((this.#now() - this.#start) / 1000)})\n`);
  }

  /** Done by this run, and what it had at its first update. */
  get #own(): number {
    return this.#done - (this.#pace?.stored ?? 0);
  }

  #clear(): void {
    if (this.#barShown) this.#stream.write(eraseLine);
    this.#barShown = false;
  }

  /** Amount, rate and time left; what is not known is empty. */
  #facts(at: number): Facts {
    const first = this.#first ?? { own: this.#own, at };
    const seconds = (at - first.at) / 1000;
    const perSecond = seconds > 0 ? (this.#own - first.own) / seconds : 0;
    const of = this.#total === undefined ? '' : ` of ${formatAmount(this.#total, this.#unit)}`;
    const unit = this.#unit === 'bytes' ? '' : ` ${this.#unit}`;
    const left = this.#pace ? this.#pace.secondsLeft : this.#leftAt(perSecond);
    return {
      amount: `${formatAmount(this.#done, this.#unit)}${of}${unit}`,
      rate: formatRate(perSecond, this.#unit),
      left: left === undefined ? '' : `${formatDuration(left)} left`,
    };
  }

  /** Seconds for the rest at a rate; undefined where there is no rest, or no rate yet. */
  #leftAt(perSecond: number): number | undefined {
    if (this.#total === undefined || perSecond <= 0 || this.#total <= this.#done) return undefined;
    return (this.#total - this.#done) / perSecond;
  }

  #draw(at: number): void {
    const share = this.#total ? Math.min(1, Math.max(0, this.#done / this.#total)) : undefined;
    const percent = share === undefined ? '' : ` ${Math.floor(share * 100)}%`;
    const { amount, rate, left } = this.#facts(at);
    if (!this.#stream.isTTY) {
      const facts = joined(amount, rate, left, this.#detail);
      this.#stream.write(`${this.#label}${percent}: ${facts}\n`);
      return;
    }
    const width = Math.max(20, (this.#stream.columns ?? 80) - 1);
    const line = (barWidth: number, ...facts: string[]): string =>
      `${this.#label}${barOf(share, barWidth)}${percent} ${joined(...facts)}`;
    // A narrow terminal loses its bar, the rate and the amount before the time left.
    const lines = [
      line(24, amount, rate, left),
      line(8, amount, rate, left),
      line(0, amount, rate, left),
      line(8, amount, left),
      line(0, amount, left),
      line(0, left || amount),
    ];
    const fitting = lines.find(({ length }) => length <= width) ?? lines.at(-1)!;
    this.#stream.write(eraseLine + joined(fitting, this.#detail).slice(0, width));
    this.#barShown = true;
  }
}

/** Starts reporting a task. */
export function createProgress(options: ProgressOptions): ProgressReporter {
  return new ProgressReporter(options);
}
