// Spearman's rank correlation with a permutation p-value and a circular block bootstrap: the
// checkpoints of one training run are a short series whose neighbours depend on each other, so
// intervals come from blocks of neighbours and not from single points (Politis & Romano 1992).

import { HeadsparkError } from '../errors.js';
import { checkConfidence, percentileBounds, type Interval } from './quantile.js';
import { Random } from './random.js';

/** Ranks from 1; equal values share the mean of their ranks. */
export function averageRanks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, index) => index).sort((a, b) => values[a] - values[b]);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let place = start; place < end; place++) ranks[order[place]] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  let [meanX, meanY] = [0, 0];
  for (let i = 0; i < n; i++) {
    meanX += x[i] / n;
    meanY += y[i] / n;
  }
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [x[i] - meanX, y[i] - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  if (xx === 0 || yy === 0) return Number.NaN;
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** Spearman's rho: the correlation of ranks; NaN when one side is constant. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length || x.length < 2) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `rank correlation needs two lists of one length of at least 2, got ${x.length} and ${y.length}`,
    );
  }
  return pearson(averageRanks(x), averageRanks(y));
}

export interface SpearmanOptions {
  /** Neighbours that are resampled together; default: the cube root of n, rounded up. */
  readonly blockLength?: number;
  /** Default 10,000. */
  readonly resamples?: number;
  /** Permutations when there are more than 8 points; default 99,999. */
  readonly permutations?: number;
  readonly confidence?: number;
  readonly seed?: number;
}

export interface SpearmanResult {
  /** rho with its block bootstrap interval; NaN bounds when no resample was usable. */
  readonly rho: Interval;
  /** Two-sided: share of orderings with |rho| at least as large. NaN when rho is. */
  readonly pValue: number;
  /** All orderings were looked at. */
  readonly exact: boolean;
  readonly points: number;
  readonly blockLength: number;
  /** Resamples in which both sides vary; the others say nothing and are left out. */
  readonly usableResamples: number;
}

/** 8! = 40,320 orderings take some milliseconds. */
const EXACT_LIMIT = 8;

/** Calls `visit` with every ordering of `items` (Heap's algorithm). */
function forEachOrdering(items: Float64Array, visit: () => void): void {
  const counters = new Uint8Array(items.length);
  visit();
  for (let i = 1; i < items.length;) {
    if (counters[i] < i) {
      const j = i % 2 === 0 ? 0 : counters[i];
      [items[i], items[j]] = [items[j], items[i]];
      visit();
      counters[i]++;
      i = 1;
    } else {
      counters[i++] = 0;
    }
  }
}

function permutationPValue(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  options: { permutations: number; seed: number },
): { pValue: number; exact: boolean } {
  const [ranksX, ranksY] = [averageRanks(x), averageRanks(y)];
  const observed = Math.abs(pearson(ranksX, ranksY));
  // Orderings equal up to rounding count as equal.
  const threshold = observed - 1e-12;
  let [extreme, total] = [0, 0];
  const count = (): void => {
    total++;
    if (Math.abs(pearson(ranksX, ranksY)) >= threshold) extreme++;
  };
  if (x.length <= EXACT_LIMIT) {
    forEachOrdering(ranksY, count);
    return { pValue: extreme / total, exact: true };
  }
  const random = new Random(options.seed, 1);
  for (let round = 0; round < options.permutations; round++) {
    for (let i = ranksY.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [ranksY[i], ranksY[j]] = [ranksY[j], ranksY[i]];
    }
    count();
  }
  return { pValue: (extreme + 1) / (total + 1), exact: false };
}

/** Indexes of a circular block resample of `count` points in time order. */
export function blockResample(
  random: Random,
  count: number,
  blockLength: number,
  indexes: Uint32Array,
): void {
  for (let start = 0; start < count; start += blockLength) {
    const from = random.below(count);
    for (let i = 0; i < blockLength && start + i < count; i++) {
      indexes[start + i] = (from + i) % count;
    }
  }
}

/**
 * Rank correlation of two series over the same time points, in time order.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for unequal lengths, fewer than 3 points, values that are
 *   not finite or a block length out of range.
 */
export function spearmanSeries(
  x: readonly number[],
  y: readonly number[],
  options: SpearmanOptions = {},
): SpearmanResult {
  const { resamples = 10_000, permutations = 99_999, confidence = 0.95, seed = 0 } = options;
  const points = x.length;
  const blockLength = options.blockLength ?? Math.ceil(Math.cbrt(points) - 1e-9);
  checkConfidence(confidence);
  const fits = points === y.length && points >= 3 && [...x, ...y].every(Number.isFinite);
  if (!fits || !Number.isInteger(blockLength) || blockLength < 1 || blockLength > points) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `rank correlation of a series: needs two equally long lists of at least 3 finite values and a ` +
        `block length from 1 to their length; got ${points} and ${y.length}, block ${blockLength}`,
    );
  }
  const estimate = spearman(x, y);
  const random = new Random(seed);
  const indexes = new Uint32Array(points);
  const usable: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    blockResample(random, points, blockLength, indexes);
    const pick = (values: readonly number[]) => Array.from(indexes, (index) => values[index]);
    const value = spearman(pick(x), pick(y));
    if (Number.isFinite(value)) usable.push(value);
  }
  const bounds =
    usable.length > 0 && Number.isFinite(estimate)
      ? percentileBounds(usable, confidence)
      : { low: Number.NaN, high: Number.NaN };
  const test = Number.isFinite(estimate)
    ? permutationPValue(x, y, { permutations, seed })
    : { pValue: Number.NaN, exact: points <= EXACT_LIMIT };
  return {
    rho: { estimate, ...bounds },
    ...test,
    points,
    blockLength,
    usableResamples: usable.length,
  };
}
