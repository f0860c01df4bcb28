// Where ablations on pairs and `heads` apply, and which ablation tells the effects of single heads.

import { chosenCheckpoints } from './benchmark-places.js';
import { placeId, places, type Place } from './stage.js';
import { slug, type AblationSpec, type HeadsSpec, type Study } from './study.js';

/** The post-trained checkpoints, tasks and forms that an entry asks for. */
function placesFor(
  spec: Pick<HeadsSpec, 'checkpoints' | 'tasks' | 'forms'>,
  study: Study,
): Place[] {
  const chosen = chosenCheckpoints(spec.checkpoints, study);
  return places(study).filter(
    ({ checkpoint, task, form }) =>
      chosen.has(checkpoint.name) &&
      (spec.tasks?.includes(task) ?? true) &&
      (spec.forms?.includes(form) ?? true),
  );
}

export const ablationPlaces = (spec: AblationSpec, study: Study): Place[] => placesFor(spec, study);

/** An ablation on pairs with one of its factors. */
export interface AblatedPlace {
  readonly spec: AblationSpec;
  readonly place: Place;
  readonly factor: number;
}

/** Every ablation on pairs, with every checkpoint, task, form and factor. */
export function ablatedPlaces(study: Study): AblatedPlace[] {
  return study.ablations
    .filter(({ benchmarks }) => !benchmarks)
    .flatMap((spec) =>
      ablationPlaces(spec, study).flatMap((place) =>
        spec.factors.map((factor) => ({ spec, place, factor })),
      ),
    );
}

export const ablationId = ({ spec, place, factor }: AblatedPlace): string =>
  `${slug(spec.name)}.${placeId(place)}.x${factor}`;

export const headsPlaces = (spec: HeadsSpec, study: Study): Place[] => placesFor(spec, study);

/** The plan whose single heads, ablated there, tell the effects: the named or the first one. */
export function effectsPlan(spec: HeadsSpec, place: Place, study: Study): AblationSpec | undefined {
  const { checkpoint, task, form } = place;
  return study.ablations.find(
    (plan) =>
      (spec.effects === undefined || plan.name === spec.effects) &&
      plan.what.kind === 'single' &&
      !plan.benchmarks &&
      plan.factors.includes(0) &&
      ablationPlaces(plan, study).some(
        (other) => other.checkpoint === checkpoint && other.task === task && other.form === form,
      ),
  );
}
