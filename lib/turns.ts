// Long work on the JavaScript thread, which timers, sockets and signals of the process wait for: it is
// done in turns with them.
import { setImmediate } from 'node:timers/promises';
import { HeadsparkError } from './errors.js';

const turnMs = 40;

/** Work that can be left, and gone on with, at every `yield`. */
export type Steps<T> = Generator<undefined, T, void>;

/** All of the work at once. */
export function atOnce<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

export class Turns {
  readonly #work: string;
  readonly #signal: AbortSignal | undefined;
  #ends = performance.now() + turnMs;

  /** @param work What is cancelled, for the error: `the head table`. */
  constructor(work: string, signal: AbortSignal | undefined) {
    this.#work = work;
    this.#signal = signal;
  }

  /**
   * Lets the event loop go round where this turn was long enough.
   * @throws ERR_HEADSPARK_CANCELLED where the signal was aborted (cause: its reason).
   */
  async give(): Promise<void> {
    if (performance.now() >= this.#ends) {
      await setImmediate();
      this.#ends = performance.now() + turnMs;
    }
    this.check();
  }

  /** @throws ERR_HEADSPARK_CANCELLED where the signal was aborted (cause: its reason). */
  check(): void {
    if (!this.#signal?.aborted) return;
    throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', `${this.#work} was cancelled.`, {
      cause: this.#signal.reason,
    });
  }

  /** Does work, with the event loop's turns between its steps, which `onStep` sees. @throws as `give`, and as the work. */
  async through<Step, T>(
    steps: Generator<Step, T, void>,
    onStep?: (step: Step) => void,
  ): Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      onStep?.(value);
      await this.give();
    }
  }
}
