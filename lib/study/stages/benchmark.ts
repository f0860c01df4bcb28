// Stage `benchmark`: what a checkpoint's answers to a benchmark come to: accuracy, pass@k, failure
// modes. Computed from stored samples, without a model.

import { join } from 'node:path';
import { writeFileAtomic } from '../../atomic-file.js';
import { mergeEvaluations, samplesParquet, type EvaluationTable } from '../../evaluation.js';
import { benchmarkId, benchmarkPlaces } from '../benchmark-places.js';
import { littleWork, type Need, type StageContext, type StageKind } from '../stage.js';
import type { BenchmarkSpec, Study } from '../study.js';
import { writeResult } from './files.js';
import { samplesFile, samplesIds } from './samples.js';

export const benchmarkFile = 'benchmark.json';
export const benchmarkFormat = 'headspark-benchmark';

export interface BenchmarkFile {
  readonly format: typeof benchmarkFormat;
  readonly benchmark: string;
  readonly checkpoint: string;
  readonly form: string;
  readonly table: EvaluationTable;
}

/** Needs of the stages that hold the samples of a place. */
export const samplesNeeds = (place: Parameters<typeof samplesIds>[0]): Record<string, Need> =>
  Object.fromEntries(
    samplesIds(place).map((id, index) => [`samples-${index + 1}`, { kind: 'samples', id }]),
  );

/** What decides the figures, beside the samples. */
export const statisticsOf = (spec: BenchmarkSpec, { statistics }: Study) => ({
  confidence: statistics.confidence,
  ...(spec.sampling.ks === undefined ? {} : { ks: spec.sampling.ks }),
});

/** The table of all parts, and every sample as a Parquet file beside it. */
export async function tabulate(
  spec: BenchmarkSpec,
  context: StageContext,
): Promise<EvaluationTable> {
  const journals = Array.from({ length: spec.parts }, (_, index) =>
    context.needed(`samples-${index + 1}`, samplesFile),
  );
  const { table, own, samples } = await mergeEvaluations(journals, {
    ...statisticsOf(spec, context.study),
    signal: context.signal,
  });
  const rows = samplesParquet(table.settings, own, samples);
  await writeFileAtomic(join(context.folder, 'samples.parquet'), rows);
  return table;
}

export const benchmarkStage: StageKind = {
  kind: 'benchmark',
  title: 'scores, pass@k and failure modes of the answers',
  revision: 2,
  instances: (study) =>
    benchmarkPlaces(study).map((place) => ({
      kind: 'benchmark',
      id: benchmarkId(place),
      settings: {
        ...statisticsOf(place.spec, study),
        benchmark: place.spec.name,
        checkpoint: place.checkpoint.name,
        form: place.form.name,
      },
      needs: samplesNeeds(place),
      weights: [],
      checkpoint: place.checkpoint.name,
      work: { ...littleWork, diskBytes: 20_000 },
    })),
  async run({ settings }, context) {
    const { benchmark, checkpoint, form } = settings as Record<string, string>;
    const spec = context.study.benchmarks.find(({ name }) => name === benchmark)!;
    const table = await tabulate(spec, context);
    const file: BenchmarkFile = { format: benchmarkFormat, benchmark, checkpoint, form, table };
    await writeResult(context.folder, benchmarkFile, file);
  },
};
