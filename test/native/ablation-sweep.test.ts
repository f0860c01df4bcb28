// Sweep: against logits with the same heads scaled, one variant at a time and together, the four
// kinds of ablation, and refusals.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import {
  ablationKinds,
  Sweep,
  type SweepOptions,
  type SweepVariant,
} from '../../lib/ablation-sweep.js';
import { ablate } from '../../lib/ablation.js';
import { allHeads } from '../../lib/head-gate.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { largestDifference, referenceFolder, referencePairs, sameBits } from './fixtures.js';

let model: Model;
let pairs: TokenizedPair[];
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  pairs = await referencePairs(6);
});
afterAll(() => model.dispose());

const baseline: SweepVariant = { name: 'none', heads: [], factor: 1 };
const variants: SweepVariant[] = [
  baseline,
  { name: 'one', heads: [{ layer: 3, head: 5 }], factor: 0 },
  { name: 'two', heads: [{ layer: 0, head: 1 }, { layer: 2, head: 0 }], factor: 1.3 },
  { name: 'half', heads: [{ layer: 1, head: 2 }], factor: 0.5 },
];

describe('zero ablation', () => {
  it('has the metric of the logits with the same heads scaled', async () => {
    const sweep = await Sweep.create(model, pairs);
    expect(sweep).toMatchObject({ metric: 'logit-diff', ablation: 'zero', positions: 'all' });
    const { values, correct } = await sweep.run(variants);
    expect(sweep.pairs).toBe(pairs.length);
    const { vocab } = model.info;
    const expected: number[] = [];
    const expectedCorrect: number[] = [];
    for (const { heads, factor } of variants) {
      const gated = heads.map((head) => ({ ...head, factor }));
      const prompts = pairs.map((pair) => pair.clean);
      const logits = await computeLogits(model, prompts, { heads: gated });
      pairs.forEach((pair, index) => {
        const row = logits.subarray(index * vocab, (index + 1) * vocab);
        expected.push(row[pair.correct[0]] - row[pair.incorrect[0]]);
        expectedCorrect.push(row.indexOf(Math.max(...row)) === pair.correct[0] ? 1 : 0);
      });
    }
    expect(largestDifference(values, expected)).toBeLessThan(1e-4);
    expect(Array.from(correct)).toEqual(expectedCorrect);
    sweep.dispose();
  });

  it('gives a variant the same values alone, together and in another order', async () => {
    const sweep = await Sweep.create(model, pairs);
    const heads = allHeads(model.info);
    const all = heads.map((head, index) => ({ name: `${index}`, heads: [head], factor: 0 }));
    const together = await sweep.run(all);
    const reversed = await sweep.run([...all].reverse());
    const row = (values: Float32Array, index: number) =>
      values.subarray(index * pairs.length, (index + 1) * pairs.length);
    for (const index of [0, 7, all.length - 1]) {
      const alone = await sweep.run([all[index]]);
      expect(sameBits(alone.values, row(together.values, index).slice())).toBe(true);
      const place = all.length - 1 - index;
      expect(sameBits(alone.values, row(reversed.values, place).slice())).toBe(true);
    }
    sweep.dispose();
  });
});

describe('every kind', () => {
  it.each(ablationKinds)('%s: factor 1 changes nothing, factor 0 does', async (ablation) => {
    const sweep = await Sweep.create(model, pairs, { ablation });
    const heads = allHeads(model.info);
    const { values } = await sweep.run([
      baseline,
      { name: 'open', heads, factor: 1 },
      { name: 'closed', heads, factor: 0 },
    ]);
    const row = (index: number) => values.slice(index * pairs.length, (index + 1) * pairs.length);
    expect(sameBits(row(0), row(1))).toBe(true);
    expect(largestDifference(row(0), row(2))).toBeGreaterThan(1e-3);
    sweep.dispose();
  });

  it('differs from the others', async () => {
    const closed = { name: 'closed', heads: allHeads(model.info), factor: 0 };
    const rows: string[] = [];
    for (const ablation of ablationKinds) {
      const sweep = await Sweep.create(model, pairs, { ablation });
      rows.push((await sweep.run([closed])).values.join());
      sweep.dispose();
    }
    expect(new Set(rows).size).toBe(ablationKinds.length);
  });

  it('acts at the positions asked for', async () => {
    const continued = pairs.map((pair) => ({ ...pair, continuation: [3, 4, 5] }));
    const closed = { name: 'closed', heads: allHeads(model.info), factor: 0 };
    const at = async (positions: SweepOptions['positions']) => {
      const sweep = await Sweep.create(model, continued, { metric: 'nll', positions });
      const { values } = await sweep.run([closed, baseline]);
      sweep.dispose();
      return values;
    };
    const [all, prompt, generated] = [await at('all'), await at('prompt'), await at('generated')];
    const half = pairs.length;
    expect(sameBits(all.slice(half), prompt.slice(half))).toBe(true);
    const distinct = [all, prompt, generated, all.slice(half)].map((v) => v.slice(0, half).join());
    expect(new Set(distinct).size).toBe(4);
  });
});

