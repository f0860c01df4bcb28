// Generation with gated heads through an async iterator: requests go in as they come, completions
// come out as they finish, and the C++ core decodes all rows together in between.
import { checkFloats, checkModel, checkRequests } from './argument-checks.js';
import type {
  Completion,
  FinishReason,
  GenerationOptions,
  GenerationRequest,
  GenerationRequests,
} from './generation-types.js';
import { checkRequest, packRequests, type CheckedRequest } from './generation-requests.js';
import type { Model } from './model.js';
import { runJob } from './native.js';
import type { NativeGeneration } from './native-types.js';
import { CallbackWatch } from './callbacks.js';
import { checkOptionNames, optionNames, wholeNumber } from './option-checks.js';
import { StopStringMatcher } from './stop-strings.js';

export type * from './generation-types.js';

const finishes: readonly (FinishReason | undefined)[] = [
  undefined,
  'stop-token',
  'length',
  'context',
];
const progressIntervalMs = 100;

interface Row {
  tokens: number[];
  margins: number[];
  logProbs: number[];
  promptTokens: number;
  matcher: StopStringMatcher | undefined;
}

/** Something that is waited for again and again. */
class Bell {
  #ring: (() => void) | undefined;

  ring(): void {
    this.#ring?.();
    this.#ring = undefined;
  }
  /** Resolves at the next ring. One waiter at a time. */
  next(): Promise<void> {
    return new Promise((resolve) => (this.#ring = resolve));
  }
}

/** One call of `generate`: the rows in flight and what has come of them. */
class Generation {
  readonly ready: Completion[] = [];
  /** Rings when there is something to yield, an error, or the end. */
  readonly output = new Bell();
  failure: { error: unknown } | undefined;
  ended = false;
  readonly #model: Model;
  readonly #options: GenerationOptions;
  readonly #watch: CallbackWatch;
  readonly #maxRows: number;
  readonly #rows = new Map<number, Row>();
  readonly #room = new Bell();
  readonly #job: Promise<unknown>;
  /** Undefined when the core refused to start. */
  #native: NativeGeneration | undefined;
  #pending: CheckedRequest[] = [];
  #added = 0;
  #tokens = 0;
  #lastProgress = 0;

  constructor(model: Model, options: GenerationOptions) {
    this.#model = model;
    this.#watch = new CallbackWatch(() => {
      this.fail(this.#watch.failure!.error);
    });
    this.#options = this.#watched(options);
    this.#maxRows = wholeNumber('maxRows', options.maxRows, { low: 1, high: 65536, fallback: 64 });
    const memoryBytes = wholeNumber('memoryBytes', options.memoryBytes, {
      low: 0,
      high: Number.MAX_SAFE_INTEGER,
      fallback: 0,
    });
    const { replacement } = options;
    const settings = {
      maxRows: this.#maxRows,
      memoryBytes,
      ...(replacement === undefined ? {} : { replacement }),
    };
    const handle = model.handle();
    const start = runJob(
      (addon) =>
        (this.#native = addon.createGeneration(handle, settings, () => {
          this.#wake();
        })),
      { signal: options.signal },
    );
    this.#job = start.then(
      () => this.#end(),
      (error: unknown) => {
        this.fail(error);
      },
    );
  }

  #watched({ onToken, onProgress, ...options }: GenerationOptions): GenerationOptions {
    return {
      ...options,
      ...(onToken && { onToken: this.#watch.over(onToken) }),
      ...(onProgress && { onProgress: this.#watch.over(onProgress) }),
    };
  }

  /** Waits for what async callbacks have not done yet. @throws what one of them was rejected with. */
  settle(): Promise<void> {
    return this.#watch.settle(this.#options.signal);
  }

  /** Puts the requests in, as many at a time as rows will soon need. */
  async feed(requests: GenerationRequests): Promise<void> {
    const window = 8 * this.#maxRows;
    try {
      for await (const request of requests) {
        if (this.failure || this.ended) return;
        this.#add(request);
        while (this.#rows.size >= window && !this.failure) {
          this.#flush();
          await this.#room.next();
        }
      }
      this.#flush();
      if (!this.failure) this.#native?.end();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.failure ??= { error };
    this.#native?.cancel();
    this.#room.ring();
    this.output.ring();
  }

  /** Reads what the core has made, unless the consumer is behind: then the core will wait. */
  drain(): void {
    if (this.failure || !this.#native || this.ready.length >= 4 * this.#maxRows) return;
    const { events, margins, logProbs } = this.#native.take();
    const stopped: number[] = [];
    margins.forEach((margin, event) => {
      const [index, token, finish] = events.subarray(3 * event, 3 * event + 3);
      const drawn = { token, margin, logProb: logProbs[event] };
      const reason = this.#event(index, drawn, finishes[finish]);
      if (reason === 'stop-string') stopped.push(index);
    });
    if (stopped.length > 0) this.#native.stop({ requests: Int32Array.from(stopped) });
    this.#report();
    this.#room.ring();
  }

  /** Stops the core, whatever it is doing, and waits until its memory is free. */
  async close(): Promise<void> {
    this.ended = true;
    this.#native?.cancel();
    this.#room.ring();
    await this.#job;
  }

  #add(request: GenerationRequest): void {
    const index = this.#added++;
    const checked = checkRequest(this.#model, request, index);
    const { tokenizer } = this.#model;
    this.#rows.set(index, {
      tokens: [],
      margins: [],
      logProbs: [],
      promptTokens: checked.prompt.length,
      matcher:
        tokenizer && checked.stopStrings.length > 0
          ? new StopStringMatcher(tokenizer, checked.stopStrings)
          : undefined,
    });
    // Requests that are there together go in together, so that the core sees what they share.
    if (this.#pending.push(checked) === 1) {
      setImmediate(() => {
        try {
          this.#flush();
        } catch (error) {
          this.fail(error);
        }
      });
    }
  }

  #flush(): void {
    const requests = this.#pending;
    if (requests.length === 0 || this.failure || this.ended) return;
    this.#pending = [];
    this.#native?.add(packRequests(this.#model, requests));
  }

  #wake(): void {
    try {
      this.drain();
    } catch (error) {
      this.fail(error);
    }
    this.output.ring();
  }

  #event(
    index: number,
    { token, margin, logProb }: { token: number; margin: number; logProb: number },
    finish: FinishReason | undefined,
  ): FinishReason | undefined {
    const row = this.#rows.get(index);
    if (!row) return undefined; // ended by a stop string before the core heard of it
    let reason = finish;
    if (token >= 0) {
      row.tokens.push(token);
      this.#tokens++;
      if (margin >= 0) row.margins.push(margin);
      if (logProb <= 0) row.logProbs.push(logProb);
      this.#options.onToken?.(index, token, margin >= 0 ? margin : undefined);
      if (row.matcher?.push(token) && reason !== 'stop-token') reason = 'stop-string';
    }
    if (reason === undefined) return undefined;
    this.#rows.delete(index);
    const { tokens, margins, logProbs, promptTokens } = row;
    this.ready.push({ index, tokens, margins, logProbs, finish: reason, promptTokens });
    return reason;
  }

  #report(last = false): void {
    const now = performance.now();
    if (!last && now - this.#lastProgress < progressIntervalMs) return;
    this.#lastProgress = now;
    this.#options.onProgress?.({ done: this.#tokens, total: 0, phase: 'tokens' });
  }

  #end(): void {
    if (!this.ended) {
      this.#wake();
      this.#report(true);
    }
    this.ended = true;
    this.output.ring();
  }
}

