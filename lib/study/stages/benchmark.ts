// Stage `benchmark`: what a checkpoint's answers to a benchmark come to: accuracy, pass@k, failure
// modes.

import type { EvaluationTable } from '../../evaluation.js';
import { answerDraws } from '../draws.js';
import { benchmarkId, benchmarkPlaces } from '../benchmark-places.js';
import type { StageKind } from '../stage.js';
import { tableInstance, tabulate, type Answered } from './benchmark-tables.js';
import { writeResult } from './files.js';

export const benchmarkFile = 'benchmark.json';
export const benchmarkFormat = 'headspark-benchmark';

export interface BenchmarkFile extends Answered {
  readonly format: typeof benchmarkFormat;
  readonly table: EvaluationTable;
}

export const benchmarkStage: StageKind = {
  kind: 'benchmark',
  title: 'scores, pass@k and failure modes of the answers',
  revision: 6,
  instances: (study, facts) =>
    benchmarkPlaces(study).map((place) => {
      const { problems } = facts.benchmarks.get(place.spec.name)!.benchmark;
      return tableInstance(place, {
        kind: 'benchmark',
        id: benchmarkId(place),
        study,
        draws: answerDraws(place.spec, problems.length, { sets: 0, random: 0 }),
        diskBytes: 20_000,
      });
    }),
  async run({ settings }, context) {
    const { benchmark, checkpoint, form } = settings as unknown as Answered;
    const table = await tabulate({ benchmark, checkpoint, form }, context);
    const file: BenchmarkFile = { format: benchmarkFormat, benchmark, checkpoint, form, table };
    await writeResult(context.folder, benchmarkFile, file);
  },
};
