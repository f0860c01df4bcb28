// Mistakes about `attribution` in a study file: settings that the method does not read, and such as would
// score rounding noise.

import { isIntegrated, zeroGradient } from '../attribution/gradients.js';
import type { StudyFile } from './schema.js';
import type { Problem } from './source.js';
import type { Study } from './study.js';

const words = { method: 'method', metric: 'metric', steps: 'ig-steps', grid: 'ig-grid' };

/** Everything that is wrong with `attribution`. */
export function attributionProblems(file: StudyFile, { attribution, source }: Study): Problem[] {
  const { method } = file.attribution;
  const unread = isIntegrated(method) ? [] : (['ig-steps', 'ig-grid'] as const);
  const noise = zeroGradient(attribution, words);
  return [
    ...unread.flatMap((key): Problem[] => {
      const path = ['attribution', key];
      if (!source.has(path)) return [];
      const message = `is of integrated gradients, which the method ${method} does not take; leave it out`;
      return [{ path, atKey: true, message }];
    }),
    ...(noise === undefined ? [] : [{ path: ['attribution', 'metric'], message: noise }]),
  ];
}
