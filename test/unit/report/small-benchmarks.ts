// Made-up answers of a few problems: who is right how often is given, everything else follows.
import { buildEvaluation } from '../../../lib/evaluation/table.js';
import type {
  EvaluationSettings,
  EvaluationTable,
  SampleRecord,
} from '../../../lib/evaluation/types.js';
import type { BenchmarkAblationFile } from '../../../lib/study/stages/benchmark-ablation.js';
import type { BenchmarkFile } from '../../../lib/study/stages/benchmark.js';
import { answerSettings, sampleRecord } from './made-up-answers.js';

interface Answers {
  /** Right answers to every problem, of the unablated model and of every set. */
  readonly right: readonly (readonly number[])[];
  readonly samples?: number;
  readonly factor?: number;
}

const recordOf = (correct: boolean): SampleRecord => {
  const answer = correct ? '7' : '8';
  return sampleRecord({ text: answer, answer, correct, promptTokens: 10 });
};

function settingsOf({ right, samples = 1, factor = 0 }: Answers): EvaluationSettings {
  const problems = right[0].map((_, index) => `sum-${index}`);
  const asked = { model: 'model', benchmark: 'sums', problems, maxNewTokens: 64 };
  const gates = { sets: right.length - 1, factor };
  return answerSettings({ ...asked, ablation: 'mean', samples }, gates);
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
