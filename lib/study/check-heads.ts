// Mistakes about `heads` in a study file, as far as they can be found without opening a model.

import { headProblem } from './check-head-list.js';
import { ablationPlaces, headsPlaces } from './heads-places.js';
import type { StudyFile } from './schema.js';
import type { Problem, ValuePath } from './source.js';
import { placeId } from './stage.js';
import type { HeadsSpec, Study } from './study.js';
import { unknownName } from './unknown-name.js';

function referenceProblems(
  entry: StudyFile['heads'][number],
  file: StudyFile,
  path: ValuePath,
): Problem[] {
  const references = [
    ['task', entry.tasks, file.tasks.map(({ name }) => name), 'tasks'],
    [
      'prompt form',
      entry['prompt-forms'],
      file['prompt-forms'].map(({ name }) => name),
      'prompt-forms',
    ],
  ] as const;
  return references.flatMap(([what, names, known, key]) =>
    (names ?? []).flatMap((name, place) =>
      unknownName(what, name, { known, path: [...path, key, place] }),
    ),
  );
}

/** The plan that `effects` names must ablate single heads wherever the properties are measured. */
function effectsProblems(spec: HeadsSpec, study: Study): Problem[] {
  const { effects } = spec;
  if (effects === undefined) return [];
  const path = [...spec.path, 'effects'];
  const plan = study.ablations.find(({ name }) => name === effects);
  if (!plan) {
    const known = study.ablations.map(({ name }) => name);
    if (known.length > 0) return unknownName('ablation', effects, { known, path });
    return [{ path, message: 'the study has no ablations; name one with single: true there' }];
  }
  if (plan.what.kind !== 'single' || plan.benchmarks) {
    const message = `expected an ablation with single: true on the pairs, which "${effects}" is not`;
    return [{ path, message }];
  }
  if (!plan.factors.includes(0)) {
    const message = `expected an ablation with the factor 0, got factors: ${plan.factors.join(', ')}`;
    return [{ path, message }];
  }
  const run = new Set(ablationPlaces(plan, study).map(placeId));
  const missing = headsPlaces(spec, study).find((place) => !run.has(placeId(place)));
  if (!missing) return [];
  const { checkpoint, task, form } = missing;
  const where = `${checkpoint.name}, ${task}, ${form}`;
  const message = `the ablation "${effects}" is not run everywhere: not for ${where}`;
  return [{ path, message }];
}

/** Everything that is wrong with `heads`. */
export function headsProblems(file: StudyFile, study: Study): Problem[] {
  return file.heads.flatMap((entry, index) => {
    const path = ['heads', index];
    const both: Problem[] =
      entry.which !== undefined && entry.heads !== undefined
        ? [{ path, message: 'expected one of which or heads, got both' }]
        : [];
    const several: Problem[] = entry.heads?.includes(';')
      ? [{ path: [...path, 'heads'], message: 'expected one set of heads, got several' }]
      : [];
    const undrawn: Problem[] =
      entry.maps === 0 && study.source.has([...path, 'map-pair'])
        ? [
            {
              path: [...path, 'map-pair'],
              atKey: true,
              message: 'maps: 0 draws no pair; leave map-pair out',
            },
          ]
        : [];
    return [
      ...both,
      ...undrawn,
      ...several,
      ...headProblem(entry.heads, [...path, 'heads']),
      ...referenceProblems(entry, file, path),
      ...effectsProblems(study.heads[index], study),
    ];
  });
}
