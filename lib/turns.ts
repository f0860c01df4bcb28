// Long work on the JavaScript thread, which timers, sockets and signals of the process wait for: it is
// done in turns with them.
import { setImmediate } from 'node:timers/promises';
import { HeadsparkError } from './errors.js';

const turnMs = 40;

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
    if (performance.now() < this.#ends) return;
    await setImmediate();
    this.#ends = performance.now() + turnMs;
    if (!this.#signal?.aborted) return;
    throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', `${this.#work} was cancelled.`, {
      cause: this.#signal.reason,
    });
  }
}
