// Means over prompts with intervals: what one prompt says, and what several do.
import { expect, it } from 'vitest';
import { headRows } from '../../../lib/heads/table.js';
import { nativeProperties } from '../../../lib/heads/properties.js';

it('has an interval from two prompts on', async () => {
  const columns = nativeProperties.length;
  const rowsOf = (prompts: number) =>
    headRows(
      {
        heads: [{ layer: 0, head: 0 }],
        prompts,
        columns,
        values: Float32Array.from({ length: prompts * columns }, (_, i) => Math.floor(i / columns)),
        uniform: new Float32Array(prompts * columns),
        copying: new Float32Array([0.5]),
      },
      { resamples: 200, confidence: 0.95, seed: 0 },
    );
  const [property] = nativeProperties;
  const none = { estimate: 0, low: NaN, high: NaN, prompts: 1 };
  expect((await rowsOf(1))[0].values[property]).toEqual(none);
  expect((await rowsOf(2))[0].values[property]).toEqual({
    estimate: 0.5,
    low: 0,
    high: 1,
    prompts: 2,
  });
});
