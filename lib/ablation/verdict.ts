// What a set's comparison with its matched random sets says, in a sentence. Two things can speak for
// a set: its rank among the random sets, and the interval of the difference over pairs, which is about
// other pairs. Neither stands for the other, and where both are silent nothing is shown, which is not
// the same as no harm.

import type { AblationRow, AblationSettings, ControlComparison } from './types.js';

type Settings = Pick<AblationSettings, 'metric' | 'worse' | 'confidence' | 'factors'>;

/** Three digits, for sentences. */
export const short = (value: number): string => String(Number(value.toPrecision(3)) + 0);

/** p-values are compared with 1 - confidence up to rounding: 1/20 is no more than 1 - 0.95. */
export const rounding = 1e-9;

/** `all 20 of its matched random sets`, `19 of its 20 …`: those that hurt less. */
function beatenText({ sets }: ControlComparison, asHarmful: number): string {
  if (sets === 1) return 'its one matched random set';
  const own = asHarmful === 0 ? `all ${sets} of its` : `${sets - asHarmful} of its ${sets}`;
  return `${own} matched random sets`;
}

function verdict(controls: ControlComparison, { worse, confidence }: Settings): string {
  const { sets, rankPValue, difference } = controls;
  const harm = worse === 'lower' ? -1 : 1;
  const [least, most] = [harm * difference.low, harm * difference.high].sort((a, b) => a - b);
  const asHarmful = Math.round(rankPValue * (sets + 1)) - 1;
  const isRanked = rankPValue <= 1 - confidence + rounding;
  const its =
    sets === 1 ? 'its one matched random set does' : 'its matched random sets do on average';
  const beaten = `hurts more than ${beatenText(controls, asHarmful)}`;
  if (least > 0) {
    if (isRanked) return `${beaten}, and the interval over pairs leaves out 0`;
    const few = sets === 1 ? 'one is' : `${sets} are`;
    const but =
      asHarmful === 0 ? `${few} too few for a rank` : `${asHarmful} of ${sets} hurt as much`;
    return `hurts more than ${its}, but ${but}`;
  }
  if (most < 0) return `hurts less than ${its}`;
  if (!isRanked)
    return `is not shown to hurt more than its matched random set${sets === 1 ? '' : 's'}`;
  const why = Number.isFinite(least)
    ? 'the interval over pairs holds 0'
    : 'one pair has no interval';
  return `${beaten}, but ${why}, so that nothing is shown for other pairs`;
}

function sentence({ name, factor, change }: AblationRow, own: ControlComparison, of: Settings) {
  const { estimate, low, high } = own.difference;
  const level = `${Math.round(of.confidence * 1000) / 10} %`;
  const interval = Number.isFinite(low)
    ? `, ${level} interval ${short(low)} to ${short(high)}`
    : '';
  return (
    `${name}: ${factor === 0 ? 'ablating' : 'scaling'} it ${verdict(own, of)}: ${of.metric} ` +
    `changes by ${short(change.estimate)}, with ${own.sets} random ` +
    `set${own.sets === 1 ? '' : 's'} by ${short(own.change.mean)}` +
    `${own.sets === 1 ? '' : ' on average'} (difference ${short(estimate)}${interval}; ` +
    `rank p = ${short(own.rankPValue)})`
  );
}

/**
 * A sentence for every set with controls and every factor; of sets that hold each other (`top-k`) for
 * the largest.
 */
export function verdictsOf(rows: readonly AblationRow[], settings: Settings): string[] {
  return settings.factors.flatMap((factor) => {
    const own = rows.filter((row) => row.factor === factor && row.controls);
    const judged = own.some(({ kind }) => kind === 'top-k') ? own.slice(-1) : own;
    return judged.map((row) => sentence(row, row.controls!, settings));
  });
}
