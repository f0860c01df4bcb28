// evaluateCircuits() and circuitCurve(): limits that hold for any circuit, chunks, refusals.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import path from 'node:path';
import { attribute, type Metric } from '../../lib/attribution.js';
import {
  circuitCurve,
  evaluateCircuits,
  excludedKinds,
  type EvaluateCircuitsOptions,
} from '../../lib/circuit-evaluation.js';
import {
  buildCircuit,
  circuitModelDistance,
  circuitPerformanceRatio,
  CURVE_FRACTIONS,
  graphOf,
  type Circuit,
  type ScoreTable,
} from '../../lib/circuit/index.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { JobProgress } from '../../lib/native.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { largestDifference, referenceFolder, referencePairs, sameBits } from './fixtures.js';

let model: Model;
let pairs: TokenizedPair[];
let table: ScoreTable;
let edges: number;
const top = (n: number): Circuit => buildCircuit(table, { rule: 'top-n', n, prune: false });

beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  pairs = await referencePairs(8);
  table = await attribute(model, pairs);
  edges = graphOf(table.shape).edgeCount;
});
afterAll(() => model.dispose());

describe('evaluateCircuits', () => {
  it.each(excludedKinds)('of every edge is the model itself (%s)', async (excluded) => {
    for (const metric of ['logit-diff', 'prob-diff', 'kl'] as Metric[]) {
      const whole = await evaluateCircuits(model, pairs, [top(edges)], { excluded, metric });
      expect(whole).toMatchObject({ excluded, metric, pairs: pairs.length });
      expect(largestDifference(whole.circuits[0].values, whole.clean)).toBeLessThan(1e-4);
      expect(Math.abs(whole.circuits[0].faithfulness - 1)).toBeLessThan(1e-3);
    }
  });

  it('of no edge is the corrupted run when edges are patched', async () => {
    const none = await evaluateCircuits(model, pairs, [top(0)]);
    expect(largestDifference(none.empty, none.corrupted)).toBeLessThan(1e-4);
    expect(sameBits(none.circuits[0].values, none.empty)).toBe(true);
    expect(none.circuits[0].faithfulness).toBe(0);
    const zero = await evaluateCircuits(model, pairs, [top(0)], { excluded: 'zero' });
    expect(largestDifference(zero.empty, zero.corrupted)).toBeGreaterThan(1e-3);
  });

  it('has a mean, a faithfulness and an interval around it', async () => {
    const evaluation = await evaluateCircuits(model, pairs, [top(200)], {
      bootstrap: { resamples: 500, seed: 3 },
    });
    const [{ values, mean, faithfulness, interval }] = evaluation.circuits;
    const average = (row: Float32Array) => row.reduce((sum, v) => sum + v, 0) / row.length;
    expect(mean).toBeCloseTo(average(values), 5);
    const [empty, clean] = [average(evaluation.empty), average(evaluation.clean)];
    expect(faithfulness).toBeCloseTo((mean - empty) / (clean - empty), 4);
    expect(interval.estimate).toBe(faithfulness);
    expect(interval.low).toBeLessThan(faithfulness);
    expect(interval.high).toBeGreaterThan(faithfulness);
  });

  it('gives a circuit the same values whatever runs beside it, in one chunk or many', async () => {
    const sizes = [5, 50, 100, 500];
    const one = pairs.slice(0, 1);
    const distinct = sizes.map(top);
    const alone = await Promise.all(distinct.map((c) => evaluateCircuits(model, one, [c])));
    const many = Array.from({ length: 50 }, (_, index) => distinct[index % 4]);
    const seen: JobProgress[] = [];
    // A mask has 29 * 77 bytes and a value 4, so that 8 circuits make a native call.
    const together = await evaluateCircuits(model, one, many, {
      onProgress: (progress) => seen.push(progress),
      chunkBytes: 8 * (29 * 77 + 4),
    });
    const whole = await evaluateCircuits(model, one, many);
    expect(together).toEqual(whole);
    together.circuits.forEach(({ values }, index) => {
      if (values[0] !== alone[index % 4].circuits[0].values[0]) throw new Error(`at ${index}`);
    });
    const total = many.length + 1;
    expect(seen.at(-1)).toEqual({ done: total, total, phase: 'circuits' });
    seen.slice(1).forEach(({ done }, index) => {
      expect(done).toBeGreaterThanOrEqual(seen[index].done);
    });
  });

  it('normalises masks: what lies off the real edges is not looked at', async () => {
    const circuit = top(100);
    const graph = graphOf(circuit.shape);
    const real = graph.realEdgeMask();
    const noisy = circuit.inGraph.map((inside, index) => (real[index] ? inside * 7 : 9));
    const clean = await evaluateCircuits(model, pairs, [circuit]);
    const same = await evaluateCircuits(model, pairs, [{ ...circuit, inGraph: noisy }]);
    expect(sameBits(same.circuits[0].values, clean.circuits[0].values)).toBe(true);
  });

  it('takes grouped circuits', async () => {
    const grouped = await attribute(model, pairs, { kvEdges: 'grouped' });
    const count = graphOf(grouped.shape).edgeCount;
    const circuit = buildCircuit(grouped, { rule: 'top-n', n: count, prune: false });
    const whole = await evaluateCircuits(model, pairs, [circuit]);
    expect(largestDifference(whole.circuits[0].values, whole.clean)).toBeLessThan(1e-4);
  });

  it('refuses circuits of other graphs, and unknown words', async () => {
    const other = await loadModel(path.join(referenceFolder, 'neox'));
    await expect(evaluateCircuits(other, pairs, [top(3)])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringMatching(/^circuit 0 is of a graph of 4 layers/),
    });
    other.dispose();
    const short = { ...top(3), inGraph: new Uint8Array(5) };
    await expect(evaluateCircuits(model, pairs, [short])).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_TENSOR_SHAPE',
    });
    const options = { excluded: 'noise' } as unknown as EvaluateCircuitsOptions;
    await expect(evaluateCircuits(model, pairs, [top(3)], options)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(/^excluded is "noise"; .* patch, zero, mean/),
    });
  });
});

