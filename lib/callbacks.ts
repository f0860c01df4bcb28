// Callbacks that are async functions: nobody else waits for the promises that these give back. One
// that is rejected ends the job that called, as one that throws does.

/**
 * What a callback gives back. A promise is waited for, and ends the call with its error where it is
 * rejected; anything else is left alone.
 */
export type CallbackResult = unknown;

/** Progress of anything that takes long: `done` of `total` (0: unknown) in units of `phase`. */
export interface JobProgress {
  done: number;
  total: number;
  phase: string;
}

type Callback = (...values: never[]) => CallbackResult;

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' &&
  value !== null &&
  'then' in value &&
  typeof value.then === 'function';

/** The callbacks of one job. */
export class CallbackWatch {
  /** Of the first promise that was rejected. */
  failure: { readonly error: unknown } | undefined;
  readonly #pending = new Set<Promise<void>>();
  readonly #onFailure: () => void;

  /** @param onFailure Stops the job, which then throws the error of `failure`. */
  constructor(onFailure: () => void) {
    this.#onFailure = onFailure;
  }

  /** The callback, its promises watched; after a failure the next call throws that. */
  over<C extends Callback>(callback: C): C {
    return ((...values: Parameters<C>): void => {
      if (this.failure) throw this.failure.error;
      const result: unknown = callback(...values);
      if (isThenable(result)) this.#watch(result);
    }) as C;
  }

  /** Waits for the promises that are left, until the signal fires. @throws what one was rejected with. */
  async settle(signal: AbortSignal | undefined): Promise<void> {
    if (this.#pending.size > 0 && !signal?.aborted) {
      let stop = (): void => undefined;
      const stopped = new Promise<void>((resolve) => (stop = resolve));
      signal?.addEventListener('abort', stop, { once: true });
      await Promise.race([Promise.all(this.#pending), stopped]);
      signal?.removeEventListener('abort', stop);
    }
    if (this.failure) throw this.failure.error;
  }

  #watch(promise: PromiseLike<unknown>): void {
    const watched = Promise.resolve(promise).then(
      () => undefined,
      (error: unknown) => {
        if (this.failure) return;
        this.failure = { error };
        this.#onFailure();
      },
    );
    this.#pending.add(watched);
    void watched.then(() => this.#pending.delete(watched));
  }
}

/**
 * Runs a job whose options may have a signal and callbacks (`on…`). The job gets callbacks whose
 * promises are watched: where one is rejected, the signal that the job gets fires and the error is
 * that of the promise. The job ends when all of its callbacks' promises have.
 */
export async function withCallbacks<O extends object, T>(
  options: O,
  run: (options: O) => Promise<T>,
): Promise<T> {
  const callbacks = Object.entries(options).filter(
    (entry): entry is [string, Callback] =>
      /^on[A-Z]/.test(entry[0]) && typeof entry[1] === 'function',
  );
  if (callbacks.length === 0) return run(options);
  const { signal } = options as { signal?: AbortSignal };
  const controller = new AbortController();
  const forward = (): void => {
    controller.abort(signal!.reason);
  };
  if (signal?.aborted) forward();
  else signal?.addEventListener('abort', forward, { once: true });
  const watch = new CallbackWatch(() => {
    controller.abort(watch.failure!.error);
  });
  const watched = callbacks.map(([name, callback]) => [name, watch.over(callback)] as const);
  try {
    const own = { ...options, ...Object.fromEntries(watched), signal: controller.signal };
    const result = await run(own);
    await watch.settle(controller.signal);
    return result;
  } catch (error) {
    throw watch.failure ? watch.failure.error : error;
  } finally {
    signal?.removeEventListener('abort', forward);
  }
}
