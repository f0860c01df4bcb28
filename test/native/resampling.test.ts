// Means under many weightings and the heads of their circuits by the addon: the bits of those in
// JavaScript, and its refusals.

import { describe, expect, test } from 'vitest';
import type { BuildCircuitOptions } from '../../lib/circuit/circuit.js';
import { graphOf } from '../../lib/circuit/graph.js';
import { resampledHeads, type ResampledHeadsRequest } from '../../lib/diff/resampled-heads.js';
import { weightedMeans } from '../../lib/diff/weighted-means.js';
import {
  fastestMeans,
  fastestResampledHeads,
  nativeMeans,
  nativeResampledHeads,
} from '../../lib/native-resampling.js';
import { Random } from '../../lib/stats/random.js';
import { SHAPES, shapeOf } from '../unit/circuit/helpers.js';
import { meansCase } from '../unit/diff/means-case.js';

test('the addon is what is taken where it loads', () => {
  expect(fastestMeans()).toBe(nativeMeans);
  expect(fastestResampledHeads()).toBe(nativeResampledHeads);
});

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

const shapes = {
  ...SHAPES,
  'one group a head': shapeOf({ layers: 2, heads: 3, keyValueHeads: 3, kvEdges: 'grouped' }),
  'one layer, one head': shapeOf({ layers: 1, heads: 1 }),
  'more edges than fit one block': shapeOf({ layers: 6, heads: 6 }),
};

/** `levels` makes scores coarse, so that some are equal, some 0 and some -0. */
function headsCase(
  shape: (typeof shapes)[keyof typeof shapes],
  selection: BuildCircuitOptions,
  { levels, pairs = 5, rows = 7 }: { levels: number; pairs?: number; rows?: number },
): ResampledHeadsRequest {
  const graph = graphOf(shape);
  const { edgeCount } = graph;
  const random = new Random(edgeCount);
  const values = Float32Array.from({ length: pairs * edgeCount }, () => {
    const value = random.uniform() * 2 - 1;
    return levels > 0 ? Math.round(value * levels) / levels : value;
  });
  // Weight on one pair makes a row of that pair's own scores.
  const weights = Uint32Array.from({ length: rows * pairs }, (_, index) =>
    index % (pairs + 1) === 0 ? 3 : index < 2 * pairs ? 0 : random.below(3),
  );
  return { graph, selection, values, weights, rows, means: new Float32Array(rows * edgeCount) };
}

const shares = [0, 0.1, 0.5, 1];

describe('heads of resampled circuits by the addon', () => {
  describe.each(Object.keys(shapes) as (keyof typeof shapes)[])('%s', (name) => {
    const shape = shapes[name];
    const { edgeCount } = graphOf(shape);
    const selections: BuildCircuitOptions[] = (['absolute', 'signed'] as const).flatMap((ranking) =>
      [true, false].flatMap((prune): BuildCircuitOptions[] => [
        ...shares.map((share) => {
          const n = Math.round(share * edgeCount);
          return { rule: 'top-n' as const, n, ranking, prune };
        }),
        ...shares.map((share) => {
          const n = Math.round(share * edgeCount);
          return { rule: 'greedy' as const, n, ranking, prune };
        }),
        { rule: 'top-n', n: Math.ceil(edgeCount / 2), tau: 0.25, ranking, prune },
        { rule: 'threshold', tau: 0.4, ranking, prune },
        { rule: 'threshold', tau: -0.5, ranking, prune },
      ]),
    );
    test.each([0, 2])('the bits of those in JavaScript, scores of %d levels', (levels) => {
      for (const selection of selections) {
        const [here, there] = [0, 1].map(() => headsCase(shape, selection, { levels }));
        const expected = resampledHeads(here);
        const heads = nativeResampledHeads(there);
        expect(heads.map(({ mask }) => [...mask])).toEqual(expected.map(({ mask }) => [...mask]));
        expect(heads.map(({ importance }) => [...importance])).toEqual(
          expected.map(({ importance }) => [...importance]),
        );
        expect(there.means).toEqual(here.means);
      }
    });
  });

  const small = shapes['one layer, one head'];
  const refusal = (selection: BuildCircuitOptions, change: Partial<ResampledHeadsRequest>) => {
    const request = { ...headsCase(small, selection, { levels: 0 }), ...change };
    try {
      nativeResampledHeads(request);
    } catch (error) {
      return error;
    }
    return undefined;
  };
  const nan = headsCase(small, { rule: 'greedy', n: 1 }, { levels: 0 });
  nan.values[3] = NaN;

  test.each<
    [string, string, BuildCircuitOptions, Partial<ResampledHeadsRequest>, RegExp]
  >([
    ['INVALID_ARGUMENT', 'more edges than there are', { rule: 'top-n', n: 1000 }, {}, /n is below/],
    ['INVALID_ARGUMENT', 'a negative n', { rule: 'greedy', n: -1 }, {}, /'n' must be/],
    ['INVALID_ARGUMENT', 'tau that is no number', { rule: 'threshold', tau: NaN }, {}, /tau/],
    [
      'INVALID_ARGUMENT',
      "another graph's scores",
      { rule: 'greedy', n: 1 },
      { graph: graphOf(SHAPES['parallel']) },
      /a column for every edge/,
    ],
    [
      'TENSOR_VALUE',
      'a score that is no number',
      { rule: 'greedy', n: 1 },
      { values: nan.values },
      /the score of edge 3 is .*nan/,
    ],
  ])('%s: %s', (code, _, selection, change, message) => {
    expect(refusal(selection, change)).toMatchObject({
      code: `ERR_HEADSPARK_${code}`,
      message: expect.stringMatching(message) as string,
    });
  });
});
