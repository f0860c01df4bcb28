// What is said of problems that repeat others: intervals and tests take problems for independent draws.
import type { Benchmark } from './types.js';

/** One sentence; undefined where no problem repeats another. */
export function repeatedProblemsRemark({ problems }: Benchmark): string | undefined {
  const seen = new Set<string>();
  const repeated = problems.filter(({ text }) => {
    const before = seen.size;
    return seen.add(text).size === before;
  });
  if (repeated.length === 0) return undefined;
  return (
    `${repeated.length} of ${problems.length} problems repeat an earlier one (the first is ` +
    `"${repeated[0].id}"): intervals and p-values count them as new ones.`
  );
}
