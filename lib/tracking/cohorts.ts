// Heads over the checkpoints of a training run: which are new at each step, how long each cohort
// stays, which base heads are kept. A head's cohort is the first checkpoint whose circuit has it.

import type { HeadShape } from '../head-gate.js';
import { bootstrapMean } from '../stats/bootstrap.js';
import { kaplanMeier, type Lifetime, type SurvivalCurve } from '../stats/kaplan-meier.js';
import type { Interval } from '../stats/quantile.js';
import { checkSeries, headName, namesWhere, type HeadSeries } from './series.js';

/** One checkpoint of the run. Heads are named `a3.h1`. */
export interface TrackedStep {
  readonly name: string;
  readonly step: number;
  /** Heads in the circuit. */
  readonly heads: number;
  /** Base heads that are in this circuit too, and base heads that are not. */
  readonly retained: number;
  readonly lost: number;
  /** Heads that the base lacks. */
  readonly emergent: string[];
  /** Emergent heads that no earlier circuit had: this checkpoint's cohort. */
  readonly fresh: string[];
  /** Emergent heads that were gone at the checkpoint before and are back. */
  readonly returned: string[];
  /** Heads of each cohort that are in this circuit; [checkpoints], 0 for later cohorts. */
  readonly cohorts: number[];
}

export interface Cohort {
  readonly name: string;
  readonly step: number;
  readonly heads: string[];
  /** [checkpoints] heads of the cohort in each circuit. */
  readonly alive: number[];
  /**
   * Mean over its heads of the share of later checkpoints that keep the head, heads resampled; null
   * without heads and for the last checkpoint.
   */
  readonly survival: Interval | null;
}

/** A head that was in any circuit. */
export interface TrackedHead {
  readonly name: string;
  readonly layer: number;
  readonly head: number;
  readonly kind: 'base' | 'emergent';
  /** [checkpoints] in the circuit. */
  readonly active: boolean[];
  /** Share of the checkpoints with the head in the circuit. */
  readonly frequency: number;
  /** Step of its cohort; null for base heads. */
  readonly since: number | null;
  /** Share of the checkpoints after its cohort that keep it; null when there are none. */
  readonly survival: number | null;
  /** In the circuit of the last checkpoint. */
  readonly final: boolean;
}

export interface SeriesTracking {
  readonly label: string;
  readonly regime: string;
  readonly shape: HeadShape;
  readonly base: { readonly name: string; readonly step: number; readonly heads: number };
  readonly steps: TrackedStep[];
  readonly cohorts: Cohort[];
  /** Every head that was in the base or in any checkpoint, by layer, then head. */
  readonly heads: TrackedHead[];
  readonly everActive: { readonly total: number; readonly base: number; readonly emergent: number };
  /** Emergent heads that the last circuit lacks. */
  readonly vanishedAgain: string[];
  /**
   * Kaplan-Meier over emergent heads: time is checkpoints since the cohort's, the end is the first
   * checkpoint without the head; heads that first appear at the last checkpoint do not count.
   */
  readonly survival: SurvivalCurve;
}

const share = (values: readonly boolean[]): number => values.filter(Boolean).length / values.length;

/** When a head first appears (its checkpoint's index); undefined for base heads and never. */
function cohortOf(series: HeadSeries, head: number): number | undefined {
  if (series.base.mask[head]) return undefined;
  const index = series.checkpoints.findIndex(({ mask }) => mask[head]);
  return index < 0 ? undefined : index;
}

/** Time to the first checkpoint without the head; undefined without later checkpoints. */
function lifetimeOf(active: readonly boolean[], born: number): Lifetime | undefined {
  const later = active.slice(born + 1);
  if (later.length === 0) return undefined;
  const gone = later.indexOf(false);
  return gone < 0 ? { duration: later.length, ended: false } : { duration: gone + 1, ended: true };
}

