// Attribution pairs by pairs, with a journal of what is finished, and of exact patching destinations by
// destinations. A pair's scores depend on no other pair, and their sums are taken in the order of the
// pairs, so that parts and interruptions change no bit.
import { withCallbacks } from '../callbacks.js';
import type { JobOptions, JobProgress } from '../native.js';
import { inPairParts, nextSize } from '../pair-parts.js';
import {
  corruptJournal,
  meansOf,
  ScoreJournal,
  type PairPart,
  type ScoreJournalOptions,
} from './journal.js';

/** Between two writes: what a killed run loses beside the part at work. */
const SAVE_MS = 2_000;

/** Scores of one part stand in memory beside those that are kept. */
const MOST_PART_BYTES = 256e6;

/** Destinations of the first call of a pair that goes by them. */
const FIRST_COLUMNS = 8;

/** Destinations [begin, end). */
export interface Columns {
  readonly begin: number;
  readonly end: number;
}

export interface PartsOptions extends ScoreJournalOptions, JobOptions {
  /** The journal is the result: it is written however soon the run is over. */
  readonly keepJournal?: boolean;
  /** Edges into every destination, where a pair goes by destinations (`exact`): it takes long by itself. */
  readonly edgesInto?: Uint32Array | undefined;
  /** Pairs [begin, end); scores of edges into other destinations than `columns` are 0. */
  attributePart(
    pairs: { begin: number; end: number; columns?: Columns },
    options: JobOptions,
  ): Promise<PairPart>;
}

/** What all pairs together give. */
export interface PartsResult {
  /** [edges] means over the pairs. */
  readonly means: Float32Array;
  /** [pairs, edges] */
  readonly pairScores: Float32Array | undefined;
  readonly clean: Float32Array;
  readonly corrupted: Float32Array;
}

/** Progress of a part, of `units` (pairs, or edges of pairs) from `done` on, as that of the whole. */
function wholeProgress(
  { onProgress }: PartsOptions,
  { done, units, total }: { done: number; units: number; total: number },
): JobOptions['onProgress'] {
  return (
    onProgress &&
    ((part) => {
      const share = part.total > 0 ? part.done / part.total : 0;
      return onProgress({ done: Math.floor(done + share * units), total, phase: part.phase });
    })
  );
}

const sum = (values: Uint32Array): number => values.reduce((total, value) => total + value, 0);

/** Puts the scores that are not 0 in `part` into `scores`, bit by bit: nobody else has them. */
function join(scores: Float32Array, part: Float32Array): void {
  const [all, some] = [scores, part].map(
    ({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length),
  );
  for (let i = 0; i < all.length; i++) all[i] |= some[i];
}

/** Pairs of a run, part by part. */
class Parts {
  readonly #journal: ScoreJournal;
  readonly #options: PartsOptions;
  #saved = performance.now();
  /** Destinations of a call, where a pair goes by them. */
  #columns = FIRST_COLUMNS;

  constructor(journal: ScoreJournal, options: PartsOptions) {
    this.#journal = journal;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { pairs, edges, edgesInto } = this.#options;
    const journal = this.#journal;
    const most = Math.max(1, Math.floor(MOST_PART_BYTES / (4 * edges)));
    const parts = { begin: journal.done, pairs, first: edgesInto && 1, most };
    await inPairParts(parts, async (begin, end) => {
      await journal.add(await this.#part(begin, end));
      // What was over before the first write needs none; else a finished run is whole in its journal.
      const last = end === pairs && (journal.written || this.#options.keepJournal);
      await this.#save(last);
    });
  }

  async #save(now: boolean | undefined): Promise<void> {
    if (!now && performance.now() - this.#saved < SAVE_MS) return;
    await this.#journal.save();
    this.#saved = performance.now();
  }

  #part(begin: number, end: number): Promise<PairPart> {
    const { pairs, edgesInto, signal } = this.#options;
    if (edgesInto) return this.#byColumns({ begin, end }, edgesInto);
    const onProgress = wholeProgress(this.#options, {
      done: begin,
      units: end - begin,
      total: pairs,
    });
    return this.#options.attributePart({ begin, end }, { signal, onProgress });
  }

  /** From the last destination down, as `exact` goes; of a pair by itself the journal knows how far. */
  async #byColumns(
    range: { begin: number; end: number },
    edgesInto: Uint32Array,
  ): Promise<PairPart> {
    const { pairs, edges, signal } = this.#options;
    const count = range.end - range.begin;
    let done = count === 1 ? this.#journal.unfinished : undefined;
    if (done && done.column > edgesInto.length) throw corruptJournal(this.#journal.path);
    while (!done || done.column > 0) {
      const before: number = done?.column ?? edgesInto.length;
      const columns = { begin: Math.max(0, before - this.#columns), end: before };
      const onProgress = wholeProgress(this.#options, {
        done: range.begin * edges + count * sum(edgesInto.subarray(before)),
        units: count * sum(edgesInto.subarray(columns.begin, columns.end)),
        total: pairs * edges,
      });
      const start = performance.now();
      const part = await this.#options.attributePart({ ...range, columns }, { signal, onProgress });
      if (done) join(part.pairScores, done.pairScores);
      done = { ...part, column: columns.begin };
      this.#columns = nextSize(this.#columns, performance.now() - start);
      if (count === 1 && done.column > 0) this.#journal.progressTo(done);
      await this.#save(false);
    }
    return done;
  }
}

/**
 * Runs the pairs that the journal at `path` does not hold, and gives what all of them give.
 * @throws as `ScoreJournal.open` and as `attributePart`.
 */
export async function attributeInParts(options: PartsOptions): Promise<PartsResult> {
  const { signal, onProgress, onRemark } = options;
  return withCallbacks({ signal, onProgress, onRemark }, (watched) =>
    inParts({ ...options, ...watched }),
  );
}

/** What the journal holds. */
function doneBefore(
  { done, unfinished }: ScoreJournal,
  { pairs, edges, edgesInto }: PartsOptions,
): JobProgress {
  if (!unfinished || !edgesInto) return { done, total: pairs, phase: 'attribution' };
  const scored = sum(edgesInto.subarray(unfinished.column));
  return { done: done * edges + scored, total: pairs * edges, phase: 'edges' };
}

async function inParts(options: PartsOptions): Promise<PartsResult> {
  const { pairs, onProgress } = options;
  const journal = await ScoreJournal.open(options);
  try {
    onProgress?.(doneBefore(journal, options));
    await new Parts(journal, options).run();
  } catch (error) {
    await journal.save().catch(() => undefined); // the first error says more
    throw error;
  } finally {
    await journal.close();
  }
  return {
    means: meansOf(journal.totals, pairs),
    pairScores: journal.pairScores,
    clean: Float32Array.from(journal.clean),
    corrupted: Float32Array.from(journal.corrupted),
  };
}
