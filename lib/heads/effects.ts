// The effect of ablating single heads, from an ablation table.

import type { AblationTable } from '../ablation/types.js';
import type { AblationEffects } from './correlation.js';

/**
 * By head how much worse the mean metric gets without it (negative: better), from the rows of a
 * table that ablate one head alone.
 */
export function singleHeadEffects({ settings, variants }: AblationTable): AblationEffects {
  const sign = settings.worse === 'lower' ? -1 : 1;
  return new Map(
    variants
      .filter(({ heads, factor }) => heads.length === 1 && factor === 0)
      .map(({ heads, change }) => [heads[0], sign * change.estimate]),
  );
}
