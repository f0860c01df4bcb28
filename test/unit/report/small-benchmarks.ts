// Made-up answers of a few problems: who is right how often is given, everything else follows.
import { buildEvaluation } from '../../../lib/evaluation/table.js';
import type {
  EvaluationSettings,
  EvaluationTable,
  SampleRecord,
} from '../../../lib/evaluation/types.js';
import type { BenchmarkAblationFile } from '../../../lib/study/stages/benchmark-ablation.js';
import type { BenchmarkFile } from '../../../lib/study/stages/benchmark.js';

interface Answers {
  /** Right answers to every problem, of the unablated model and of every set. */
  readonly right: readonly (readonly number[])[];
  readonly samples?: number;
  readonly factor?: number;
}

const recordOf = (correct: boolean): SampleRecord => ({
  text: correct ? '7' : '8',
  tokens: [1],
  finish: 'stop-token',
  promptTokens: 10,
  nearestTie: null,
  answer: correct ? '7' : '8',
  source: 'boxed',
  correct,
  answerTokens: 1,
  firstCorrectTokens: correct ? 1 : null,
  lost: false,
  truncated: false,
  loop: null,
  equations: 0,
  falseEquations: 0,
  falseSpans: [],
  form: [],
});

function settingsOf({ right, samples = 1, factor = 0 }: Answers): EvaluationSettings {
  const gated = right.slice(1).map((_, index) => ({
    name: `emergent top-${index + 1}`,
    kind: 'set' as const,
    heads: [`a${index}.h1`],
    factor,
  }));
  return {
    verb: 'evaluate',
    headspark: '0',
    model: 'model',
    modelFingerprint: 'f'.repeat(32),
    device: 'cpu',
    isa: 'portable',
    precision: 'exact',
    benchmark: 'sums',
    benchmarkHash: '0',
    problems: right[0].map((_, index) => `sum-${index}`),
    prompt: { template: 'chat', thinking: 'on', system: null, suffix: 'boxed' },
    variants: [{ name: 'unablated', kind: 'unablated', heads: [], factor: 1 }, ...gated],
    match: 'layer',
    factors: [factor],
    ablation: 'mean',
    references: [],
    positions: 'all',
    samples,
    sampling: { temperature: 0.6, topP: 0.95, topK: 0, minP: 0, repetitionPenalty: 1 },
    maxNewTokens: 64,
    stopStrings: [],
    stopTokens: [],
    seed: 0,
    sources: ['boxed'],
    modulus: null,
    planNotes: [],
  };
}

async function tableOf(answers: Answers): Promise<EvaluationTable> {
  const settings = settingsOf(answers);
  const samples = new Map<string, SampleRecord>();
  answers.right.forEach((problems, variant) =>
    problems.forEach((count, problem) => {
      for (let sample = 0; sample < settings.samples; sample++) {
        samples.set(`${problem}/${variant}/${sample}`, recordOf(sample < count));
      }
    }),
  );
  const own = settings.problems.map((_, index) => index);
  return buildEvaluation({ settings, own, samples, resamples: 500 });
}

/** Answers of a checkpoint whose heads are gated. */
export async function gatedAnswers(
  checkpoint: string,
  answers: Answers,
): Promise<BenchmarkAblationFile> {
  return {
    format: 'headspark-benchmark-ablation',
    name: 'solving',
    benchmark: 'sums',
    checkpoint,
    form: 'direct',
    task: 'sums',
    factor: answers.factor ?? 0,
    table: await tableOf(answers),
    problems: {},
  };
}

/** Answers of a checkpoint as it is. */
export async function answersOf(checkpoint: string, answers: Answers): Promise<BenchmarkFile> {
  const table = await tableOf(answers);
  return { format: 'headspark-benchmark', benchmark: 'sums', checkpoint, form: 'direct', table };
}
