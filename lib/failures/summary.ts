// Failure modes of a variant: how often each occurs, with intervals over problems, and against the
// unablated model's samples of the same problems.
import { bootstrapSteps, type BootstrapOptions } from '../stats/bootstrap.js';
import { mean, type Interval } from '../stats/quantile.js';
import { shareChangeSteps, shareSteps } from '../stats/shares.js';
import { atOnce, type Steps } from '../turns.js';
import type { SampleAnalysis } from './sample.js';

export const failureModes = [
  'lost',
  'loop',
  'truncated',
  'false-arithmetic',
  'no-answer',
  'malformed',
] as const;
export type FailureMode = (typeof failureModes)[number];

const occurs: Record<FailureMode, (sample: SampleAnalysis) => boolean> = {
  lost: (sample) => sample.lost,
  loop: (sample) => sample.loop !== null,
  truncated: (sample) => sample.truncated,
  'false-arithmetic': (sample) => sample.falseEquations > 0,
  'no-answer': (sample) => sample.answer === null,
  malformed: (sample) => sample.form.length > 0,
};

export interface FailureRate {
  /** Share of samples, problems resampled. */
  readonly rate: Interval;
  /** Minus the unablated share on the same problems; absent for the unablated model itself. */
  readonly change?: Interval;
}

export interface FailureSummary {
  readonly modes: Record<FailureMode, FailureRate>;
  /** Share of judged equations that are false; null where there were none. */
  readonly falseEquationShare: Interval | null;
  /**
   * Mean tokens up to the end of the final answer, over samples that have one; null where none has.
   * Of the intervals, problems with such a sample are resampled whole.
   */
  readonly answerTokens: Interval | null;
  /** The same up to the first right answer that a text states. */
  readonly firstCorrectTokens: Interval | null;
}

/** [problems] share of a problem's samples in which a failure occurs. */
function sharesOf(samples: readonly (readonly SampleAnalysis[])[], mode: FailureMode): number[] {
  return samples.map((own) => mean(own.map((sample) => (occurs[mode](sample) ? 1 : 0))));
}

/**
 * A sum over samples divided by another, with problems resampled whole; null where the divisor is 0
 * everywhere. Problems in which it is 0 are left out, so that no resample divides by 0.
 */
function* pooled(
  samples: readonly (readonly SampleAnalysis[])[],
  partsOf: (sample: SampleAnalysis) => readonly [dividend: number, divisor: number],
  options: BootstrapOptions,
): Steps<Interval | null> {
  const problems = samples
    .map((own) => own.map(partsOf).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]))
    .filter(([, divisor]) => divisor > 0);
  if (problems.length === 0) return null;
  const ratio = (indexes: Uint32Array): number => {
    let [dividend, divisor] = [0, 0];
    for (const index of indexes) {
      dividend += problems[index][0];
      divisor += problems[index][1];
    }
    return dividend / divisor;
  };
  return yield* bootstrapSteps(problems.length, ratio, options);
}

const known = (value: number | null): readonly [number, number] =>
  value === null ? [0, 0] : [value, 1];

/**
 * @param samples [problems][samples] of the variant.
 * @param unablated The unablated model's, in the same order; left out for that model itself.
 */
export function summarizeFailures(
  samples: readonly (readonly SampleAnalysis[])[],
  unablated: readonly (readonly SampleAnalysis[])[] | undefined,
  options: BootstrapOptions,
): FailureSummary {
  return atOnce(failureSteps(samples, unablated, options));
}

/** `summarizeFailures`, some resamples at a time. */
export function* failureSteps(
  samples: readonly (readonly SampleAnalysis[])[],
  unablated: readonly (readonly SampleAnalysis[])[] | undefined,
  options: BootstrapOptions,
): Steps<FailureSummary> {
  const modes: Partial<Record<FailureMode, FailureRate>> = {};
  const { resamples: permutations, ...common } = options;
  const tested = { ...common, ...(permutations === undefined ? {} : { permutations }) };
  for (const mode of failureModes) {
    const own = sharesOf(samples, mode);
    const rate = yield* shareSteps(own, options);
    yield;
    const before = unablated && sharesOf(unablated, mode);
    const change = before && (yield* shareChangeSteps(before, own, tested));
    modes[mode] = change ? { rate, change } : { rate };
    yield;
  }
  const equations = (own: SampleAnalysis) => [own.falseEquations, own.equations] as const;
  const falseEquationShare = yield* pooled(samples, equations, options);
  yield;
  const answerTokens = yield* pooled(samples, (own) => known(own.answerTokens), options);
  yield;
  return {
    modes: modes as Record<FailureMode, FailureRate>,
    falseEquationShare,
    answerTokens,
    firstCorrectTokens: yield* pooled(samples, (own) => known(own.firstCorrectTokens), options),
  };
}

export interface Flip {
  readonly problem: string;
  readonly sample: number;
  readonly direction: 'right-to-wrong' | 'wrong-to-right';
  readonly before: { readonly answer: string | null; readonly text: string };
  readonly after: { readonly answer: string | null; readonly text: string };
}

export interface FlipSample {
  readonly text: string;
  readonly analysis: SampleAnalysis;
}

/** Samples whose verdict differs from the unablated one of the same problem and number. */
export function findFlips(
  problems: readonly string[],
  before: readonly (readonly FlipSample[])[],
  after: readonly (readonly FlipSample[])[],
): Flip[] {
  return problems.flatMap((problem, index) =>
    after[index].flatMap((sample, number): Flip[] => {
      const other = before[index][number];
      if (sample.analysis.correct === other.analysis.correct) return [];
      const side = ({ text, analysis }: FlipSample) => ({ answer: analysis.answer, text });
      return [
        {
          problem,
          sample: number,
          direction: other.analysis.correct ? 'right-to-wrong' : 'wrong-to-right',
          before: side(other),
          after: side(sample),
        },
      ];
    }),
  );
}
