// What the stages `benchmark` and `benchmark-ablation` share: both make a table of stored samples,
// with every sample as a Parquet file beside it, without a model.

import { join } from 'node:path';
import { writeFileAtomic } from '../../atomic-file.js';
import { mergeEvaluations, samplesParquet, type EvaluationTable } from '../../evaluation.js';
import type { BenchmarkPlace } from '../benchmark-places.js';
import { littleWork, type StageContext, type StageInstance } from '../stage.js';
import type { BenchmarkSpec, Study } from '../study.js';
import { samplesFile, samplesIds } from './samples.js';

/** Who answered what, in settings and results alike. */
export interface Answered {
  readonly benchmark: string;
  readonly checkpoint: string;
  readonly form: string;
}

/** What decides the figures, beside the samples. */
const statisticsOf = (spec: BenchmarkSpec, { statistics }: Study) => ({
  confidence: statistics.confidence,
  ...(spec.sampling.ks === undefined ? {} : { ks: spec.sampling.ks }),
});

const roleOf = (part: number): string => `samples-${part + 1}`;

/** The role of the first part's samples. */
export const firstSamples = roleOf(0);

/** A stage that makes a table of the samples of a place; `own` are settings of its kind alone. */
export function tableInstance(
  place: BenchmarkPlace,
  of: {
    kind: string;
    id: string;
    study: Study;
    own?: Record<string, unknown>;
    draws: number;
    diskBytes: number;
  },
): StageInstance {
  const { kind, id, study, own = {}, draws, diskBytes } = of;
  const { spec, checkpoint, form } = place;
  const answered: Answered = {
    benchmark: spec.name,
    checkpoint: checkpoint.name,
    form: form.name,
  };
  return {
    kind,
    id,
    settings: { ...statisticsOf(spec, study), ...answered, ...own },
    needs: Object.fromEntries(
      samplesIds(place).map((samples, part) => [roleOf(part), { kind: 'samples', id: samples }]),
    ),
    weights: [],
    checkpoint: checkpoint.name,
    work: { ...littleWork, draws, diskBytes },
  };
}

/** The table of all parts, and every sample as a Parquet file beside it. */
export async function tabulate(
  { benchmark }: Answered,
  context: StageContext,
): Promise<EvaluationTable> {
  const spec = context.study.benchmarks.find(({ name }) => name === benchmark)!;
  const journals = Array.from({ length: spec.parts }, (_, part) =>
    context.needed(roleOf(part), samplesFile),
  );
  const { table, own, samples } = await mergeEvaluations(journals, {
    ...statisticsOf(spec, context.study),
    signal: context.signal,
  });
  const rows = await samplesParquet(table.settings, own, samples);
  await writeFileAtomic(join(context.folder, 'samples.parquet'), rows);
  return table;
}
