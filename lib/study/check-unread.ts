// Settings of a study file that nothing reads: refused, since whoever wrote them expects an effect.

import type { StudyFile } from './schema.js';
import type { Problem } from './source.js';

/** What an ablation has no use for, by key. */
function unreadOf({ heads, single }: StudyFile['ablations'][number]): Record<string, string> {
  if (single === true) {
    return {
      'top-k': 'every head is gated alone; leave top-k out',
      controls: 'single heads are set against no random sets; leave controls out',
    };
  }
  if (heads === undefined) return {};
  return { 'top-k': 'named sets are gated as they are; leave top-k out' };
}

/** A problem for every setting without a reader. */
export function unreadProblems({ ablations }: StudyFile): Problem[] {
  return ablations.flatMap((entry, index) =>
    Object.entries(unreadOf(entry)).flatMap(([key, message]): Problem[] =>
      entry[key as keyof typeof entry] === undefined
        ? []
        : [{ path: ['ablations', index, key], atKey: true, message }],
    ),
  );
}
