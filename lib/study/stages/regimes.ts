// Stage `regimes`: the series side by side: do they bring up the same heads (every combination
// against chance within layers), at which depth, and how does a corrupted reward compare.

import { headName } from '../../tracking/series.js';
import { compareDepths, type DepthReport } from '../../tracking/depth.js';
import { regimeOverlap, type RegimeOverlap } from '../../tracking/overlap.js';
import type { SeriesTracking } from '../../tracking/cohorts.js';
import { overlapDraws } from '../draws.js';
import { littleWork, type NeededPart, type StageKind } from '../stage.js';
import { slug, type Series, type Study } from '../study.js';
import { readResult, writeResult } from './files.js';
import { trackingFile, trackingFormat, trackingId, type TrackingFile } from './tracking.js';

export const regimesFormat = 'headspark-regimes';

/** Which emergent heads of a series are compared. */
export const emergentViews = ['final', 'ever'] as const;
export type EmergentView = (typeof emergentViews)[number];

export interface OverlapOfBase {
  readonly base: string;
  /** Emergent at the last checkpoint, or at any. */
  readonly view: EmergentView;
  readonly overlap: RegimeOverlap;
}

/** A series with a corrupted reward beside the one with the true reward. */
export interface CorruptedReward {
  readonly genuine: string;
  readonly corrupted: string;
  readonly sides: {
    readonly label: string;
    readonly emergentEver: number;
    readonly emergentFinal: number;
    readonly retainedFinal: number;
    readonly vanishedAgain: number;
  }[];
  readonly overlap: Record<EmergentView, RegimeOverlap>;
}

export interface RegimesFile {
  readonly format: typeof regimesFormat;
  readonly task: string;
  readonly form: string;
  readonly overlaps: OverlapOfBase[];
  readonly depth: DepthReport;
  readonly corruptedRewards: CorruptedReward[];
}

/** Without statistics. */
type TrackedHeads = Omit<SeriesTracking, 'cohorts' | 'survival'>;

const withoutStatistics = ({
  cohorts: _cohorts,
  survival: _survival,
  ...heads
}: SeriesTracking): TrackedHeads => heads;

const trackedHeads: NeededPart = {
  name: 'the heads of every checkpoint',
  read: async (file): Promise<TrackedHeads> => {
    const path = file(trackingFile);
    const { tracking } = await readResult<TrackingFile>(path, trackingFormat);
    return withoutStatistics(tracking);
  },
};

interface Tracked {
  readonly series: Series;
  readonly tracking: TrackedHeads;
}

/** [layers * heads] masks of a series' heads. */
function masksOf({ tracking }: Tracked): Record<EmergentView | 'base', Uint8Array> {
  const { shape, heads } = tracking;
  const mask = (test: (head: SeriesTracking['heads'][number]) => boolean): Uint8Array => {
    const inside = new Set(heads.filter(test).map(({ name }) => name));
    return Uint8Array.from({ length: shape.layers * shape.heads }, (_, index) =>
      inside.has(headName(index, shape)) ? 1 : 0,
    );
  };
  return {
    base: mask(({ kind }) => kind === 'base'),
    ever: mask(({ kind }) => kind === 'emergent'),
    final: mask(({ kind, final }) => kind === 'emergent' && final),
  };
}

function overlapOf(tracked: readonly Tracked[], view: EmergentView, study: Study): RegimeOverlap {
  const masks = tracked.map(masksOf);
  return regimeOverlap(
    tracked.map(({ series }, index) => ({ name: series.label, mask: masks[index][view] })),
    {
      shape: tracked[0].tracking.shape,
      base: masks[0].base,
      permutations: study.statistics.permutations,
      seed: study.seed,
    },
  );
}

function corruptedOf(tracked: readonly Tracked[], study: Study): CorruptedReward[] {
  return tracked.flatMap((corrupted) => {
    const label = corrupted.series.corruptedRewardOf;
    const genuine = tracked.find(({ series }) => series.label === label);
    if (!genuine) return [];
    const both = [genuine, corrupted];
    return [
      {
        genuine: genuine.series.label,
        corrupted: corrupted.series.label,
        sides: both.map(({ series, tracking }) => ({
          label: series.label,
          emergentEver: tracking.everActive.emergent,
          emergentFinal: tracking.steps.at(-1)!.emergent.length,
          retainedFinal: tracking.steps.at(-1)!.retained,
          vanishedAgain: tracking.vanishedAgain.length,
        })),
        overlap: {
          final: overlapOf(both, 'final', study),
          ever: overlapOf(both, 'ever', study),
        },
      },
    ];
  });
}

export const regimesStage: StageKind = {
  kind: 'regimes',
  title: 'series side by side',
  revision: 1,
  instances: (study, facts) => {
    if (study.series.length < 2) return [];
    const { layers, heads: perLayer } = facts.checkpoints.get(study.bases[0].name)!.shape;
    const heads = layers * perLayer;
    return study.tasks.flatMap(({ name: task, forms }) =>
      forms.map(({ form }) => ({
        kind: 'regimes',
        id: [task, form.name].map(slug).join('.'),
        settings: {
          task,
          form: form.name,
          permutations: study.statistics.permutations,
          seed: study.seed,
          corrupted: study.series.map(({ corruptedRewardOf }) => corruptedRewardOf ?? null),
        },
        needs: Object.fromEntries(
          study.series.map(({ label }) => [
            label,
            { kind: 'tracking', id: trackingId(label, task, form.name), part: trackedHeads },
          ]),
        ),
        weights: [],
        work: { ...littleWork, draws: overlapDraws(study.series.length, heads, study) },
      })),
    );
  },
  async run({ settings }, context) {
    const { study } = context;
    const { task, form } = settings as Record<'task' | 'form', string>;
    const tracked: Tracked[] = [];
    for (const series of study.series) {
      tracked.push({ series, tracking: context.part(series.label) as TrackedHeads });
    }
    const ofBase = (base: string) => tracked.filter(({ series }) => series.base.name === base);
    const overlaps = study.bases
      .filter(({ name }) => ofBase(name).length > 1)
      .flatMap(({ name: base }) =>
        emergentViews.map((view) => ({
          base,
          view,
          overlap: overlapOf(ofBase(base), view, study),
        })),
      );
    const depth = compareDepths(
      tracked.map((one) => ({
        name: one.series.label,
        shape: one.tracking.shape,
        mask: masksOf(one).ever,
      })),
      { permutations: study.statistics.permutations, seed: study.seed },
    );
    const file: RegimesFile = {
      format: regimesFormat,
      task,
      form,
      overlaps,
      depth,
      corruptedRewards: corruptedOf(tracked, study),
    };
    await writeResult(context.folder, 'regimes.json', file);
  },
};
