// Correlations of head properties with ablation effects.
import { describe, expect, it } from 'vitest';
import {
  correlatedNames,
  correlateWithEffects,
  headPropertyNames,
  singleHeadEffects,
  type HeadPropertyName,
  type HeadRow,
} from '../../../lib/heads/index.js';
import type { AblationTable } from '../../../lib/ablation/types.js';
import { holmAdjust } from '../../../lib/stats/several-tests.js';
import { spearman } from '../../../lib/stats/spearman.js';

/** Heads of 3 layers x 4, with `values` of one property. */
function rowsWith(property: HeadPropertyName, values: readonly (number | null)[]): HeadRow[] {
  return values.map((value, index) => ({
    name: `a${Math.floor(index / 4)}.h${index % 4}`,
    layer: Math.floor(index / 4),
    head: index % 4,
    values: Object.fromEntries(
      headPropertyNames.map((name) => [
        name,
        name === property && value !== null
          ? { estimate: value, low: value, high: value, prompts: 1 }
          : null,
      ]),
    ) as HeadRow['values'],
  }));
}

const effectsOf = (rows: readonly HeadRow[], values: readonly number[]) =>
  new Map(rows.map(({ name }, index) => [name, values[index]]));

const x = [0.1, 0.5, 0.2, 0.9, 0.3, 0.7, 0.6, 0.4, 1.1, 0.8, 1.2, 1];
const y = [1, 4, 3, 9, 2, 8, 5, 6, 11, 7, 12, 10];
const quick = { resamples: 200, permutations: 999 };

describe('correlateWithEffects', () => {
  const rows = rowsWith('entropy', x);
  const result = correlateWithEffects(rows, effectsOf(rows, y), quick);
  const of = (name: string) => result.find(({ property }) => property === name)!;

  it('has a line for every property and for depth', () => {
    expect(result.map(({ property }) => property)).toEqual(correlatedNames);
  });

  it('ranks heads and gives an interval and a corrected p-value', () => {
    const { result: entropy, adjusted, points } = of('entropy');
    expect(points).toBe(12);
    expect(entropy!.rho.estimate).toBeCloseTo(spearman(x, y), 12);
    expect(entropy!.blockLength).toBe(4);
    expect(entropy!.rho.low).toBeLessThanOrEqual(entropy!.rho.estimate);
    expect(entropy!.rho.high).toBeGreaterThanOrEqual(entropy!.rho.estimate);
    // Two properties are tested: entropy and depth.
    const corrected = holmAdjust([entropy!.pValue, of('layer').result!.pValue]);
    expect([adjusted, of('layer').adjusted]).toEqual(corrected);
    expect(adjusted).toBeGreaterThanOrEqual(entropy!.pValue);
  });

  it('leaves out what is not measured', () => {
    expect(of('digits')).toMatchObject({
      points: 0,
      result: null,
      adjusted: null,
      withinLayers: null,
    });
    const some = rowsWith('digits', [null, ...x.slice(1)]);
    const partly = correlateWithEffects(
      some,
      effectsOf(
        some,
        y.map((v, i) => (i === 3 ? NaN : v)),
      ),
      quick,
    );
    expect(partly.find(({ property }) => property === 'digits')!.points).toBe(10);
  });

  it('sees within layers what depth does not explain', () => {
    // Depth decides both sides; within a layer they run against each other.
    const both = rowsWith('entropy', [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24]);
    const effects = effectsOf(both, [4, 3, 2, 1, 14, 13, 12, 11, 24, 23, 22, 21]);
    const line = correlateWithEffects(both, effects, quick).find(
      ({ property }) => property === 'entropy',
    )!;
    expect(line.result!.rho.estimate).toBeGreaterThan(0.7);
    expect(line.withinLayers!.rho).toBeCloseTo(-1, 12);
    expect(line.withinLayers!.points).toBe(12);
    // 24^3 orderings, of which one is as extreme on each side.
    expect(line.withinLayers!.pValue).toBeLessThanOrEqual(2 / 1000);
  });

  it('knows the exact share of orderings within one layer', () => {
    const four = rowsWith('entropy', [1, 2, 3, 4]);
    const line = correlateWithEffects(four, effectsOf(four, [1, 2, 3, 4]), {
      ...quick,
      permutations: 9999,
    });
    const within = line.find(({ property }) => property === 'entropy')!.withinLayers!;
    expect(Math.abs(within.pValue - 2 / 24)).toBeLessThanOrEqual(0.015);
  });

  it('says nothing of too few heads or of heads that are all alike', () => {
    const few = rowsWith('entropy', [1, 2, 3]);
    const flat = rowsWith('entropy', [1, 1, 1, 1, 1]);
    for (const [heads, values] of [
      [few, [1, 2, 3]],
      [flat, [1, 2, 3, 4, 5]],
    ] as const) {
      const line = correlateWithEffects(heads, effectsOf(heads, values), quick).find(
        ({ property }) => property === 'entropy',
      )!;
      expect([line.result, line.adjusted, line.withinLayers]).toEqual([null, null, null]);
    }
  });

  it('gives the same numbers again, and others for another seed', () => {
    const again = correlateWithEffects(rows, effectsOf(rows, y), quick);
    expect(JSON.stringify(again)).toBe(JSON.stringify(result));
    const other = correlateWithEffects(rows, effectsOf(rows, y), { ...quick, seed: 9 });
    expect(JSON.stringify(other)).not.toBe(JSON.stringify(result));
  });

  it('refuses a block length that is none', () => {
    expect(() => correlateWithEffects(rows, new Map(), { blockLength: 0 })).toThrow(/block length/);
  });
});

describe('singleHeadEffects', () => {
  const table = (worse: 'lower' | 'higher') =>
    ({
      settings: { worse },
      variants: [
        { heads: ['a0.h1'], factor: 0, change: { estimate: -2 } },
        { heads: ['a0.h1'], factor: 0.5, change: { estimate: -1 } },
        { heads: ['a0.h1', 'a0.h2'], factor: 0, change: { estimate: -9 } },
        { heads: ['a1.h0'], factor: 0, change: { estimate: 0.5 } },
      ],
    }) as unknown as AblationTable;

  it('is positive where the model gets worse, and leaves out sets and heads that are scaled', () => {
    expect([...singleHeadEffects(table('lower'))]).toEqual([
      ['a0.h1', 2],
      ['a1.h0', -0.5],
    ]);
    expect([...singleHeadEffects(table('higher'))]).toEqual([
      ['a0.h1', -2],
      ['a1.h0', 0.5],
    ]);
  });
});
