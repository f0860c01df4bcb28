// How many variants an ablation runs: an upper bound before the diff is known.

import { matchedControlCount } from '../diff/matched-controls.js';
import { parseHeadSets, type HeadShape } from '../head-gate.js';
import type { RowCounts } from './draws.js';
import type { AblationSpec } from './study.js';

/** Random sets that are matched in layers: a layer has few others for a head alone. */
function randomSets({ what, controls }: AblationSpec, shape: HeadShape): number {
  if (what.kind === 'single') return 0;
  if (what.kind === 'heads') {
    const counts = parseHeadSets(what.heads, shape).map((set) =>
      matchedControlCount(set, { shape, count: controls }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
  return Math.min(controls, shape.heads - 1) + (what.topK - 1) * controls;
}

/** Sets of heads and all their random sets. */
export function rowCounts(spec: AblationSpec, shape: HeadShape): RowCounts {
  const { what, controls, match } = spec;
  if (what.kind === 'single') return { sets: shape.layers * shape.heads, random: 0 };
  const sets = what.kind === 'group' ? what.topK : parseHeadSets(what.heads, shape).length;
  return { sets, random: match === 'layer' ? randomSets(spec, shape) : sets * controls };
}

/** The whole model, the sets and the random ones. */
export function variantCount(spec: AblationSpec, shape: HeadShape): number {
  const { sets, random } = rowCounts(spec, shape);
  return 1 + sets + random;
}

/** A single head leaves the layers below it as they are; those of a set may be anywhere. */
export function wholePasses(spec: AblationSpec, shape: HeadShape): number {
  const { layers } = shape;
  if (spec.what.kind !== 'single') return variantCount(spec, shape);
  return 1 + (rowCounts(spec, shape).sets * (layers + 1)) / (2 * layers);
}
