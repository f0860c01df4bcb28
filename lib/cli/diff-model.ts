// Whether the model whose heads a command looks at is one that the diff compares.

import type { DiffHeads, HeadGroup } from '../diff-report.js';
import type { Model } from '../model.js';
import type { Context } from './context.js';

export interface DiffUse {
  readonly path: string;
  readonly report: DiffHeads;
  readonly base: string;
  readonly other: string;
  /** Heads of this group alone; without it those of either circuit. */
  readonly group?: HeadGroup;
}

/** What a reader has to know where the weights are not those of the circuit with the heads. */
function noteOf({ path, report, base, other, group }: DiffUse, model: Model): string | undefined {
  const known = (name: string) => report.circuits?.find((circuit) => circuit.name === name);
  const compared = known(other)?.fingerprint;
  const own = model.fingerprint();
  if (compared === undefined || compared === own) return undefined;
  const { label } = model.info;
  if (known(base)?.fingerprint === own) {
    if (group !== 'emergent') return undefined;
    return (
      `${label} is the base of ${path} (${base}), whose circuit has none of the emergent heads: ` +
      `they are those of ${other}`
    );
  }
  return (
    `${label} has other weights than the models that ${path} compares (${base} and ${other}): ` +
    `its ${group === undefined ? '' : `${group} `}heads need not matter here`
  );
}

/** Warns of a model that the diff does not compare; the notes are for the result. */
export function diffModelNotes(use: DiffUse, model: Model, context: Context): string[] {
  const note = noteOf(use, model);
  if (note === undefined) return [];
  context.warn(`${note}.`);
  return [note];
}
