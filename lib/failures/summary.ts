// Failure modes of a variant: how often each occurs, with intervals over problems, and against the
// unablated model's samples of the same problems.
import {
  bootstrapMean,
  bootstrapPairedDifference,
  type BootstrapOptions,
} from '../stats/bootstrap.js';
import { mean, type Interval } from '../stats/quantile.js';
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
  readonly falseEquationShare: number | null;
  /** Mean tokens up to the end of the final answer, over samples that have one. */
  readonly answerTokens: number | null;
  readonly firstCorrectTokens: number | null;
}

/** [problems] share of a problem's samples in which a failure occurs. */
function sharesOf(samples: readonly (readonly SampleAnalysis[])[], mode: FailureMode): number[] {
  return samples.map((own) => mean(own.map((sample) => (occurs[mode](sample) ? 1 : 0))));
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value): value is number => value !== null);
  return known.length > 0 ? mean(known) : null;
}

/**
 * @param samples [problems][samples] of the variant.
 * @param unablated The unablated model's, in the same order; left out for that model itself.
 */
export function summarizeFailures(
  samples: readonly (readonly SampleAnalysis[])[],
  unablated: readonly (readonly SampleAnalysis[])[] | undefined,
  options: BootstrapOptions,
): FailureSummary {
  const modes = Object.fromEntries(
    failureModes.map((mode) => {
      const own = sharesOf(samples, mode);
      const rate = bootstrapMean(own, options);
      const change =
        unablated && bootstrapPairedDifference(sharesOf(unablated, mode), own, options);
      return [mode, change ? { rate, change } : { rate }];
    }),
  ) as Record<FailureMode, FailureRate>;
  const flat = samples.flat();
  const equations = flat.reduce((sum, sample) => sum + sample.equations, 0);
  const wrong = flat.reduce((sum, sample) => sum + sample.falseEquations, 0);
  return {
    modes,
    falseEquationShare: equations === 0 ? null : wrong / equations,
    answerTokens: meanOf(flat.map((sample) => sample.answerTokens)),
    firstCorrectTokens: meanOf(flat.map((sample) => sample.firstCorrectTokens)),
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
