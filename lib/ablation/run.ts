// Runs the variants of an ablation in chunks and keeps what is finished in a journal. A variant's
// values depend on its heads alone, not on what runs beside it, so a run that was killed gives the
// same bytes when it is started again.

import type { JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { formatHeads, type HeadRef } from '../head-gate.js';
import { Journal, type JournalOptions } from '../journal.js';

/** What runs gated forward passes; `Sweep` of lib/ablation-sweep.ts is one. */
export interface SweepRunner {
  /**
   * `values` [variants, pairs] of the metric; `correct` [variants, pairs], 1 where the right
   * answer had the largest logit.
   */
  run(
    variants: { name: string; heads: HeadRef[]; factor: number }[],
    options: {
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
    },
  ): Promise<{ values: Float32Array; correct: Uint8Array }>;
  /** Layers times tokens to compute, and what every variant by itself would take. */
  sharing?(variants: { name: string; heads: HeadRef[]; factor: number }[]): {
    layerTokens: number;
    unsharedLayerTokens: number;
  };
  dispose(): void;
}

/** The pairs of one variant: [pairs] each. */
export interface VariantResults {
  readonly values: Float32Array;
  readonly correct: Uint8Array;
}

/** What is left to run, and the share of its layers that is computed rather than shared. */
export interface VariantPlan {
  readonly variants: number;
  readonly computedShare: number;
}

export interface RunVariantsOptions {
  /** Called only when something is left to run. */
  readonly createRunner: () => Promise<SweepRunner>;
  readonly pairs: number;
  /** Path and the settings that decide the values. */
  readonly journal?: JournalOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told once, before the first variant that is left to run. */
  readonly onPlan?: ((plan: VariantPlan) => void) | undefined;
  readonly onProgress?: ((progress: JobProgress) => void) | undefined;
}

/** Rows (variants x pairs) of the first chunk; the next ones grow or shrink with the time taken. */
const FIRST_CHUNK_ROWS = 64;
/** A chunk should take about this long: batches stay full, and a kill loses little. */
const CHUNK_MS = { least: 2_000, most: 8_000 };

/** A set of heads with the factor of all of them. */
export interface GatedHeads {
  readonly heads: readonly HeadRef[];
  readonly factor: number;
}

/** The model as it is. */
export const unablated: GatedHeads = { heads: [], factor: 1 };

/** What gated heads are called in the journal and in the results: `a3.h1,a5.h0 x0.5`. */
export const variantKey = ({ heads, factor }: GatedHeads): string =>
  keyOfNames(formatHeads(heads), factor);

/** The same of heads that are named already, in order. */
export const keyOfNames = (heads: string, factor: number): string =>
  heads === '' ? 'none' : `${heads} x${factor}`;

/** The shortest decimal number that is the same float32: `0.1` rather than `0.10000000149011612`. */
export function shortFloat32(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/**
 * The results in a journal's record. `journal` says which one it is.
 * @throws ERR_HEADSPARK_FILE_CORRUPT where it does not hold those of so many pairs.
 */
export function fromRecord(
  record: unknown,
  key: string,
  { pairs, journal = 'the journal' }: { pairs: number; journal?: string },
): VariantResults {
  const { values, correct } = (record ?? {}) as { values?: unknown; correct?: unknown };
  const fits =
    Array.isArray(values) &&
    values.length === pairs &&
    values.every((value) => Number.isFinite(value)) &&
    typeof correct === 'string' &&
    correct.length === pairs &&
    /^[01]*$/.test(correct);
  if (!fits) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_CORRUPT',
      `${journal}'s record "${key}" does not hold the results of ${pairs} pairs; ` +
        'remove the journal to start over.',
    );
  }
  return {
    values: Float32Array.from(values as number[]),
    correct: Uint8Array.from(correct, (digit) => Number(digit)),
  };
}

export function toRecord({ values, correct }: VariantResults): {
  values: number[];
  correct: string;
} {
  return { values: Array.from(values, shortFloat32), correct: Array.from(correct).join('') };
}

function checkCancelled(options: RunVariantsOptions): void {
  if (!options.signal?.aborted) return;
  throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the ablation was cancelled.', {
    cause: options.signal.reason,
  });
}

function checkFinite(values: Float32Array, key: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_TENSOR_VALUE',
    `the metric of pair ${bad + 1} is ${values[bad]} with ${key} gated; use a factor nearer to 1 ` +
      'or another ablation.',
  );
}

type NamedHeads = readonly [string, GatedHeads];

/**
 * The unablated model first, then factor by factor, each from the lowest gated layer up: variants that
 * share a beginning stand side by side.
 */
