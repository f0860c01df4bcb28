// Intervals of mean shares and of their paired changes. A bootstrap of values that are all equal sees
// no spread: it would give 0 of 50 solved problems the interval [0, 0]. There Wilson's bound stands for
// what that many equal values leave open.

import { bootstrapMean, pairedDifferences, type BootstrapOptions } from './bootstrap.js';
import { wilsonInterval } from './proportion.js';
import { mean, type Interval } from './quantile.js';

type Values = ArrayLike<number>;

const isConstant = (values: Values): boolean =>
  values.length > 0 && Array.from(values).every((value) => value === values[0]);

/** The interval of equal values: of all items, at most Wilson's share has others, within the range. */
function constantInterval(
  values: Values,
  [least, most]: readonly [number, number],
  { confidence }: BootstrapOptions,
): Interval {
  const estimate = mean(values);
  const others = wilsonInterval(0, values.length, confidence).high;
  return {
    estimate,
    low: estimate - others * (estimate - least),
    high: estimate + others * (most - estimate),
  };
}

/**
 * Interval of the mean of shares from 0 to 1: the percentile bootstrap's, or Wilson's where all are
 * equal.
 */
export function bootstrapShare(shares: Values, options: BootstrapOptions = {}): Interval {
  if (isConstant(shares)) return constantInterval(shares, [0, 1], options);
  return bootstrapMean(shares, options);
}

/**
 * Interval of mean(after - before) of paired shares from 0 to 1. Where every pair changes by the same,
 * above all by nothing, it is Wilson's bound in both directions; where one side alone is constant (a
 * model that solves nothing), the bootstrap's is widened by what that side leaves open.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT when the lengths differ.
 */
export function bootstrapShareChange(
  before: Values,
  after: Values,
  options: BootstrapOptions = {},
): Interval {
  const differences = pairedDifferences(before, after);
  if (isConstant(differences)) return constantInterval(differences, [-1, 1], options);
  const { estimate, low, high } = bootstrapMean(differences, options);
  const [from, to] = [before, after].map((side) =>
    isConstant(side) ? constantInterval(side, [0, 1], options) : { estimate: 0, low: 0, high: 0 },
  );
  return {
    estimate,
    low: Math.max(-1, low - (to.estimate - to.low) - (from.high - from.estimate)),
    high: Math.min(1, high + (to.high - to.estimate) + (from.estimate - from.low)),
  };
}
