// Work on pairs in parts that each take some seconds: what is finished after one can be kept in a journal,
// and no part is so small that batches are not full.
import type { Model } from './model.js';
import { modelProvenance } from './model-provenance.js';
import { pairsHash, type TokenizedPair } from './pairs.js';
import { version } from './version.js';

const FIRST_PART = 4;
/** A part that takes less time is doubled, one that takes more is halved. */
const PART_MS = { least: 5_000, most: 20_000 };

/** The size of the part after one of `size` that took so long. */
export function nextSize(size: number, ms: number): number {
  if (ms < PART_MS.least) return size * 2;
  return ms > PART_MS.most ? Math.max(1, Math.floor(size / 2)) : size;
}

/** What decides the values of pairs on a model, whatever is computed: settings of a journal of them. */
export function pairSettings(model: Model, pairs: readonly TokenizedPair[]) {
  const { modelFingerprint, device, isa, precision } = modelProvenance(model);
  const { sharePrefix } = model.info;
  return {
    headspark: version,
    ...{ modelFingerprint, device, isa, precision, sharePrefix },
    ...{ pairs: pairs.length, pairsHash: pairsHash(pairs) },
  };
}

export interface PairParts {
  /** The first pair that is not done. */
  readonly begin: number;
  readonly pairs: number;
  /** Pairs of the first part; default 4. */
  readonly first?: number | undefined;
  /** Of any part; default: no limit. */
  readonly most?: number;
}

/** Runs pairs [begin, end) after each other until all are done. */
export async function inPairParts(
  { begin, pairs, first = FIRST_PART, most = pairs }: PairParts,
  run: (begin: number, end: number) => Promise<void>,
): Promise<void> {
  let size = first;
  for (let at = begin; at < pairs;) {
    const end = Math.min(pairs, at + Math.min(size, most));
    const start = performance.now();
    await run(at, end);
    size = nextSize(size, performance.now() - start);
    at = end;
  }
}
