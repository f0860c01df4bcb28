// Means under many weightings in JavaScript, against the plain sum in double precision.

import { expect, test } from 'vitest';
import { weightedMeans } from '../../../lib/diff/weighted-means.js';
import { meansCase, plainMeans } from './means-case.js';

test.each([1, 2, 3, 4, 5, 9])('%i pairs: the bits of the plain sum', (pairs) => {
  const request = meansCase({ pairs, columns: 3000, rows: 3 });
  weightedMeans(request);
  expect(request.means).toEqual(plainMeans(request));
});