describe('circuitCurve', () => {
  it('runs from small circuits to the whole model and sums up to CPR and CMD', async () => {
    const curve = await circuitCurve(model, pairs, table, { bootstrap: { resamples: 100 } });
    expect(curve.points.map(({ fraction }) => fraction)).toEqual(CURVE_FRACTIONS);
    const last = curve.points.at(-1)!;
    expect(last.selected).toBe(edges);
    for (const ranking of ['signed', 'absolute'] as const) {
      expect(last[ranking].edges).toBe(edges);
      expect(Math.abs(last[ranking].faithfulness - 1)).toBeLessThan(1e-3);
      for (const point of curve.points) {
        expect(point[ranking].edges).toBeLessThanOrEqual(point.selected);
      }
    }
    const points = (ranking: 'signed' | 'absolute') =>
      curve.points.map((point) => ({
        fraction: point.fraction,
        faithfulness: point[ranking].faithfulness,
      }));
    expect(curve.cpr).toBe(circuitPerformanceRatio(points('signed')));
    expect(curve.cmd).toBe(circuitModelDistance(points('absolute')));
    const direct = await evaluateCircuits(model, pairs, [
      buildCircuit(table, { rule: 'top-n', n: curve.points[5].selected, ranking: 'signed' }),
    ]);
    expect(sameBits(direct.circuits[0].values, curve.points[5].signed.values)).toBe(true);
  });

  it.each([[[0.5]], [[0.5, 0.2]], [[0, 1]], [[0.5, 1.5]], [[Number.NaN, 1]]])(
    'refuses fractions %j',
    async (fractions) => {
      await expect(circuitCurve(model, pairs, table, { fractions })).rejects.toMatchObject({
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringMatching(/^fractions is/),
      });
    },
  );
});
