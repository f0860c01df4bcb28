// What to say of a circuit without edges.

import type { BuildCircuitOptions } from './circuit.js';

/**
 * Why a circuit has no edges and what to do, in one or two sentences. `greedy` says how a circuit is
 * grown from the logits where the reader is: an option, or a line of a study file.
 */
export function emptyCircuitNote(
  whose: string,
  selection: BuildCircuitOptions | null,
  greedy: string,
): string {
  if (!selection) return `${whose} is empty.`;
  if (selection.prune === false) return `${whose} is empty: no edge was selected.`;
  const otherwise =
    selection.rule === 'greedy' ? '' : `, or grow the circuit from the logits with ${greedy}`;
  return (
    `${whose} is empty: no selected edge lies on a path of selected edges from the input to the ` +
    `logits. Select more edges${otherwise}.`
  );
}
