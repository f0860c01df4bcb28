// Kaplan-Meier's estimate of survival with censoring (1958), with Greenwood's variance and the
// log(-log) interval, which stays within 0 and 1 (Kalbfleisch & Prentice). Where nothing or everything
// has ended it has none, since the variance is 0 or infinite: there Wilson's bound of those at risk
// stands, as in Rothman's interval (1978), whose sample is their number while nothing has ended.

import { checkObjects } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { normalQuantile } from './normal.js';
import { wilsonInterval } from './proportion.js';
import { checkConfidence } from './quantile.js';

export interface Lifetime {
  /** Above 0. */
  readonly duration: number;
  /** The end was seen; false: still alive when last looked at. */
  readonly ended: boolean;
}

export interface SurvivalPoint {
  readonly time: number;
  /** Alive and under observation just before `time`. */
  readonly atRisk: number;
  readonly ended: number;
  readonly censored: number;
  /** Share that lives longer than `time`. */
  readonly survival: number;
  readonly low: number;
  readonly high: number;
}

export interface SurvivalCurve {
  readonly count: number;
  readonly points: SurvivalPoint[];
  /** The first time at which survival is at most one half; undefined when it never is. */
  readonly median: number | undefined;
}

function boundsOf(
  { survival, variance, atRisk }: { survival: number; variance: number; atRisk: number },
  confidence: number,
): { low: number; high: number } {
  // All of those at risk live on, or none does; no larger share can live longer than that.
  if (survival === 1 || survival === 0) {
    const { low, high } = wilsonInterval(survival * atRisk, atRisk, confidence);
    return { low, high };
  }
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const spread = (z * Math.sqrt(variance)) / Math.log(survival);
  return { low: survival ** Math.exp(-spread), high: survival ** Math.exp(spread) };
}

/** The estimate at every time at which something ended or was censored, ascending. */
export function kaplanMeier(lifetimes: readonly Lifetime[], confidence = 0.95): SurvivalCurve {
  checkConfidence(confidence);
  checkObjects('kaplanMeier', 'lifetimes', lifetimes);
  if (!lifetimes.every(({ duration }) => Number.isFinite(duration) && duration > 0)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'Kaplan-Meier: durations must be finite and above 0',
    );
  }
  const times = [...new Set(lifetimes.map(({ duration }) => duration))].sort((a, b) => a - b);
  let atRisk = lifetimes.length;
  let survival = 1;
  let variance = 0;
  const points = times.map((time): SurvivalPoint => {
    const here = lifetimes.filter(({ duration }) => duration === time);
    const ended = here.filter((lifetime) => lifetime.ended).length;
    const before = atRisk;
    survival *= 1 - ended / before;
    variance += ended / (before * (before - ended));
    atRisk -= here.length;
    return {
      time,
      atRisk: before,
      ended,
      censored: here.length - ended,
      survival,
      ...boundsOf({ survival, variance, atRisk: before }, confidence),
    };
  });
  return {
    count: lifetimes.length,
    points,
    // A product of shares that is one half may lie a rounding above it.
    median: points.find((point) => point.survival <= 0.5 * (1 + 1e-12))?.time,
  };
}
