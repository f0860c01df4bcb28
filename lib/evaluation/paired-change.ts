// Answers of one model against those of another to the same problems, paired by problem.

import { mcnemarExact } from '../stats/binomial.js';
import { permutationSteps } from '../stats/permutation.js';
import type { Interval } from '../stats/quantile.js';
import { testedShareChange } from '../stats/shares.js';
import type { Steps } from '../turns.js';
import type { EvaluationTable } from './types.js';

/** Sign patterns of a permutation test that cannot be enumerated. */
const permutations = 20_000;

/** What one model made of the problems. */
export interface Outcomes {
  /** [problems] shares of right samples. */
  readonly shares: readonly number[];
  /** [problems] 1 where the majority answer is right; undefined where a table does not say. */
  readonly majorities: readonly number[] | undefined;
}

export interface ChangeStatistics {
  readonly confidence: number;
  readonly seed: number;
}

/** What the interval of a change of shares takes: the confidence, and the test that it agrees with. */
export const testedBy = ({ seed, confidence }: ChangeStatistics) => ({
  permutations,
  seed,
  confidence,
});

export interface PairedChange {
  /** Share of right samples after minus before, problems resampled whole. */
  readonly accuracy: Interval;
  /** p of the paired permutation test on the shares. */
  readonly permutation: number;
  /** Of the majority answers: problems that went from right to wrong, and back, and McNemar's p. */
  readonly outcomes: {
    readonly lost: number;
    readonly gained: number;
    readonly mcnemar: number;
  } | null;
}

/** The change from one model to another, some resamples at a time. */
export function* changeSteps(
  from: Outcomes,
  to: Outcomes,
  statistics: ChangeStatistics,
): Steps<PairedChange> {
  const { seed, confidence } = statistics;
  const { pValue: permutation } = yield* permutationSteps(from.shares, to.shares, {
    permutations,
    seed,
  });
  yield;
  const test = { pValue: permutation, confidence };
  const accuracy = testedShareChange(from.shares, to.shares, test);
  if (!from.majorities || !to.majorities) return { accuracy, permutation, outcomes: null };
  const { lost, gained, pValue } = mcnemarExact(from.majorities, to.majorities);
  return { accuracy, permutation, outcomes: { lost, gained, mcnemar: pValue } };
}

/** Outcomes of the unablated model of a table; tables of older versions have no majorities. */
function outcomesOf({ rows: [row], settings }: EvaluationTable): Outcomes {
  const { right, majorityRight } = row as typeof row & { majorityRight?: readonly number[] };
  return {
    shares: right.map((count) => count / settings.samples),
    majorities: majorityRight ?? (settings.samples === 1 ? right : undefined),
  };
}

/**
 * What one checkpoint solves against another, without any heads gated. Undefined where they answered
 * other problems.
 */
export function* tableChangeSteps(
  before: EvaluationTable,
  after: EvaluationTable,
): Steps<PairedChange | undefined> {
  const { confidence, settings } = after;
  const areSame =
    before.settings.benchmarkHash === settings.benchmarkHash &&
    before.problems.join('\n') === after.problems.join('\n');
  if (!areSame) return undefined;
  const statistics = { confidence, seed: settings.seed };
  return yield* changeSteps(outcomesOf(before), outcomesOf(after), statistics);
}
