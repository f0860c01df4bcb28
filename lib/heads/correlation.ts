// Does what a head does go with what its ablation does? Rank correlations over heads, with block
// bootstrap intervals (heads of a layer resemble each other), and the same within layers, since
// depth alone can tie any two properties. Holm's correction over the properties.

import { HeadsparkError } from '../errors.js';
import { holmAdjust } from '../stats/several-tests.js';
import { Random } from '../stats/random.js';
import { averageRanks, spearmanSeries, type SpearmanResult } from '../stats/spearman.js';
import { headPropertyNames, headPropertyTexts, type HeadPropertyName } from './properties.js';
import type { HeadRow } from './types.js';

/** A property, or the head's layer: what depth alone would explain. */
export type CorrelatedName = HeadPropertyName | 'layer';

export const correlatedNames: readonly CorrelatedName[] = [...headPropertyNames, 'layer'];

/** For titles of rows. */
export const correlationName = (name: CorrelatedName): string =>
  name === 'layer'
    ? 'layer (depth alone)'
    : headPropertyTexts.find((property) => property.name === name)!.title;

/** Why a correlation has no interval, in few words; undefined where there is nothing to say. */
export function noIntervalText({ noInterval }: SpearmanResult): string | undefined {
  switch (noInterval) {
    case 'few-points':
      return 'too few heads';
    case 'constant-resamples':
      return 'too few differ';
    default:
      return undefined;
  }
}

export interface WithinLayers {
  /** Correlation of ranks after every layer's mean rank is taken away. */
  readonly rho: number;
  /** Two-sided; heads permuted within their layers. */
  readonly pValue: number;
  /** After Holm's correction over the properties. */
  readonly adjusted: number;
  /** Heads in layers with at least two. */
  readonly points: number;
}

export interface HeadCorrelation {
  readonly property: CorrelatedName;
  /** Heads with both values. */
  readonly points: number;
  /** Null for fewer than 4 heads, or where one side does not vary. */
  readonly result: SpearmanResult | null;
  /** The p-value after Holm's correction over the properties; null without one. */
  readonly adjusted: number | null;
  readonly withinLayers: WithinLayers | null;
}

/** How much worse the model gets without the head; negative: better. */
export type AblationEffects = ReadonlyMap<string, number>;

export interface CorrelationOptions {
  /** Neighbours (by layer, then head) resampled together; default: the heads of a layer. */
  readonly blockLength?: number;
  /** Default 2,000. */
  readonly resamples?: number;
  /** Default 9,999. */
  readonly permutations?: number;
  readonly confidence?: number;
  readonly seed?: number;
}

interface Points {
  readonly layers: number[];
  readonly x: number[];
  readonly y: number[];
}

function pointsOf(
  rows: readonly HeadRow[],
  effects: AblationEffects,
  property: CorrelatedName,
): Points {
  const points: Points = { layers: [], x: [], y: [] };
  for (const { name, layer, values } of rows) {
    const value = property === 'layer' ? layer : values[property]?.estimate;
    const effect = effects.get(name);
    if (value === undefined || effect === undefined) continue;
    if (!Number.isFinite(value) || !Number.isFinite(effect)) continue;
    points.layers.push(layer);
    points.x.push(value);
    points.y.push(effect);
  }
  return points;
}

/** Fewer heads than this say nothing: three orderings in six are as extreme as any. */
const fewestHeads = 4;

const varies = (values: readonly number[]): boolean => new Set(values).size > 1;

/** Ranks minus the mean rank of their layer; only layers with two heads or more. */
function centredRanks(values: readonly number[], layers: readonly number[][]): Float64Array[] {
  const ranks = averageRanks(values);
  return layers.map((members) => {
    const mean = members.reduce((sum, index) => sum + ranks[index], 0) / members.length;
    return Float64Array.from(members, (index) => ranks[index] - mean);
  });
}

function product(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  let sum = 0;
  a.forEach((row, layer) => row.forEach((value, index) => (sum += value * b[layer][index])));
  return sum;
}

function withinLayers(
  { layers, x, y }: Points,
  options: { permutations: number; seed: number },
): Omit<WithinLayers, 'adjusted'> | null {
  const members = [...new Set(layers)]
    .map((layer) => layers.flatMap((other, index) => (other === layer ? [index] : [])))
    .filter((indexes) => indexes.length > 1);
  const points = members.reduce((sum, indexes) => sum + indexes.length, 0);
  const [ranksX, ranksY] = [centredRanks(x, members), centredRanks(y, members)];
  const scale = Math.sqrt(product(ranksX, ranksX) * product(ranksY, ranksY));
  if (points < fewestHeads || scale < 1e-9) return null;
  const observed = product(ranksX, ranksY);
  const random = new Random(options.seed, 2);
  let extreme = 0;
  const shuffled = ranksY.map((row) => Array.from(row));
  for (let round = 0; round < options.permutations; round++) {
    let sum = 0;
    shuffled.forEach((row, layer) => {
      random.shuffle(row);
      for (let index = 0; index < row.length; index++) sum += row[index] * ranksX[layer][index];
    });
    // Orderings equal up to rounding count as equal.
    if (Math.abs(sum) >= Math.abs(observed) - 1e-9 * scale) extreme++;
  }
  return { rho: observed / scale, pValue: (extreme + 1) / (options.permutations + 1), points };
}

/** Adds the corrected value to what was tested, over the rows that were. */
function adjust<T extends { pValue: number }>(tests: readonly (T | null)[]): (number | null)[] {
  const tested = tests.filter((test) => test !== null);
  const adjusted = holmAdjust(tested.map(({ pValue }) => pValue));
  let next = 0;
  return tests.map((test) => (test === null ? null : adjusted[next++]));
}

/** Resamples of an interval, unless a caller says how many. */
export const defaultHeadResamples = 2000;

function correlate(points: Points, options: CorrelationOptions): SpearmanResult | null {
  const { layers, x, y } = points;
  if (x.length < fewestHeads || !varies(x) || !varies(y)) return null;
  const { resamples = defaultHeadResamples, permutations = 9999 } = options;
  const perLayer = Math.ceil(x.length / new Set(layers).size);
  const blockLength = Math.min(options.blockLength ?? perLayer, x.length);
  return spearmanSeries(x, y, { ...options, resamples, permutations, blockLength });
}

/**
 * Every property against the effect of ablating the head, over the heads that have both.
 * `rows` must be in order of layers, then heads.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a block length that is no whole number of at least 1.
 */
export function correlateWithEffects(
  rows: readonly HeadRow[],
  effects: AblationEffects,
  options: CorrelationOptions = {},
): HeadCorrelation[] {
  const { blockLength, permutations = 9999, seed = 0 } = options;
  if (blockLength !== undefined && !(Number.isInteger(blockLength) && blockLength > 0)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the block length of correlations must be a whole number of at least 1, not ${blockLength}`,
    );
  }
  const all = correlatedNames.map((property) => pointsOf(rows, effects, property));
  const results = all.map((points) => correlate(points, options));
  const within = all.map((points, index) =>
    // Depth does not vary within a layer.
    correlatedNames[index] === 'layer' ? null : withinLayers(points, { permutations, seed }),
  );
  const [adjusted, adjustedWithin] = [adjust(results), adjust(within)];
  return correlatedNames.map((property, index): HeadCorrelation => {
    const layered = within[index];
    return {
      property,
      points: all[index].x.length,
      result: results[index],
      adjusted: adjusted[index],
      withinLayers: layered && { ...layered, adjusted: adjustedWithin[index]! },
    };
  });
}
