// Intervals of mean shares and of their paired changes. A bootstrap knows only what it has seen: it would
// give 0 of 50 solved problems the interval [0, 0], 1 of 50 an upper bound below Wilson's of none, and a
// change that only lost answers no room for gains. Where no problem shows something, Wilson's bound says
// how many could. Changes of right or wrong answers, one to a problem, need no resampling: they have
// Tango's interval.

import { checkNumbers } from '../argument-checks.js';
import { atOnce, type Steps } from '../turns.js';
import { meanSteps, pairedDifferences, type BootstrapOptions } from './bootstrap.js';
import { pairedShareChange } from './paired-shares.js';
import { wilsonInterval } from './proportion.js';
import { mean, type Interval } from './quantile.js';

type Values = ArrayLike<number>;

const isConstant = (values: Values): boolean =>
  values.length > 0 && Array.from(values).every((value) => value === values[0]);

const isBinary = (values: Values): boolean =>
  values.length > 0 && Array.from(values).every((value) => value === 0 || value === 1);

/** The largest share of items that may be of a kind of which none was seen. */
const unseenShare = (items: number, { confidence }: BootstrapOptions): number =>
  wilsonInterval(0, items, confidence).high;

/** The interval of equal values: of all items, at most Wilson's share has others, within the range. */
function constantInterval(
  values: Values,
  [least, most]: readonly [number, number],
  options: BootstrapOptions,
): Interval {
  const estimate = mean(values);
  const others = unseenShare(values.length, options);
  return {
    estimate,
    low: estimate - others * (estimate - least),
    high: estimate + others * (most - estimate),
  };
}

/**
 * Interval of the mean of shares from 0 to 1: Wilson's where all are equal, else the percentile
 * bootstrap's. That reaches at least as far as Wilson's of none and of all, so that one right answer
 * never lowers the bound that none at all would have.
 */
export function bootstrapShare(shares: Values, options: BootstrapOptions = {}): Interval {
  return atOnce(shareSteps(shares, options));
}

/** `bootstrapShare`, some resamples at a time. */
export function* shareSteps(shares: Values, options: BootstrapOptions = {}): Steps<Interval> {
  checkNumbers('bootstrapShare', shares);
  if (isConstant(shares)) return constantInterval(shares, [0, 1], options);
  const { estimate, low, high } = yield* meanSteps(shares, options);
  const unseen = unseenShare(shares.length, options);
  return { estimate, low: Math.min(low, 1 - unseen), high: Math.max(high, unseen) };
}

/** Of problems that are right or wrong, once before and once after. */
function binaryChange(before: Values, after: Values, options: BootstrapOptions): Interval {
  const differences = Array.from(pairedDifferences(before, after));
  const gained = differences.filter((difference) => difference > 0).length;
  const lost = differences.filter((difference) => difference < 0).length;
  return pairedShareChange({ gained, lost, pairs: differences.length }, options.confidence);
}

/** The bootstrap's interval with room for changes in a direction that no problem shows. */
function withUnseen(
  { estimate, low, high }: Interval,
  differences: Float64Array,
  options: BootstrapOptions,
): Interval {
  const unseen = unseenShare(differences.length, options);
  const hasLosses = differences.some((difference) => difference < 0);
  const hasGains = differences.some((difference) => difference > 0);
  return {
    estimate,
    low: hasLosses ? low : low - unseen * (1 + low),
    high: hasGains ? high : high + unseen * (1 - high),
  };
}

/**
 * Interval of mean(after - before) of paired shares from 0 to 1. Tango's score interval where each is 0
 * or 1; else the bootstrap's, with a bound that Wilson's share of problems leaves open on a side to
 * which none changed, and, where one side alone is constant (a model that always solves half), with
 * what that side leaves open. More flips in one direction never move a bound to the other.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT when the lengths differ.
 */
export function shareChangeInterval(
  before: Values,
  after: Values,
  options: BootstrapOptions = {},
): Interval {
  return atOnce(shareChangeSteps(before, after, options));
}

/** `shareChangeInterval`, some resamples at a time. */
export function* shareChangeSteps(
  before: Values,
  after: Values,
  options: BootstrapOptions = {},
): Steps<Interval> {
  const differences = pairedDifferences(before, after);
  if (isBinary(before) && isBinary(after)) return binaryChange(before, after, options);
  if (isConstant(differences)) return constantInterval(differences, [-1, 1], options);
  const seen = yield* meanSteps(differences, options);
  const wide = withUnseen(seen, differences, options);
  const [from, to] = [before, after].map((side) =>
    isConstant(side) ? constantInterval(side, [0, 1], options) : { estimate: 0, low: 0, high: 0 },
  );
  const low = seen.low - (to.estimate - to.low) - (from.high - from.estimate);
  const high = seen.high + (to.high - to.estimate) + (from.estimate - from.low);
  return {
    estimate: seen.estimate,
    low: Math.max(-1, Math.min(low, wide.low)),
    high: Math.min(1, Math.max(high, wide.high)),
  };
}
