// How long work takes: the shortest of some runs, since another process may stand in the way.
import { afterEach, expect, it, vi } from 'vitest';
import { timed } from '../../../lib/study/timing.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Work whose runs take these seconds; gives the number of the run. */
function runsOf(seconds: readonly number[]) {
  let [clock, run] = [0, 0];
  vi.spyOn(performance, 'now').mockImplementation(() => clock * 1000);
  return () => {
    clock += seconds[run];
    return Promise.resolve(++run);
  };
}

it.each([
  ['short work four times', [0.5, 0.3, 0.2, 0.4, 0.1], { seconds: 0.2, result: 4 }],
  ['long work twice', [100, 2, 1], { seconds: 2, result: 2 }],
  ['long work that was hindered the second time', [2, 100, 1], { seconds: 2, result: 2 }],
  ['short work until it turns out long', [3, 0.5, 2, 1], { seconds: 0.5, result: 3 }],
])('times %s', async (_, seconds, expected) => {
  const { seconds: shortest, result } = await timed(runsOf(seconds));
  expect(shortest).toBeCloseTo(expected.seconds, 9);
  expect(result).toBe(expected.result);
});