const generationOptions = optionNames<GenerationOptions>({
  maxRows: true,
  memoryBytes: true,
  onToken: true,
  replacement: true,
  signal: true,
  onProgress: true,
});

/**
 * Generates for many requests at once and yields completions in the order they finish. Rows of
 * different gates share every pass over the weights; samples and variants of a prompt share its
 * cache. Requests may be an async iterable that goes on while earlier ones are decoded. A row's
 * tokens depend on its request alone: not on the other rows, `maxRows`, `memoryBytes` or threads.
 * A consumer that does not read slows the generation down; leaving the loop stops it.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT or _TOKENIZER naming the request and its option,
 *   _OUT_OF_MEMORY when a request does not fit the budget even alone, _CANCELLED (cause: the
 *   signal's reason), and whatever the iterable, onToken or onProgress throws, or rejects
 *   the promise of an async function with.
 */
export async function* generate(
  model: Model,
  requests: GenerationRequests,
  options: GenerationOptions = {},
): AsyncGenerator<Completion, void, void> {
  checkModel('generate', model);
  checkRequests('generate', requests);
  checkOptionNames('generate', options, generationOptions);
  const { replacement } = options;
  if (replacement !== undefined) checkFloats('generate', 'replacement', replacement);
  const generation = new Generation(model, options);
  void generation.feed(requests);
  try {
    for (;;) {
      const rung = generation.output.next();
      generation.drain();
      if (generation.failure) throw generation.failure.error;
      const completion = generation.ready.shift();
      if (completion) {
        yield completion;
        continue;
      }
      if (generation.ended) {
        await generation.settle();
        return;
      }
      await rung;
    }
  } finally {
    await generation.close();
  }
}
