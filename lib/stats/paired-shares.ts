// Interval of the difference of two paired proportions: of problems answered once before and once after.

import { HeadsparkError } from '../errors.js';
import { fairCoinPValue } from './binomial.js';
import { normalQuantile } from './normal.js';
import { checkConfidence, type Interval } from './quantile.js';

export interface Flips {
  /** Pairs wrong before and right after. */
  readonly gained: number;
  /** Pairs right before and wrong after. */
  readonly lost: number;
  readonly pairs: number;
}

/**
 * Whether flips like these speak against a true change of `delta`, by more than z standard errors: the
 * score test, with the variance at the likeliest share of lost pairs that such a change allows.
 */
function speakAgainst(delta: number, { gained, lost, pairs }: Flips, z: number): boolean {
  const b = -gained - lost + (2 * pairs - gained + lost) * delta;
  const c = -lost * delta * (1 - delta);
  const share = (Math.sqrt(Math.max(0, b * b - 8 * pairs * c)) - b) / (4 * pairs);
  const variance = pairs * (2 * share + delta * (1 - delta));
  return (gained - lost - pairs * delta) ** 2 > z * z * variance;
}

/** Halvings of a bound; each gives a bit. */
const halvings = 52;

/** The change farthest from the estimate, towards `end` (-1 or 1), that flips do not speak against. */
function boundTowards(end: number, estimate: number, speaksAgainst: (delta: number) => boolean) {
  let [within, outside] = [estimate, end];
  if (!speaksAgainst(end)) return end;
  for (let round = 0; round < halvings; round++) {
    const middle = (within + outside) / 2;
    if (speaksAgainst(middle)) outside = middle;
    else within = middle;
  }
  return within;
}

/**
 * Tango's score interval of the change (gained - lost) / pairs (Statistics in Medicine 17, 1998,
 * 891-908; recommended by Fagerland, Lydersen and Laake, ibid. 33, 2014, 2850-2875). It needs no flips
 * to have a width: without any it is Wilson's bound in both directions, and flips of one direction
 * leave room for the other. Where McNemar's exact test does not reject at 1 - confidence it also holds
 * 0, so that a table does not say two things of the same flips.
 */
export function pairedShareChange(flips: Flips, confidence = 0.95): Interval {
  checkConfidence(confidence);
  const { gained, lost, pairs } = flips;
  const counts = [gained, lost, pairs - gained - lost];
  if (!(pairs >= 1) || !counts.every((count) => Number.isInteger(count) && count >= 0)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `paired proportions: need whole gained + lost <= pairs, pairs >= 1; got ${gained}, ${lost}, ${pairs}`,
    );
  }
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const estimate = (gained - lost) / pairs;
  const speaksAgainst = (delta: number): boolean => speakAgainst(delta, flips, z);
  const [low, high] = [-1, 1].map((end) => boundTowards(end, estimate, speaksAgainst));
  if (fairCoinPValue(lost, lost + gained) <= 1 - confidence) return { estimate, low, high };
  return { estimate, low: Math.min(0, low), high: Math.max(0, high) };
}
