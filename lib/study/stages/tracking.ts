// Stage `tracking`: the heads of a series over its checkpoints, and whether their numbers move
// with the training logs.

import { formatHead } from '../../head-gate.js';
import { correlateWithLogs, type LogCorrelation } from '../../tracking/log-correlation.js';
import { trackSeries, type SeriesTracking } from '../../tracking/cohorts.js';
import type { CheckpointHeads } from '../../tracking/series.js';
import {
  littleWork,
  placeId,
  type NeededPart,
  type StageContext,
  type StageKind,
} from '../stage.js';
import { slug, type Checkpoint, type Series, type Study } from '../study.js';
import { valuesAtSteps, type TrainingLog } from '../training-log.js';
import { circuitSummaryFile, circuitSummaryFormat, type CircuitSummaryFile } from './circuit.js';
import { readResult, writeResult } from './files.js';

export const trackingFile = 'tracking.json';
export const trackingFormat = 'headspark-tracking';

export interface TrackingFile {
  readonly format: typeof trackingFormat;
  readonly task: string;
  readonly form: string;
  readonly tracking: SeriesTracking;
  /** Whole logs, for drawing, and their values at the checkpoints. */
  readonly logs: readonly (TrainingLog & { readonly atCheckpoints: readonly (number | null)[] })[];
  readonly correlations: LogCorrelation[];
}

/** Every series under every task and prompt form. */
export function seriesPlaces(study: Study): { series: Series; task: string; form: string }[] {
  return study.series.flatMap((series) =>
    study.tasks.flatMap(({ name, forms }) =>
      forms.map(({ form }) => ({ series, task: name, form: form.name })),
    ),
  );
}

export const trackingId = (label: string, task: string, form: string): string =>
  [label, task, form].map(slug).join('.');

type CircuitHeads = Pick<CircuitSummaryFile, 'heads' | 'shape'>;

const headsOfCircuit: NeededPart = {
  name: 'the heads',
  read: async (file): Promise<CircuitHeads> => {
    const path = file(circuitSummaryFile);
    const { heads, shape } = await readResult<CircuitSummaryFile>(path, circuitSummaryFormat);
    return { heads, shape };
  },
};

/** The circuit heads of a checkpoint, from the circuit stage. */
function headsOf(
  context: StageContext,
  role: string,
  { name, step }: Pick<Checkpoint, 'name' | 'step'>,
): CheckpointHeads & { shape: CircuitSummaryFile['shape'] } {
  const { heads, shape } = context.part(role) as CircuitHeads;
  const inside = new Set(heads);
  const mask = Uint8Array.from({ length: shape.layers * shape.heads }, (_, index) => {
    const ref = { layer: Math.floor(index / shape.heads), head: index % shape.heads };
    return inside.has(formatHead(ref)) ? 1 : 0;
  });
  return { name, step, mask, shape };
}

export const trackingStage: StageKind = {
  kind: 'tracking',
  title: 'heads over the checkpoints of every series',
  revision: 5,
  instances: (study, facts) =>
    seriesPlaces(study).map(({ series, task, form }) => {
      const all = [series.base, ...series.checkpoints];
      const { confidence, permutations, blockLength } = study.statistics;
      return {
        kind: 'tracking',
        id: trackingId(series.label, task, form),
        settings: {
          label: series.label,
          regime: series.regime,
          task,
          form,
          steps: all.map(({ name, step }) => ({ name, step })),
          logs: facts.logs.get(series.label)!,
          confidence,
          permutations,
          blockLength,
          seed: study.seed,
        },
        needs: Object.fromEntries(
          all.map((checkpoint) => [
            checkpoint.name,
            { kind: 'circuit', id: placeId({ checkpoint, task, form }), part: headsOfCircuit },
          ]),
        ),
        weights: [],
        work: littleWork,
      };
    }),
  async run({ settings }, context) {
    const { study, facts } = context;
    const { label, task, form } = settings as Record<'label' | 'task' | 'form', string>;
    const series = study.series.find((one) => one.label === label)!;
    const base = headsOf(context, series.base.name, series.base);
    const checkpoints = series.checkpoints.map((one) => headsOf(context, one.name, one));
    const { confidence, permutations, blockLength } = study.statistics;
    const { layers, heads } = base.shape;
    const tracking = trackSeries(
      { label, regime: series.regime, shape: { layers, heads }, base, checkpoints },
      { confidence, seed: study.seed },
    );
    const steps = {
      base: series.base.step,
      checkpoints: series.checkpoints.map(({ step }) => step),
    };
    const logs = facts.logs.get(label)!;
    const values = logs.map((log) => valuesAtSteps(log, steps));
    const file: TrackingFile = {
      format: trackingFormat,
      task,
      form,
      tracking,
      logs: logs.map((log, index) => ({ ...log, atCheckpoints: values[index].values })),
      correlations: correlateWithLogs(tracking, values, {
        confidence,
        permutations,
        ...(blockLength === undefined ? {} : { blockLength }),
        seed: study.seed,
      }),
    };
    await writeResult(context.folder, trackingFile, file);
  },
};
