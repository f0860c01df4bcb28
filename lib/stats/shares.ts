// Intervals of mean shares and of their paired changes. A bootstrap knows only what it has seen: it would
// give 0 of 50 solved problems the interval [0, 0], 1 of 50 an upper bound below Wilson's of none, and a
// change that is the same for all problems no width. Where no problem shows something, Wilson's bound says
// how many could. Changes need no resampling: those of right or wrong answers, one to a problem, have
// Tango's interval, others one with two problems that nobody saw.

import { checkNumbers, checkSomeOptions } from '../argument-checks.js';
import { atOnce, type Steps } from '../turns.js';
import { meanSteps, pairedDifferences, type BootstrapOptions } from './bootstrap.js';
import { normalQuantile } from './normal.js';
import { pairedShareChange } from './paired-shares.js';
import { permutationSteps, type PermutationOptions } from './permutation.js';
import { wilsonInterval } from './proportion.js';
import { checkConfidence, mean, type Interval } from './quantile.js';

type Values = ArrayLike<number>;

const isConstant = (values: Values): boolean =>
  values.length > 0 && Array.from(values).every((value) => value === values[0]);

const isBinary = (values: Values): boolean =>
  values.length > 0 && Array.from(values).every((value) => value === 0 || value === 1);

/** The largest share of items that may be of a kind of which none was seen. */
const unseenShare = (items: number, { confidence }: BootstrapOptions): number =>
  wilsonInterval(0, items, confidence).high;

/** The interval of equal shares: of all items, at most Wilson's share has others. */
function constantInterval(shares: Values, options: BootstrapOptions): Interval {
  const estimate = mean(shares);
  const others = unseenShare(shares.length, options);
  return {
    estimate,
    low: estimate - others * estimate,
    high: estimate + others * (1 - estimate),
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
  if (isConstant(shares)) return constantInterval(shares, options);
  const { estimate, low, high } = yield* meanSteps(shares, options);
  const unseen = unseenShare(shares.length, options);
  return { estimate, low: Math.min(low, 1 - unseen), high: Math.max(high, unseen) };
}

/** Of problems that are right or wrong, once before and once after. */
function binaryChange(differences: Float64Array, confidence: number): Interval {
  const gained = differences.filter((difference) => difference > 0).length;
  const lost = differences.filter((difference) => difference < 0).length;
  return pairedShareChange({ gained, lost, pairs: differences.length }, confidence);
}

/**
 * Bonett and Price's interval (Journal of Educational and Behavioral Statistics 37, 2012, 479-488), which
 * Fagerland, Lydersen and Laake recommend beside Tango's (see pairedShareChange), of shares: the normal
 * one, with two more problems that nobody saw, one that went from none to all and one from all to none.
 */
function withTwoUnseen(differences: Float64Array, z: number): Interval {
  const estimate = mean(differences);
  const count = differences.length + 2;
  const center = (estimate * differences.length) / count;
  const squares = differences.reduce((sum, difference) => sum + difference * difference, 2);
  const half = z * Math.sqrt(Math.max(0, squares / count - center * center) / count);
  return {
    estimate,
    low: Math.max(-1, Math.min(estimate, center - half)),
    high: Math.min(1, Math.max(estimate, center + half)),
  };
}

/**
 * The interval with 0 in it where the test does not reject at 1 - confidence, and outside where it does:
 * where they disagree, the bound towards 0 is the test-based one (Miettinen, American Journal of
 * Epidemiology 103, 1976, 226-235), as many of the test's own standard errors from the estimate.
 */
function inAgreement(interval: Interval, test: { pValue: number; confidence: number }): Interval {
  const { estimate, low, high } = interval;
  const isRejected = test.pValue <= 1 - test.confidence + 1e-12;
  if (estimate === 0 || isRejected === (low > 0 || high < 0)) return interval;
  const z = normalQuantile((1 + test.confidence) / 2);
  const own = test.pValue < 1 ? normalQuantile(1 - test.pValue / 2) : 0;
  const bound = Math.max(-1, Math.min(1, estimate * (1 - z / own)));
  return estimate > 0 ? { estimate, low: bound, high } : { estimate, low, high: bound };
}

/** How the change of shares is tested and how wide its interval is. */
export interface ShareChangeOptions extends PermutationOptions {
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * Interval of mean(after - before) of paired shares from 0 to 1. Tango's score interval where each is 0
 * or 1; else Bonett and Price's, which has a width where all problems changed alike. It holds 0 just where
 * the paired permutation test of the same problems, with these options, does not reject at 1 - confidence.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT when the lengths differ.
 */
export function shareChangeInterval(
  before: Values,
  after: Values,
  options: ShareChangeOptions = {},
): Interval {
  return atOnce(shareChangeSteps(before, after, options));
}

/** `shareChangeInterval`, some sign patterns at a time. */
export function* shareChangeSteps(
  before: Values,
  after: Values,
  options: ShareChangeOptions = {},
): Steps<Interval> {
  checkSomeOptions('shareChangeInterval', options);
  const { confidence = 0.95 } = options;
  checkConfidence(confidence);
  if (isBinary(before) && isBinary(after)) {
    return binaryChange(pairedDifferences(before, after), confidence);
  }
  const { pValue } = yield* permutationSteps(before, after, options);
  return testedShareChange(before, after, { pValue, confidence });
}

/** `shareChangeInterval` of problems whose paired permutation test is made already. */
export function testedShareChange(
  before: Values,
  after: Values,
  test: { readonly pValue: number; readonly confidence: number },
): Interval {
  const differences = pairedDifferences(before, after);
  if (isBinary(before) && isBinary(after)) return binaryChange(differences, test.confidence);
  const interval = withTwoUnseen(differences, normalQuantile((1 + test.confidence) / 2));
  return inAgreement(interval, test);
}
