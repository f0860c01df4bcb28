// Mistakes in the checkpoints that ablations and `heads` name.

import type { StudyFile } from './schema.js';
import type { Problem } from './source.js';
import type { Study } from './study.js';
import { unknownName } from './unknown-name.js';

/** Names that are neither a post-trained checkpoint nor a series. */
export function chosenProblems(file: StudyFile, study: Study): Problem[] {
  const known = study.series.flatMap(({ label, checkpoints }) => [
    label,
    ...checkpoints.map(({ name }) => name),
  ]);
  return (['ablations', 'heads'] as const).flatMap((key) =>
    file[key].flatMap(({ checkpoints }, index) =>
      typeof checkpoints === 'string'
        ? []
        : checkpoints.flatMap((name, place) => {
            const path = [key, index, 'checkpoints', place];
            return unknownName('post-trained checkpoint or series', name, { known, path });
          }),
    ),
  );
}
