// Stage `attribution`: the scores of every edge of a checkpoint, with those of every pair, which
// bootstraps rebuild circuits from. A journal keeps finished pairs.

import { join } from 'node:path';
import { attribute } from '../../attribution.js';
import { edgeCount } from '../../circuit/shape.js';
import { writeScoreFile } from '../../formats/score-file.js';
import { pairsKey, type Facts } from '../facts.js';
import { placeId, places, type Place, type StageKind, type StageWork } from '../stage.js';
import type { AttributionSettings } from '../study.js';
import { writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

export const scoresFile = 'scores.pt';

/** The metric of every pair, [pairs] each. */
export interface PairMetrics {
  readonly format: 'headspark-pair-metrics';
  readonly metric: string;
  readonly clean: number[];
  readonly corrupted: number[];
}

/** Forward and backward passes over one pair. */
function passes(settings: AttributionSettings, edges: number, layers: number) {
  const { method, igSteps } = settings;
  switch (method) {
    case 'eap':
      return { forwards: 2, backwards: 1 };
    case 'clean-corrupted':
      return { forwards: 2, backwards: 2 };
    case 'eap-ig':
      // The left grid's first step is the corrupted run itself, the right grid's last the clean one.
      return { forwards: igSteps + (settings.igGrid === 'midpoint' ? 2 : 1), backwards: igSteps };
    case 'eap-ig-activations':
      return { forwards: 2 + (2 * layers + 1) * igSteps, backwards: (2 * layers + 1) * igSteps };
    case 'information-flow-routes':
      return { forwards: 2, backwards: 0 };
    case 'exact':
      return { forwards: 2 + edges, backwards: 0 };
  }
}

function workOf({ checkpoint, task, form }: Place, facts: Facts, settings: AttributionSettings) {
  const { shape } = facts.checkpoints.get(checkpoint.name)!;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const edges = edgeCount(shape);
  const { forwards, backwards } = passes(settings, edges, shape.layers);
  const scoreBytes = 4 * edges * (pairs.length + 1);
  return {
    forwards: forwards * pairs.length,
    backwards: backwards * pairs.length,
    rate: 'attribution',
    units: pairs.length,
    memoryBytes: 2 * scoreBytes,
    diskBytes: scoreBytes + 4 * edges,
  } satisfies StageWork;
}

export const attributionStage: StageKind = {
  kind: 'attribution',
  title: 'edge scores',
  revision: 2,
  instances: (study, facts) =>
    places(study).map((place) => {
      const { checkpoint, task, form } = place;
      return {
        kind: 'attribution',
        id: placeId(place),
        settings: { ...study.attribution, checkpoint: checkpoint.name },
        needs: { pairs: pairsNeed(place, study) },
        weights: [checkpoint.name],
        checkpoint: checkpoint.name,
        work: workOf({ checkpoint, task, form }, facts, study.attribution),
      };
    }),
  async run({ settings }, context) {
    const { study, folder, signal, onProgress } = context;
    const { checkpoint } = settings as { checkpoint: string };
    const pairs = await neededPairs(context);
    const { pairMetrics, ...table } = await attribute(await context.model(checkpoint), pairs, {
      ...study.attribution,
      keepPairScores: true,
      journal: join(context.stateFolder, 'scores.journal'),
      signal,
      onProgress: ({ done, total }) => onProgress(total > 0 ? done / total : 0),
    });
    // Names of the study instead of paths: the same bytes wherever the folders lie.
    const meta = { ...table.meta, model: checkpoint, adapter: undefined };
    await writeScoreFile(join(folder, scoresFile), { ...table, meta });
    const metrics: PairMetrics = {
      format: 'headspark-pair-metrics',
      metric: study.attribution.metric,
      clean: Array.from(pairMetrics.clean),
      corrupted: Array.from(pairMetrics.corrupted),
    };
    await writeResult(folder, 'metrics.json', metrics);
  },
};
