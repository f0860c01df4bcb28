// Stage `null-diff`: how many heads "emerge" between two halves of the base's own pairs. It is the
// same for every checkpoint that is compared with that base, so it is computed once.

import { edgeCount } from '../../circuit/shape.js';
import { nullDiff, type NullDiff } from '../../diff/null-diff.js';
import { resamplingWork } from '../../diff/resample.js';
import { readScoreFile } from '../../formats/score-file.js';
import { fastestResampledHeads } from '../../native-resampling.js';
import { pairsKey } from '../facts.js';
import { littleWork, placeId, places, type StageKind } from '../stage.js';
import { scoresFile } from './attribution.js';
import { writeResult } from './files.js';

export const nullDiffFormat = 'headspark-null-diff';

export interface NullDiffFile {
  readonly format: typeof nullDiffFormat;
  /** Null where the study asks for no splits. */
  readonly nullDiff: NullDiff | null;
}

export const nullDiffStage: StageKind = {
  kind: 'null-diff',
  title: 'base against itself: what noise alone makes',
  revision: 2,
  instances: (study, facts) =>
    places(study)
      .filter(({ checkpoint }) => checkpoint.base === checkpoint.name)
      .map((place) => {
        const { checkpoint, task, form } = place;
        const { pairs } = facts.pairs.get(pairsKey(checkpoint.name, task, form))!;
        const edges = edgeCount(facts.checkpoints.get(checkpoint.name)!.shape);
        const { nullRepeats: repeats } = study.statistics;
        return {
          kind: 'null-diff',
          id: placeId(place),
          settings: {
            selection: study.selection,
            base: checkpoint.name,
            seed: study.seed,
            repeats,
          },
          needs: { scores: { kind: 'attribution', id: placeId(place) } },
          weights: [],
          checkpoint: checkpoint.name,
          work: {
            ...littleWork,
            rate: 'resampling' as const,
            units: repeats * 2 * resamplingWork(edges, pairs.length / 2),
            memoryBytes: 4 * edges * (pairs.length + 8),
          },
        };
      }),
  async run({ settings }, context) {
    const { study, signal, onProgress } = context;
    const { nullRepeats: repeats } = study.statistics;
    const table = await readScoreFile(context.needed('scores', scoresFile));
    const noise =
      repeats === 0 || (table.meta.pairCount ?? 2) < 2
        ? null
        : await nullDiff(
            { name: String(settings['base']), table },
            {
              selection: study.selection,
              repeats,
              seed: study.seed,
              resampledHeads: fastestResampledHeads(),
              signal,
              onProgress: ({ done, total }) => onProgress(done / total),
            },
          );
    const file: NullDiffFile = { format: nullDiffFormat, nullDiff: noise };
    await writeResult(context.folder, 'null-diff.json', file);
  },
};
