// Attribution pairs by pairs, with a journal of what is finished. A pair's scores depend on no other pair,
// and their sums are taken in the order of the pairs, so that parts and interruptions change no bit.
import { withCallbacks } from '../callbacks.js';
import type { JobOptions } from '../native.js';
import { inPairParts } from '../pair-parts.js';
import { meansOf, ScoreJournal, type PairPart, type ScoreJournalOptions } from './journal.js';

/** Between two writes: what a killed run loses beside the part at work. */
const SAVE_MS = 2_000;

/** Scores of one part stand in memory beside those that are kept. */
const MOST_PART_BYTES = 256e6;

export interface PartsOptions extends ScoreJournalOptions, JobOptions {
  /** Pairs of the first part; default as of `inPairParts`. */
  readonly firstPart: number | undefined;
  /** The journal is the result: it is written however soon the run is over. */
  readonly keepJournal?: boolean;
  /** Pairs [begin, end). */
  attributePart(begin: number, end: number, options: JobOptions): Promise<PairPart>;
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

/** Progress of a part as that of the whole: an edge of `exact` is one of each pair's. */
function wholeProgress(
  options: PartsOptions,
  begin: number,
  end: number,
): JobOptions['onProgress'] {
  const { onProgress, pairs, edges } = options;
  return (
    onProgress &&
    (({ done, total, phase }) => {
      const unit = phase === 'edges' ? edges : 1;
      const share = total > 0 ? done / total : 0;
      const finished = Math.floor((begin + share * (end - begin)) * unit);
      return onProgress({ done: finished, total: pairs * unit, phase });
    })
  );
}

async function runParts(journal: ScoreJournal, options: PartsOptions): Promise<void> {
  const { pairs, edges, firstPart, signal } = options;
  const most = Math.max(1, Math.floor(MOST_PART_BYTES / (4 * edges)));
  let saved = performance.now();
  await inPairParts({ begin: journal.done, pairs, first: firstPart, most }, async (begin, end) => {
    const onProgress = wholeProgress(options, begin, end);
    await journal.add(await options.attributePart(begin, end, { signal, onProgress }));
    // What was over before the first write needs none; else a finished run is whole in its journal.
    const now = performance.now();
    const last = end === pairs && (journal.written || options.keepJournal);
    if (now - saved >= SAVE_MS || last) {
      await journal.save();
      saved = now;
    }
  });
}

/**
 * Runs the pairs that the journal at `path` does not hold, and gives what all of them give.
 * @throws as `ScoreJournal.open` and as `attributePart`.
 */
export async function attributeInParts(options: PartsOptions): Promise<PartsResult> {
  const { signal, onProgress } = options;
  return withCallbacks({ signal, onProgress }, (watched) => inParts({ ...options, ...watched }));
}

async function inParts(options: PartsOptions): Promise<PartsResult> {
  const { pairs, onProgress } = options;
  const journal = await ScoreJournal.open(options);
  try {
    onProgress?.({ done: journal.done, total: pairs, phase: 'attribution' });
    await runParts(journal, options);
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
