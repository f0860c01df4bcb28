// Set arithmetic on head masks and on ascending edge lists.

/** |a ∩ b|, |a \ b| and |b \ a|. */
export interface Overlap {
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
}

/** Overlap of two ascending lists without repeats. */
export function overlapOfSorted(a: Uint32Array, b: Uint32Array): Overlap {
  let both = 0;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const left = a[i];
    const right = b[j];
    if (left === right) both++;
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return { both, onlyFirst: a.length - both, onlySecond: b.length - both };
}

/** Overlap of two masks of one length. */
export function overlapOfMasks(a: Uint8Array, b: Uint8Array): Overlap {
  let both = 0;
  let onlyFirst = 0;
  let onlySecond = 0;
  for (let index = 0; index < a.length; index++) {
    if (a[index] && b[index]) both++;
    else if (a[index]) onlyFirst++;
    else if (b[index]) onlySecond++;
  }
  return { both, onlyFirst, onlySecond };
}

/** |a ∩ b| / |a ∪ b|; two empty sets are equal, so 1. */
export function jaccard({ both, onlyFirst, onlySecond }: Overlap): number {
  const union = both + onlyFirst + onlySecond;
  return union === 0 ? 1 : both / union;
}

/** How a head fares from the base circuit to another one. */
export type HeadStatus = 'retained' | 'emergent' | 'vanished' | 'absent';

/** retained = base ∩ other, emergent = other \ base, vanished = base \ other. */
export function headStatus(inBase: boolean, inOther: boolean): HeadStatus {
  if (inBase) return inOther ? 'retained' : 'vanished';
  return inOther ? 'emergent' : 'absent';
}
