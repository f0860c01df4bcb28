// Overlap of emergent sets against chance within layers, and depth across shapes.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareDepths, regimeOverlap } from '../../../lib/tracking/index.js';
import { Random } from '../../../lib/stats/random.js';

const maskOf = (size: number, heads: readonly number[]): Uint8Array =>
  Uint8Array.from({ length: size }, (_, head) => (heads.includes(head) ? 1 : 0));

describe('regimeOverlap', () => {
  const shape = { layers: 2, heads: 4 };
  const base = maskOf(8, [0]);
  const options = { shape, base, permutations: 4000, seed: 1 };
  const sets = [
    { name: 'sft', mask: maskOf(8, [1, 2, 4]) },
    { name: 'grpo', mask: maskOf(8, [1, 2, 5]) },
    { name: 'distilled', mask: maskOf(8, [1, 6]) },
  ];

  it('gives every combination, shared and exclusive', () => {
    const { combinations } = regimeOverlap(sets, options);
    expect(combinations.map((c) => [c.sets.join('+'), c.shared, c.exclusive, c.heads])).toEqual([
      ['sft+grpo', 2, 1, ['a0.h1', 'a0.h2']],
      ['sft+distilled', 1, 0, ['a0.h1']],
      ['grpo+distilled', 1, 0, ['a0.h1']],
      ['sft+grpo+distilled', 1, 1, ['a0.h1']],
    ]);
  });

  it('has permutation values that agree with the exact law of pairs', () => {
    for (const { hypergeometric, expected, pValue } of regimeOverlap(sets, options).combinations) {
      if (!hypergeometric) continue;
      const { withinLayers } = hypergeometric;
      const error = Math.sqrt((withinLayers * (1 - withinLayers)) / 4000);
      expect(!(Math.abs(pValue - withinLayers) <= 5 * error + 1e-3)).toBe(false);
      expect(!(Math.abs(expected - hypergeometric.expected) <= 0.06)).toBe(false);
    }
    // Both sft and grpo hold 2 of the 3 free heads of layer 0 and 1 of the 4 of layer 1.
    const [pair] = regimeOverlap(sets, options).combinations;
    expect(pair.hypergeometric!.expected).toBeCloseTo(4 / 3 + 1 / 4, 12);
    expect(pair.hypergeometric!.withinLayers).toBeCloseTo(1 - (2 / 3) * (3 / 4), 12);
  });

  it('agrees with a simulation by NumPy on three sets', () => {
    type Layer = Record<'population' | 'first' | 'second' | 'third', number>;
    type Case = { layers: Layer[]; threeMean: number; threeUpper: number[]; threeDraws: number };
    const text = readFileSync('test/fixtures/stats/layered-overlap.json', 'utf8');
    for (const { layers, threeMean, threeUpper } of (JSON.parse(text) as { cases: Case[] }).cases) {
      const heads = Math.max(...layers.map(({ population }) => population));
      const size = layers.length * heads;
      const fill = (count: (layer: Layer) => number): Uint8Array =>
        Uint8Array.from({ length: size }, (_, head) =>
          head % heads < count(layers[Math.floor(head / heads)]) ? 1 : 0,
        );
      const taken = Uint8Array.from({ length: size }, (_, head) =>
        head % heads >= layers[Math.floor(head / heads)].population ? 1 : 0,
      );
      const result = regimeOverlap(
        (['first', 'second', 'third'] as const).map((name) => ({
          name,
          mask: fill((layer) => layer[name]),
        })),
        { shape: { layers: layers.length, heads }, base: taken, permutations: 8000, seed: 3 },
      );
      const three = result.combinations.at(-1)!;
      expect(three.sets).toHaveLength(3);
      expect(!(Math.abs(three.expected - threeMean) <= 0.06)).toBe(false);
      const expected = threeUpper[three.shared] ?? 0;
      expect(!(Math.abs(three.pValue - expected) <= 0.03)).toBe(false);
    }
  });

  it('does not call chance a finding: p-values of random sets are not small too often', () => {
    const big = { layers: 6, heads: 8 };
    const empty = new Uint8Array(48);
    let small = 0;
    for (let trial = 0; trial < 60; trial++) {
      const random = new Random(5, trial);
      const draw = () =>
        maskOf(
          48,
          Array.from({ length: 6 }, (_, layer) =>
            random.sample(
              Array.from({ length: 8 }, (_, head) => layer * 8 + head),
              3,
            ),
          ).flat(),
        );
      const { combinations } = regimeOverlap(
        [
          { name: 'a', mask: draw() },
          { name: 'b', mask: draw() },
        ],
        { shape: big, base: empty, permutations: 400, seed: trial },
      );
      if (combinations[0].pValue <= 0.05) small++;
    }
    expect(small).toBeLessThanOrEqual(9); // binomial(60, 0.05): more than 9 has p < 0.002
  });

  it('refuses sets with base heads, of other shapes, and too many', () => {
    const wrong = { name: 'x', mask: maskOf(8, [0]) };
    expect(() => regimeOverlap([wrong], options)).toThrow(/heads of the base circuit/);
    expect(() => regimeOverlap([{ name: 'x', mask: maskOf(7, []) }], options)).toThrow(/2 x 4/);
    const many = Array.from({ length: 13 }, () => sets[0]);
    expect(() => regimeOverlap(many, options)).toThrow(/at most 12/);
  });
});

describe('compareDepths', () => {
  it('compares models of different shape by relative depth and number', () => {
    const report = compareDepths(
      [
        { name: 'early', shape: { layers: 4, heads: 4 }, mask: maskOf(16, [0, 1, 2, 4]) },
        { name: 'late', shape: { layers: 10, heads: 2 }, mask: maskOf(20, [15, 16, 17, 18, 19]) },
        { name: 'none', shape: { layers: 1, heads: 1 }, mask: maskOf(1, []) },
      ],
      { permutations: 2000 },
    );
    expect(report.profiles[0]).toMatchObject({
      count: 4,
      share: 0.25,
      depths: [0.125, 0.125, 0.125, 0.375],
    });
    expect(report.profiles[0].tenths).toEqual([0, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect(report.profiles[2].meanDepth).toBeNull();
    const [first, empty] = report.comparisons;
    expect(first).toMatchObject({ first: 'early', second: 'late', countDifference: 1 });
    expect(first.distance).toBeGreaterThan(0.5);
    expect(first.pValue).toBeLessThan(0.05);
    expect(empty).toMatchObject({ distance: null, pValue: null, adjusted: null });
  });
});
