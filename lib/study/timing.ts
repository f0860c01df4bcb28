// How long a piece of work takes, on a machine that may have other things to do.

/** What is over sooner than this is timed more often. */
const shortSeconds = 1;
const fewestRuns = 2;
export const mostRuns = 4;

/**
 * Seconds of the shortest of two to four runs. The first one also packs weights, fills caches and compiles
 * loops, and any of them may have had another process in its way. The result is
 * the last run's.
 */
export async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  let shortest = Infinity;
  for (let run = 1; ; run++) {
    const start = performance.now();
    const result = await work();
    const seconds = (performance.now() - start) / 1000;
    shortest = Math.min(shortest, seconds);
    const enough = run >= fewestRuns && seconds > shortSeconds;
    if (enough || run === mostRuns) return { seconds: shortest, result };
  }
}
