// Stage `form-diff`: the same weights under two prompt forms (thinking off and on, say), compared
// as base and post are. The study's first form takes the place of the base.

import { placeId, places, type StageKind } from '../stage.js';
import { diffFile, diffOfResults, diffSettings, diffWork } from './diff.js';
import { writeResult } from './files.js';

export const formDiffStage: StageKind = {
  kind: 'form-diff',
  title: 'differences between prompt forms',
  revision: 5,
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
          work: diffWork(place, study, facts),
        },
      ];
    }),
  async run({ settings }, context) {
    const { first, second } = settings as { first: string; second: string };
    const report = await diffOfResults(context, [
      { role: 'first', name: first },
      { role: 'second', name: second },
    ]);
    await writeResult(context.folder, diffFile, report);
  },
};
