// Plans: which sets of heads become rows, and which controls they get.
import { describe, expect, it } from 'vitest';
import { planAblation } from '../../../lib/ablation/index.js';
import { formatHeads, parseHeads } from '../../../lib/head-gate.js';
import { shape } from './fake-runner.js';

const options = { shape, factors: [0], controls: 20, seed: 0 };

describe('planAblation', () => {
  it('makes one row for every head, without controls', () => {
    const { rows, notes } = planAblation({ kind: 'single' }, options);
    expect(rows.map(({ name }) => name)).toEqual(
      Array.from({ length: 24 }, (_, i) => `a${Math.floor(i / 6)}.h${i % 6}`),
    );
    expect(rows.every(({ controls }) => controls.length === 0)).toBe(true);
    expect(notes).toEqual([]);
  });

  it('adds heads one by one, in the order given', () => {
    const heads = [parseHeads('3.1')[0], parseHeads('0.4')[0], parseHeads('2.2')[0]];
    const { rows } = planAblation({ kind: 'top-k', heads, k: 3, group: 'emergent' }, options);
    expect(rows.map(({ name, heads: set }) => [name, formatHeads(set)])).toEqual([
      ['emergent top-1', 'a3.h1'],
      ['emergent top-2', 'a0.h4,a3.h1'],
      ['emergent top-3', 'a0.h4,a2.h2,a3.h1'],
    ]);
  });

  it('makes every set a row with each factor, beside the same controls', () => {
    const plan = { kind: 'sets', sets: [parseHeads('3.1'), parseHeads('0.*', shape)] } as const;
    const single = planAblation(plan, options);
    const { rows, notes } = planAblation(plan, { ...options, factors: [0, 0.5, -2] });
    const layer = 'a0.h0,a0.h1,a0.h2,a0.h3,a0.h4,a0.h5';
    expect(rows.map(({ name, factor }) => [name, factor])).toEqual([
      ['a3.h1 × 0', 0],
      ['a3.h1 × 0.5', 0.5],
      ['a3.h1 × -2', -2],
      [`${layer} × 0`, 0],
      [`${layer} × 0.5`, 0.5],
      [`${layer} × -2`, -2],
    ]);
    for (const [index, row] of rows.entries()) {
      const alone = single.rows[Math.floor(index / 3)];
      expect(row.heads).toEqual(alone.heads);
      expect(row.controls.map(({ heads }) => heads)).toEqual(
        alone.controls.map(({ heads }) => heads),
      );
    }
    expect(rows[1].controls[4].name).toBe('a3.h1 × 0.5 control 5');
    expect(notes).toEqual(single.notes);
  });

  it.each([
    [[], /list of factors is empty/],
    [[0.5, 0, 0.5], /the factor 0.5 is given twice/],
    [[0, -0], /the factor 0 is given twice/],
    [[0.1, 0.1 + 1e-12], /is given twice/],
    [[1e39], /must be a number from -1e6 to 1e6, beyond which .*, not 1e\+39/],
    [[0, -1000001], /not -1000001/],
    [[NaN], /not NaN/],
  ])('refuses the factors %j', (factors, message) => {
    expect(() => planAblation({ kind: 'single' }, { ...options, factors })).toThrow(message);
  });

  it('matches controls to the set in the number of heads of every layer', () => {
    const set = parseHeads('1.0,1.3,3.1');
    const [row] = planAblation({ kind: 'sets', sets: [set] }, options).rows;
    expect(row.controls).toHaveLength(20);
    for (const { heads } of row.controls) {
      expect(heads.map(({ layer }) => layer)).toEqual([1, 1, 3]);
      expect(
        heads.some((head) => set.some((own) => formatHeads([own]) === formatHeads([head]))),
      ).toBe(false);
    }
  });

  it('matches controls to the set in what heads write', () => {
    const writeNorms = Float32Array.from({ length: 24 }, (_, i) => 1 + (i % 6));
    const set = parseHeads('1.0,1.3');
    const [row] = planAblation(
      { kind: 'sets', sets: [set] },
      { ...options, shape: { layers: 4, heads: 6 }, writeNorms },
    ).rows;
    expect(row.controls.length).toBe(20);
    for (const { heads } of row.controls) expect(heads).toHaveLength(2);
    const layers = new Set(row.controls.flatMap(({ heads }) => heads.map(({ layer }) => layer)));
    expect(layers.size).toBe(4);
  });

  it('keeps the controls of a set when the plan grows or more controls are asked for', () => {
    const heads = parseHeads('3.1,2.0,1.5');
    const short = planAblation({ kind: 'top-k', heads, k: 2 }, options);
    const long = planAblation({ kind: 'top-k', heads, k: 3 }, { ...options, controls: 25 });
    const names = (row: (typeof short.rows)[number]) =>
      row.controls.map((control) => formatHeads(control.heads));
    expect(names(long.rows[1]).slice(0, 20)).toEqual(names(short.rows[1]));
  });

  it('says when there are fewer heads or controls than asked for', () => {
    const { rows, notes } = planAblation(
      { kind: 'top-k', heads: parseHeads('3.1'), k: 5, group: 'emergent' },
      options,
    );
    expect(rows).toHaveLength(1);
    expect(notes[0]).toBe('only 1 emergent head; top-5 was asked for');
    expect(notes[1]).toContain(
      'only 5 different control sets with as many heads in every layer exist',
    );
  });

  it.each([
    [{ kind: 'sets', sets: [] }, /names no set/],
    [{ kind: 'sets', sets: [[]] }, /has no heads/],
    [{ kind: 'sets', sets: [parseHeads('1.1'), parseHeads('1.1')] }, /two ablated sets are named/],
    [{ kind: 'sets', sets: [[{ layer: 9, head: 0 }]] }, /not in the model/],
    [{ kind: 'top-k', heads: [], k: 3, group: 'vanished' }, /no vanished heads/],
    [{ kind: 'top-k', heads: parseHeads('1.1'), k: 0 }, /at least 1/],
  ] as const)('refuses %j', (plan, message) => {
    expect(() => planAblation(plan, options)).toThrow(message);
  });
});
