// What few random sets can show: the p-value of a rank among n sets is never below 1 / (n + 1).

import { short } from './verdict.js';

/** From so many random sets on a rank p-value can reach 0.05. */
const enoughSets = 19;

interface ComparedRow {
  readonly name: string;
  readonly controls?: { readonly sets: number } | undefined;
}

/** What few random sets leave open: of all rows alike in one note, else named. */
export function rankNotes(rows: readonly ComparedRow[], wanted: number): string[] {
  const compared = rows.filter(({ controls }) => controls && controls.sets > 0);
  const counts = [...new Set(compared.map(({ controls }) => controls!.sets))];
  return counts
    .filter((sets) => sets < enoughSets)
    .sort((a, b) => a - b)
    .map((sets) => {
      const own = compared.filter(({ controls }) => controls!.sets === sets);
      const names = counts.length === 1 ? '' : `${own.map(({ name }) => name).join(', ')}: `;
      const advice =
        sets < wanted ? 'the matching leaves no more' : `use at least ${enoughSets} to reach 0.05`;
      const noun = sets === 1 ? 'set' : 'sets';
      return (
        `${names}with ${sets} control ${noun} a rank p-value cannot be below ` +
        `${short(1 / (sets + 1))}; ${advice}`
      );
    });
}
