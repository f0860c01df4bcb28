// Kaplan-Meier's estimate of survival with censoring (1958), with Greenwood's variance and the
// log(-log) interval, which stays within 0 and 1 (Kalbfleisch & Prentice).

import { HeadsparkError } from '../errors.js';
import { normalQuantile } from './normal.js';
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
  /** NaN where the variance is 0 or infinite (survival 1 or 0). */
  readonly low: number;
  readonly high: number;
}

export interface SurvivalCurve {
  readonly count: number;
  readonly points: SurvivalPoint[];
  /** The first time at which survival is at most one half; undefined when it never is. */
  readonly median: number | undefined;
}

/** The estimate at every time at which something ended or was censored, ascending. */
export function kaplanMeier(lifetimes: readonly Lifetime[], confidence = 0.95): SurvivalCurve {
  checkConfidence(confidence);
  if (!lifetimes.every(({ duration }) => Number.isFinite(duration) && duration > 0)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'Kaplan-Meier: durations must be finite and above 0',
    );
  }
  const z = normalQuantile(1 - (1 - confidence) / 2);
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
    const spread = (z * Math.sqrt(variance)) / Math.log(survival);
    const bound = (sign: number): number =>
      survival > 0 && survival < 1 ? survival ** Math.exp(sign * spread) : Number.NaN;
    return {
      time,
      atRisk: before,
      ended,
      censored: here.length - ended,
      survival,
      low: bound(-1),
      high: bound(1),
    };
  });
  return {
    count: lifetimes.length,
    points,
    median: points.find((point) => point.survival <= 0.5)?.time,
  };
}
