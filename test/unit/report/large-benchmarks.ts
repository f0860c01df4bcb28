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

const problems = Array.from({ length: 30 }, (_, index) => `aime-${index}`);
const samples = 4;
/** Characters of an answer. */
const textLength = 9_000;

function settingsOf(model: string, sets: number): EvaluationSettings {
  const gated = Array.from({ length: sets }, (_, index) => ({
    name: `emergent top-${index + 1}`,
    kind: 'set' as const,
    heads: [`a${index}.h1`],
    factor: 0,
  }));
  return {
    verb: 'evaluate',
    headspark: '0',
    model,
    modelFingerprint: 'f'.repeat(32),
    device: 'cpu',
    isa: 'portable',
    precision: 'exact',
    benchmark: 'aime24',
    benchmarkHash: '0',
    problems,
    prompt: { template: 'chat', thinking: 'on', system: null, suffix: 'boxed' },
    variants: [{ name: 'unablated', kind: 'unablated', heads: [], factor: 1 }, ...gated],
    match: 'layer',
    factors: [0],
    ablation: 'zero',
    references: [],
    positions: 'all',
    samples,
    sampling: { temperature: 0.6, topP: 0.95, topK: 0, minP: 0, repetitionPenalty: 1 },
    maxNewTokens: 4096,
    stopStrings: [],
    stopTokens: [],
    seed: 0,
    sources: ['boxed'],
    modulus: null,
    planNotes: [],
  };
}

function recordOf(random: Random): SampleRecord {
  const correct = random.uniform() < 0.5;
  const words = Array.from({ length: textLength / 8 }, (_, at) =>
    at % 20 === 0 ? `step <${at}>` : `plus ${random.below(90) + 10}.`,
  );
  return {
    text: words.join(' '),
    tokens: [1],
    finish: 'stop-token',
    promptTokens: 100,
    nearestTie: null,
    answer: String(random.below(1000)),
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
  };
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
