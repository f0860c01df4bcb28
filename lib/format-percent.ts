// A share as a text for people, the same in tables, notes, summaries and hover texts.

/** `12.5 %` of a share from 0 to 1, with `digits` after the point; a dash where there is none. */
export const formatPercent = (share: number, digits = 1): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : '–';
