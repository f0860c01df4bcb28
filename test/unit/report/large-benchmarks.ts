// Made-up answers of a large study: long texts under many gated sets, of which most flip.
import { buildEvaluation } from '../../../lib/evaluation/table.js';
import type {
  EvaluationSettings,
  EvaluationTable,
  SampleRecord,
} from '../../../lib/evaluation/types.js';
import type { RunData } from '../../../lib/report/run-data.js';
import { Random } from '../../../lib/stats/random.js';
import type { Manifest } from '../../../lib/study/manifest.js';
import { answerSettings, sampleRecord } from './made-up-answers.js';

const problems = Array.from({ length: 30 }, (_, index) => `aime-${index}`);
const samples = 4;
/** Characters of an answer. */
const textLength = 9_000;

function settingsOf(model: string, sets: number): EvaluationSettings {
  const asked = { model, benchmark: 'aime24', problems, maxNewTokens: 4096 };
  return answerSettings({ ...asked, ablation: 'zero', samples }, { sets, factor: 0 });
}

function recordOf(random: Random): SampleRecord {
  const correct = random.uniform() < 0.5;
  const words = Array.from({ length: textLength / 8 }, (_, at) =>
    at % 20 === 0 ? `step <${at}>` : `plus ${random.below(90) + 10}.`,
  );
  const answer = String(random.below(1000));
  return sampleRecord({ text: words.join(' '), answer, correct, promptTokens: 100 });
}

function tableOf(model: string, sets: number, random: Random): Promise<EvaluationTable> {
  const settings = settingsOf(model, sets);
  const records = new Map<string, SampleRecord>();
  for (let problem = 0; problem < problems.length; problem++) {
    for (let variant = 0; variant <= sets; variant++) {
      for (let sample = 0; sample < samples; sample++) {
        records.set(`${problem}/${variant}/${sample}`, recordOf(random));
      }
    }
  }
  const own = problems.map((_, index) => index);
  return buildEvaluation({ settings, own, samples: records, resamples: 200 });
}

/** Answers of every checkpoint, and of the last ones under ten sets of heads. */
export async function largeBenchmarks({
  checkpoints,
  series,
}: Manifest): Promise<Pick<RunData, 'benchmarks' | 'benchmarkAblations'>> {
  const random = new Random(11, 0);
  const benchmarks: RunData['benchmarks'][number][] = [];
  const benchmarkAblations: RunData['benchmarkAblations'][number][] = [];
  for (const form of ['direct', 'thinking']) {
    for (const { name: checkpoint } of checkpoints) {
      const table = await tableOf(checkpoint, 0, random);
      benchmarks.push({
        format: 'headspark-benchmark',
        benchmark: 'aime24',
        checkpoint,
        form,
        table,
      });
    }
    for (const { checkpoints: own } of series) {
      const checkpoint = own.at(-1)!;
      benchmarkAblations.push({
        format: 'headspark-benchmark-ablation',
        name: 'solving',
        benchmark: 'aime24',
        checkpoint,
        form,
        task: 'sums',
        factor: 0,
        table: await tableOf(checkpoint, 10, random),
        problems: Object.fromEntries(
          problems.map((id) => [id, { text: 'Find the sum. '.repeat(40), answer: '7' }]),
        ),
      });
    }
  }
  return { benchmarks, benchmarkAblations };
}
