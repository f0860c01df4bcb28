// Numbers as texts for people, the same in tables, notes, summaries and hover texts.

/** So many digits after the point; a zero has no sign. */
export const formatFixed = (value: number, digits: number): string =>
  value.toFixed(digits).replace(/^-(?=[0.]*$)/, '');

/** A text of a number with a plus before what is above 0 as it is written. */
export const withSign = (text: string): string =>
  Number(text.replaceAll(',', '')) > 0 ? `+${text}` : text;

/** `12.5 %` of a share from 0 to 1, with `digits` after the point; a dash where there is none. */
export const formatPercent = (share: number, digits = 1): string =>
  Number.isFinite(share) ? `${formatFixed(100 * share, digits)} %` : '–';

/** A change of a share in percentage points, with a sign: `-12.5`; a dash where there is none. */
export const formatPoints = (change: number): string =>
  Number.isFinite(change) ? withSign(formatFixed(100 * change, 1)) : '–';

/** `1 pair`, `1,200 pairs` */
export const plural = (count: number, noun: string): string =>
  `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
