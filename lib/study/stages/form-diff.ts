// Stage `form-diff`: the same weights under two prompt forms (thinking off and on, say), compared
// as base and post are. The study's first form takes the place of the base.

import { diff } from '../../circuit-diff.js';
import { readScoreFile } from '../../formats/score-file.js';
import { placeId, places, type StageKind } from '../stage.js';
import { scoresFile } from './attribution.js';
import { diffFile, diffSettings, resamplingWork } from './diff.js';
import { writeResult } from './files.js';

export const formDiffStage: StageKind = {
  kind: 'form-diff',
  title: 'differences between prompt forms',
  revision: 1,
  instances: (study, facts) =>
    places(study).flatMap((place) => {
      const forms = study.tasks.find(({ name }) => name === place.task)!.forms;
      const first = forms[0].form.name;
      if (place.form === first) return [];
      const reference = placeId({ ...place, form: first });
      return [
        {
          kind: 'form-diff',
          id: placeId({ ...place, form: `${first}-${place.form}` }),
          settings: { ...diffSettings(study), first, second: place.form },
          needs: {
            first: { kind: 'attribution', id: reference },
            second: { kind: 'attribution', id: placeId(place) },
          },
          weights: [],
          checkpoint: place.checkpoint.name,
          work: resamplingWork(place, study, facts),
        },
      ];
    }),
  async run({ settings }, context) {
    const { study, signal, onProgress } = context;
    const { first, second } = settings as { first: string; second: string };
    const inputs = [
      { name: first, table: await readScoreFile(context.needed('first', scoresFile)) },
      { name: second, table: await readScoreFile(context.needed('second', scoresFile)) },
    ];
    const report = await diff(inputs, {
      selection: study.selection,
      seed: study.seed,
      confidence: study.statistics.confidence,
      resamples: study.statistics.resamples,
      nullRepeats: 0,
      signal,
      onProgress: (done, total) => onProgress(done / total),
    });
    await writeResult(context.folder, diffFile, report);
  },
};