export function compareVariants(left: GatedHeads, right: GatedHeads): number {
  const [a, b] = [left.heads, right.heads];
  if (a.length > 0 && b.length > 0 && left.factor !== right.factor) {
    return left.factor - right.factor;
  }
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = a[i].layer - b[i].layer || a[i].head - b[i].head;
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

const asVariants = (
  variants: readonly NamedHeads[],
): { name: string; heads: HeadRef[]; factor: number }[] =>
  variants.map(([name, { heads, factor }]) => ({ name, heads: [...heads], factor }));

function announcePlan(
  runner: SweepRunner,
  missing: readonly NamedHeads[],
  options: RunVariantsOptions,
): void {
  const sharing = runner.sharing?.(asVariants(missing));
  if (!sharing || sharing.unsharedLayerTokens === 0) return;
  const computedShare = sharing.layerTokens / sharing.unsharedLayerTokens;
  options.onPlan?.({ variants: missing.length, computedShare });
}

/** Runs one chunk and splits its rows. */
async function runChunk(
  runner: SweepRunner,
  chunk: readonly NamedHeads[],
  options: RunVariantsOptions & { onShare: (share: number) => void },
): Promise<[string, VariantResults][]> {
  const { pairs, signal, onShare } = options;
  const variants = asVariants(chunk);
  const { values, correct } = await runner.run(variants, {
    signal,
    onProgress: ({ done, total }) => onShare(total > 0 ? done / total : 0),
  });
  if (values.length !== chunk.length * pairs || correct.length !== chunk.length * pairs) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INTERNAL',
      `the sweep returned ${values.length} values for ${chunk.length} variants of ${pairs} pairs.`,
    );
  }
  return chunk.map(([key], index) => {
    const part = {
      values: values.slice(index * pairs, (index + 1) * pairs),
      correct: Uint8Array.from(correct.subarray(index * pairs, (index + 1) * pairs), (flag) =>
        flag ? 1 : 0,
      ),
    };
    checkFinite(part.values, key);
    return [key, part];
  });
}

async function runMissing(
  unordered: readonly NamedHeads[],
  results: Map<string, VariantResults>,
  journal: Journal | undefined,
  options: RunVariantsOptions,
): Promise<void> {
  const missing = [...unordered].sort(([, a], [, b]) => compareVariants(a, b));
  const total = results.size + missing.length;
  let size = Math.max(1, Math.ceil(FIRST_CHUNK_ROWS / options.pairs));
  const tell = (done: number): void =>
    void options.onProgress?.({ done, total, phase: 'variants' });
  tell(results.size);
  checkCancelled(options);
  const runner = await options.createRunner();
  try {
    announcePlan(runner, missing, options);
    for (let start = 0; start < missing.length;) {
      checkCancelled(options);
      const chunk = missing.slice(start, start + size);
      const begin = performance.now();
      const onShare = (share: number): void =>
        tell(Math.floor(results.size + share * chunk.length));
      const finished = await runChunk(runner, chunk, { ...options, onShare });
      for (const [key, part] of finished) {
        await journal?.append(key, toRecord(part));
        results.set(key, part);
      }
      tell(results.size);
      start += chunk.length;
      const elapsed = performance.now() - begin;
      if (elapsed < CHUNK_MS.least) size *= 2;
      else if (elapsed > CHUNK_MS.most) size = Math.max(1, Math.floor(size / 2));
    }
  } finally {
    runner.dispose();
  }
}

/**
 * The results of every different variant, keyed by `variantKey`. Those that the journal holds are not
 * run again.
 * @throws ERR_HEADSPARK_CANCELLED, ERR_HEADSPARK_SETTINGS_MISMATCH (a journal of other settings),
 *   ERR_HEADSPARK_TENSOR_VALUE (a metric that is not finite), and what the runner throws.
 */
export async function runVariants(
  variants: readonly GatedHeads[],
  options: RunVariantsOptions,
): Promise<Map<string, VariantResults>> {
  const wanted = new Map(variants.map((variant) => [variantKey(variant), variant]));
  const results = new Map<string, VariantResults>();
  const journal = options.journal ? await Journal.open(options.journal) : undefined;
  try {
    for (const key of wanted.keys()) {
      const record = journal?.get(key);
      if (record !== undefined) results.set(key, fromRecord(record, key, { pairs: options.pairs }));
    }
    const missing = [...wanted].filter(([key]) => !results.has(key));
    if (missing.length > 0) await runMissing(missing, results, journal, options);
    else {
      const done = results.size;
      options.onProgress?.({ done, total: done, phase: 'variants' });
    }
  } finally {
    await journal?.close();
  }
  return new Map([...wanted.keys()].map((key) => [key, results.get(key)!]));
}
