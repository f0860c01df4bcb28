// Whether gates at generated positions can act on pairs: on the tokens of a continuation that the
// model reads. Only the metric nll has one, and its last token is never read.

import { HeadsparkError } from '../errors.js';
import type { GatePositions } from '../head-gate.js';
import type { PairMetric, TokenizedPair } from './types.js';

/** Whether no token of the continuation is read: the first one is predicted from the prompt. */
const readsNone = ({ continuation }: TokenizedPair): boolean => (continuation?.length ?? 0) < 2;

/**
 * What a reader has to know of pairs whose heads are gated at `positions`; empty when nothing.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT where no pair has a generated position.
 */
export function gatedPositionNotes(
  pairs: readonly TokenizedPair[],
  { metric, positions }: { metric: PairMetric; positions: GatePositions },
): string[] {
  if (positions !== 'generated') return [];
  if (metric !== 'nll') {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `positions generated needs the metric nll, which has a continuation, not ${metric}.`,
    );
  }
  const without = pairs.filter(readsNone).length;
  if (without === 0) return [];
  if (without === pairs.length) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'positions generated changes nothing here: every continuation is one token, which the prompt ' +
        'alone predicts; gate at all positions, or give longer continuations.',
    );
  }
  return [
    `${without} of ${pairs.length} pairs have a continuation of one token, which the prompt alone ` +
      'predicts: heads gated at generated positions change nothing there',
  ];
}
