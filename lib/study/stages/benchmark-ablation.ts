// Stage `benchmark-ablation`: what gating heads does to the answers: every set against the unablated
// model and against its matched random sets, with the answers that flipped. Without a model.

import type { EvaluationTable } from '../../evaluation.js';
import { gatedId, gatedPlaces } from '../benchmark-places.js';
import { littleWork, type StageKind } from '../stage.js';
import { samplesNeeds, statisticsOf, tabulate } from './benchmark.js';
import { readResult, writeResult } from './files.js';
import { samplesSummaryFile, samplesSummaryFormat, type SamplesSummary } from './samples.js';

export const benchmarkAblationFile = 'benchmark-ablation.json';
export const benchmarkAblationFormat = 'headspark-benchmark-ablation';

export interface BenchmarkAblationFile {
  readonly format: typeof benchmarkAblationFormat;
  /** Of the plan. */
  readonly name: string;
  readonly benchmark: string;
  readonly checkpoint: string;
  readonly form: string;
  /** Whose diff the heads come from; null where the plan names them. */
  readonly task: string | null;
  readonly factor: number;
  /** Null when the group has no heads. */
  readonly table: EvaluationTable | null;
  /** The problems of kept flips, by id. */
  readonly problems: Readonly<Record<string, { readonly text: string; readonly answer: string }>>;
}

/** Texts and answers of the problems that a table's flips are of. */
function flippedProblems(
  table: EvaluationTable | null,
  problems: readonly { id: string; text: string; answer: string }[],
): BenchmarkAblationFile['problems'] {
  const flips = (table?.rows ?? []).flatMap((row) => row.flips ?? []);
  const flipped = new Set(flips.map(({ problem }) => problem));
  return Object.fromEntries(
    problems
      .filter(({ id }) => flipped.has(id))
      .map(({ id, text, answer }) => [id, { text, answer }]),
  );
}

export const benchmarkAblationStage: StageKind = {
  kind: 'benchmark-ablation',
  title: 'what gating heads does to the answers, with matched random sets',
  revision: 2,
  instances: (study) =>
    gatedPlaces(study).map((place) => ({
      kind: 'benchmark-ablation',
      id: gatedId(place),
      settings: {
        ...statisticsOf(place.spec, study),
        name: place.ablation.name,
        benchmark: place.spec.name,
        checkpoint: place.checkpoint.name,
        form: place.form.name,
        task: place.task ?? null,
        factor: place.factor,
      },
      needs: samplesNeeds(place),
      weights: [],
      checkpoint: place.checkpoint.name,
      work: { ...littleWork, diskBytes: 400_000 },
    })),
  async run({ settings }, context) {
    const place = settings as Pick<
      BenchmarkAblationFile,
      'name' | 'benchmark' | 'checkpoint' | 'form' | 'task' | 'factor'
    >;
    const { name, benchmark, checkpoint, form, task, factor } = place;
    const spec = context.study.benchmarks.find((one) => one.name === benchmark)!;
    const { noHeads } = await readResult<SamplesSummary>(
      context.needed('samples-1', samplesSummaryFile),
      samplesSummaryFormat,
    );
    const table = noHeads ? null : await tabulate(spec, context);
    const { problems } = context.facts.benchmarks.get(benchmark)!.benchmark;
    const file: BenchmarkAblationFile = {
      format: benchmarkAblationFormat,
      name,
      benchmark,
      checkpoint,
      form,
      task,
      factor,
      table,
      problems: flippedProblems(table, problems),
    };
    await writeResult(context.folder, benchmarkAblationFile, file);
  },
};
