// What made-up answers of reports' tests share: one sample, and how all of them were drawn.
import type { EvaluationSettings, SampleRecord } from '../../../lib/evaluation/types.js';

/** A sample of one token without failures. */
export const sampleRecord = (
  own: Pick<SampleRecord, 'text' | 'answer' | 'correct' | 'promptTokens'>,
): SampleRecord => ({
  tokens: [1],
  finish: 'stop-token',
  nearestTie: null,
  source: 'boxed',
  answerTokens: 1,
  firstCorrectTokens: own.correct ? 1 : null,
  lost: false,
  truncated: false,
  loop: null,
  equations: 0,
  falseEquations: 0,
  falseSpans: [],
  form: [],
  ...own,
});

type Own = 'model' | 'benchmark' | 'problems' | 'ablation' | 'samples' | 'maxNewTokens';

/** Settings of answers under so many sets of heads with one factor. */
export function answerSettings(
  own: Pick<EvaluationSettings, Own>,
  { sets, factor }: { sets: number; factor: number },
): EvaluationSettings {
  const gated = Array.from({ length: sets }, (_, index) => ({
    name: `emergent top-${index + 1}`,
    kind: 'set' as const,
    heads: [`a${index}.h1`],
    factor,
  }));
  return {
    verb: 'evaluate',
    headspark: '0',
    modelFingerprint: 'f'.repeat(32),
    device: 'cpu',
    isa: 'portable',
    precision: 'exact',
    benchmarkHash: '0',
    prompt: { template: 'chat', thinking: 'on', system: null, suffix: 'boxed' },
    variants: [{ name: 'unablated', kind: 'unablated', heads: [], factor: 1 }, ...gated],
    match: 'layer',
    factors: [factor],
    references: [],
    positions: 'all',
    sampling: { temperature: 0.6, topP: 0.95, topK: 0, minP: 0, repetitionPenalty: 1 },
    stopStrings: [],
    stopTokens: [],
    seed: 0,
    sources: ['boxed'],
    modulus: null,
    planNotes: [],
    ...own,
  };
}