describe('generated positions where answers are one token', () => {
  const gated = { metric: 'nll', positions: 'generated' } as const;
  const plan = { kind: 'sets', sets: [[{ layer: 3, head: 5 }]] } as const;
  const withLengths = (...lengths: number[]): TokenizedPair[] =>
    lengths.map((length, index) => ({ ...pairs[index], continuation: [3, 4, 5].slice(0, length) }));

  it('are refused where no answer is longer', async () => {
    const short = withLengths(1, 1, 1);
    const refusal = {
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(/^positions generated changes nothing here: every continuation/),
    };
    await expect(Sweep.create(model, short, gated)).rejects.toMatchObject(refusal);
    await expect(ablate(model, short, { plan, ...gated })).rejects.toMatchObject(refusal);
  });

  it('are counted in a note where some are longer, and change those alone', async () => {
    const mixed = withLengths(3, 1, 2);
    const { baseline, variants: rows, notes } = await ablate(model, mixed, { plan, ...gated });
    expect(notes).toContain(
      '1 of 3 pairs have a continuation of one token, which the prompt alone predicts: heads gated at ' +
        'generated positions change nothing there',
    );
    const changed = rows[0].values.map((value, pair) => value !== baseline.values[pair]);
    expect(changed).toEqual([true, false, true]);
    const long = await ablate(model, withLengths(2, 3), { plan, ...gated });
    expect(long.notes.some((note) => note.includes('one token'))).toBe(false);
  });

  it('are refused by ablate for a metric without a continuation', async () => {
    const run = ablate(model, pairs, { plan, positions: 'generated' });
    await expect(run).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(/^positions generated needs the metric nll/),
    });
  });
});

describe('refusals', () => {
  it.each<[SweepOptions, RegExp]>([
    [{ ablation: 'noise' as never }, /^ablation is "noise"; .* zero, mean, mean-per-position, res/],
    [{ metric: 'loss' as never }, /^metric is "loss"/],
    [{ positions: 'last' as never }, /^positions is "last"; .* all, prompt, generated/],
    [
      { positions: 'generated' },
      /^positions generated needs the metric nll, .* not logit-diff\.$/,
    ],
  ])('%o', async (options, message) => {
    await expect(Sweep.create(model, pairs, options)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });

  it('heads outside the model, twice, or with no factor that can be computed; a disposed sweep', async () => {
    const sweep = await Sweep.create(model, pairs);
    const refused = (message: RegExp) => ({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
    const run = (heads: SweepVariant['heads'], factor = 0) =>
      sweep.run([{ name: 'bad', heads, factor }]);
    const head = { layer: 1, head: 1 };
    await expect(run([{ layer: 4, head: 0 }])).rejects.toMatchObject(refused(/a4\.h0 is not in/));
    await expect(run([head, head])).rejects.toMatchObject(refused(/names a head twice/));
    await expect(run([head], Number.NaN)).rejects.toMatchObject(refused(/number from .* not NaN/));
    expect((await sweep.run([])).values).toHaveLength(0);
    sweep.dispose();
    sweep.dispose();
    await expect(run([head])).rejects.toMatchObject(refused(/sweep was disposed/));
  });

  it('outlives its model', async () => {
    const other = await loadModel(path.join(referenceFolder, 'qwen2'));
    const sweep = await Sweep.create(other, pairs);
    const before = await sweep.run(variants);
    other.dispose();
    expect(await sweep.run(variants)).toEqual(before);
    sweep.dispose();
  });
});
