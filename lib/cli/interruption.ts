// Ctrl-C and SIGTERM. A signal is answered in JavaScript only while there is work that ends better in
// order than at once: before that, and from the second one on, the system ends the process, which it
// does also where the main thread is busy or a read waits for a pipe.

const signals = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

/** The first signal fires `signal`; the second one ends the process. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #say: (text: string) => void;
  #exitCode: number | undefined;
  #handlers: (readonly [NodeJS.Signals, () => void])[] = [];

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** 130 or 143 once it has fired. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** From now on the first signal ends the run in order. */
  listen(): void {
    if (this.#exitCode !== undefined || this.#handlers.length > 0) return;
    this.#handlers = signals.map(([name, code]) => [name, () => this.#fire(name, code)]);
    for (const [name, handler] of this.#handlers) process.on(name, handler);
  }

  /** From now on a signal ends the process at once. */
  release(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
    this.#handlers = [];
  }

  #fire(name: NodeJS.Signals, code: number): void {
    this.#exitCode = code;
    this.release();
    this.#say('\nheadspark: stopping; once more to stop at once.\n');
    this.#controller.abort(new Error(`the process received ${name}`));
  }
}
