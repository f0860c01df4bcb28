// Means over pairs under many weightings at once: the inner loop of a bootstrap over pairs.

/** What is averaged, and where the means go. */
export interface MeansRequest {
  /** [pairs, columns], finite. */
  readonly values: Float32Array;
  /** [rows, pairs] whole numbers below 2^29, no row all 0. */
  readonly weights: Uint32Array;
  readonly rows: number;
  /** [rows, columns], written. */
  readonly means: Float32Array;
}

/**
 * means[r, c] = sum over p of weights[r, p] values[p, c] / sum over p of weights[r, p], summed in
 * double precision in the order of the pairs. A product of an fp32 and a whole number below 2^29 is
 * exact in it, so that every implementation gives the same bits.
 */
export type WeightedMeans = (request: MeansRequest) => void;

/** Columns summed at a time: the double accumulators stay in the first-level cache. */
const BLOCK_COLUMNS = 1024;

/** The implementation that works without the addon. */
export const weightedMeans: WeightedMeans = ({ values, weights, rows, means }) => {
  const pairs = weights.length / rows;
  for (let row = 0; row < rows; row++) {
    weightedMean(values, weights.subarray(row * pairs, (row + 1) * pairs), {
      columns: means.length / rows,
      means: means.subarray((row * means.length) / rows, ((row + 1) * means.length) / rows),
    });
  }
};

function weightedMean(
  values: Float32Array,
  weights: Uint32Array,
  { columns, means }: { columns: number; means: Float32Array },
): void {
  const used = Array.from(weights.keys()).filter((pair) => weights[pair] > 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // Four pairs per sweep; what is left of the last four gets weight 0 (on a row that exists).
  const padded = Math.ceil(used.length / 4) * 4;
  const rows = Array.from({ length: padded }, (_, index) => (used[index] ?? used[0]) * columns);
  const factors = Float64Array.from(rows, (_, index) =>
    index < used.length ? weights[used[index]] : 0,
  );
  const sums = new Float64Array(BLOCK_COLUMNS);
  for (let start = 0; start < columns; start += BLOCK_COLUMNS) {
    const count = Math.min(BLOCK_COLUMNS, columns - start);
    sums.fill(0);
    for (let index = 0; index < padded; index += 4) {
      addFourRows(values, { rows, factors, index, start, count }, sums);
    }
    for (let column = 0; column < count; column++) means[start + column] = sums[column] / total;
  }
}

interface FourRows {
  readonly rows: readonly number[];
  readonly factors: Float64Array;
  readonly index: number;
  readonly start: number;
  readonly count: number;
}

function addFourRows(values: Float32Array, part: FourRows, sums: Float64Array): void {
  const { rows, factors, index, start, count } = part;
  const factor0 = factors[index];
  const factor1 = factors[index + 1];
  const factor2 = factors[index + 2];
  const factor3 = factors[index + 3];
  const row0 = rows[index] + start;
  const row1 = rows[index + 1] + start;
  const row2 = rows[index + 2] + start;
  const row3 = rows[index + 3] + start;
  for (let column = 0; column < count; column++) {
    sums[column] =
      sums[column] +
      factor0 * values[row0 + column] +
      factor1 * values[row1 + column] +
      factor2 * values[row2 + column] +
      factor3 * values[row3 + column];
  }
}
