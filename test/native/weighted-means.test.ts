// Means under many weightings by the addon: the bits of those in JavaScript, and its refusals.

import { describe, expect, test } from 'vitest';
import { weightedMeans } from '../../lib/diff/weighted-means.js';
import { fastestMeans, nativeMeans } from '../../lib/native-means.js';
import { meansCase } from '../unit/diff/means-case.js';

describe('weighted means by the addon', () => {
  test.each([
    { pairs: 1, columns: 1, rows: 1 },
    { pairs: 5, columns: 1025, rows: 3 },
    { pairs: 24, columns: 40_000, rows: 16 },
    { pairs: 700, columns: 500, rows: 2 },
  ])('the bits of those in JavaScript: %o', (sizes) => {
    const [here, there] = [meansCase(sizes), meansCase(sizes)];
    weightedMeans(here);
    nativeMeans(there);
    expect(there.means).toEqual(here.means);
  });

  test('it is what is taken where the addon loads', () => {
    expect(fastestMeans()).toBe(nativeMeans);
  });

  test.each([
    ['arrays that do not fit', { rows: 2 }, /must be \[pairs, columns\]/],
    ['no pairs', { weights: new Uint32Array(0) }, /must be \[pairs, columns\]/],
    ['no rows', { rows: 0 }, /rows/],
    ['another type', { values: new Float64Array(12) as unknown as Float32Array }, /Float32Array/],
    ['weights that are all 0', { weights: new Uint32Array(3) }, /all 0/],
    ['a weight without exact products', { weights: Uint32Array.of(1, 2 ** 29, 1) }, /2\^29/],
  ])('%s', (_, change, message) => {
    const request = { ...meansCase({ pairs: 3, columns: 4, rows: 1 }), ...change };
    expect(() => {
      nativeMeans(request);
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
