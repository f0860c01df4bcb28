// Stage `benchmark-ablation`: what gating heads does to the answers: every set against the unablated
// model and against its matched random sets, with the answers that flipped. Without a model.

import type { EvaluationTable } from '../../evaluation.js';
import { answerDraws } from '../draws.js';
import { gatedId, gatedPlaces } from '../benchmark-places.js';
import type { StageKind } from '../stage.js';
import { rowCounts } from '../variant-counts.js';
import { firstSamples, tableInstance, tabulate, type Answered } from './benchmark-tables.js';
import { readResult, writeResult } from './files.js';
import { samplesSummaryFile, samplesSummaryFormat, type SamplesSummary } from './samples.js';

export const benchmarkAblationFile = 'benchmark-ablation.json';
export const benchmarkAblationFormat = 'headspark-benchmark-ablation';

/** A plan at a place, in settings and results alike. */
interface GatedAnswers extends Answered {
  /** Of the plan. */
  readonly name: string;
  /** Whose diff the heads come from; null where the plan names them. */
  readonly task: string | null;
  readonly factor: number;
}

export interface BenchmarkAblationFile extends GatedAnswers {
  readonly format: typeof benchmarkAblationFormat;
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
  revision: 8,
  instances: (study, facts) =>
    gatedPlaces(study).map((place) => {
      const { spec, ablation, checkpoint } = place;
      const { problems } = facts.benchmarks.get(spec.name)!.benchmark;
      const rows = rowCounts(ablation, facts.checkpoints.get(checkpoint.name)!.shape);
      return tableInstance(place, {
        kind: 'benchmark-ablation',
        id: gatedId(place),
        study,
        own: { name: place.ablation.name, task: place.task ?? null, factor: place.factor },
        draws: answerDraws(spec, problems.length, rows),
        diskBytes: 400_000,
      });
    }),
  async run({ settings }, context) {
    const { name, benchmark, checkpoint, form, task, factor } = settings as unknown as GatedAnswers;
    const { noHeads } = await readResult<SamplesSummary>(
      context.needed(firstSamples, samplesSummaryFile),
      samplesSummaryFormat,
    );
    const table = noHeads ? null : await tabulate({ benchmark, checkpoint, form }, context);
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