function trackedHead(series: HeadSeries, head: number, born: number | undefined): TrackedHead {
  const { shape, checkpoints } = series;
  const active = checkpoints.map(({ mask }) => mask[head] === 1);
  const later = born === undefined ? [] : active.slice(born + 1);
  return {
    name: headName(head, shape),
    layer: Math.floor(head / shape.heads),
    head: head % shape.heads,
    kind: series.base.mask[head] ? 'base' : 'emergent',
    active,
    frequency: share(active),
    since: born === undefined ? null : checkpoints[born].step,
    survival: later.length === 0 ? null : share(later),
    final: active[active.length - 1],
  };
}

function stepsOf(series: HeadSeries, born: readonly (number | undefined)[]): TrackedStep[] {
  const { shape, base, checkpoints } = series;
  const count = (test: (head: number) => boolean): number =>
    base.mask.reduce((sum, _, head) => sum + (test(head) ? 1 : 0), 0);
  return checkpoints.map(({ name, step, mask }, index) => {
    const emergent = (head: number): boolean => mask[head] === 1 && !base.mask[head];
    const before = index === 0 ? undefined : checkpoints[index - 1].mask;
    return {
      name,
      step,
      heads: count((head) => mask[head] === 1),
      retained: count((head) => mask[head] === 1 && base.mask[head] === 1),
      lost: count((head) => mask[head] === 0 && base.mask[head] === 1),
      emergent: namesWhere(shape, emergent),
      fresh: namesWhere(shape, (head) => born[head] === index),
      returned: namesWhere(
        shape,
        (head) => emergent(head) && born[head] !== index && before?.[head] === 0,
      ),
      cohorts: checkpoints.map((_, cohort) =>
        count((head) => mask[head] === 1 && born[head] === cohort),
      ),
    };
  });
}

export interface TrackingOptions {
  /** Of the intervals; default 0.95. */
  readonly confidence?: number;
  /** Of the resamples; default 0. */
  readonly seed?: number;
}

function cohortsOf(
  series: HeadSeries,
  of: { heads: readonly TrackedHead[]; steps: readonly TrackedStep[] },
  options: TrackingOptions,
): Cohort[] {
  const { heads, steps } = of;
  return series.checkpoints.map(({ name, step }, index) => {
    const own = heads.filter((head) => head.since === step && head.kind === 'emergent');
    const shares = own.flatMap(({ survival }) => (survival === null ? [] : [survival]));
    return {
      name,
      step,
      heads: own.map((head) => head.name),
      alive: steps.map(({ cohorts }) => cohorts[index]),
      survival: shares.length === 0 ? null : bootstrapMean(shares, options),
    };
  });
}

/**
 * Follows the heads of one training run.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a series without checkpoints, with steps out of order
 *   or masks of another shape, or a confidence outside (0, 1).
 */
export function trackSeries(series: HeadSeries, options: TrackingOptions = {}): SeriesTracking {
  checkSeries(series);
  const { label, regime, shape, base, checkpoints } = series;
  const born = Array.from(base.mask, (_, head) => cohortOf(series, head));
  const heads = born.flatMap((cohort, head) =>
    base.mask[head] || cohort !== undefined ? [trackedHead(series, head, cohort)] : [],
  );
  const steps = stepsOf(series, born);
  const emergent = heads.filter(({ kind }) => kind === 'emergent');
  const indexOfStep = new Map(checkpoints.map(({ step }, index) => [step, index]));
  const lifetimes = emergent.flatMap(({ active, since }) => {
    const lifetime = lifetimeOf(active, indexOfStep.get(since!)!);
    return lifetime ? [lifetime] : [];
  });
  return {
    label,
    regime,
    shape,
    base: {
      name: base.name,
      step: base.step,
      heads: heads.length - emergent.length,
    },
    steps,
    cohorts: cohortsOf(series, { heads, steps }, options),
    heads,
    everActive: {
      total: heads.length,
      base: heads.length - emergent.length,
      emergent: emergent.length,
    },
    vanishedAgain: emergent.filter(({ final }) => !final).map(({ name }) => name),
    survival: kaplanMeier(lifetimes, options.confidence),
  };
}
