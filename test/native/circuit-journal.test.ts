// evaluateCircuits() and circuitCurve() with a journal: parts and interruptions change no bit, and a journal
// of other circuits, or a damaged one, is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attribute, type AttributionResult } from '../../lib/attribution.js';
import { buildCircuit, type Circuit } from '../../lib/circuit/circuit.js';
import {
  circuitCurve,
  evaluateCircuits,
  type EvaluateCircuitsOptions,
} from '../../lib/circuit-evaluation.js';
import { decodeLine, encodeLine } from '../../lib/journal-line.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenizedPair } from '../../lib/pairs.js';
import { referenceFolder, referencePairs } from './fixtures.js';

const bootstrap = { resamples: 100 };
let model: Model;
let pairs: TokenizedPair[];
let scores: AttributionResult;
let circuits: Circuit[];
let folder: string;
let journal: string;
beforeAll(async () => {
  model = await loadModel(path.join(referenceFolder, 'qwen2'));
  const few = await referencePairs();
  pairs = [...few, ...few, ...few].slice(0, 23);
  scores = await attribute(model, pairs, { igSteps: 1 });
  circuits = [30, 200].map((n) => buildCircuit(scores, { rule: 'top-n', n }));
});
afterAll(() => model.dispose());
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'headspark-circuits-'));
  journal = path.join(folder, 'run.journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const records = (): Record<string, unknown>[] =>
  readFileSync(journal, 'utf8')
    .split('\n')
    .slice(1, -1)
    .map((line) => decodeLine(Buffer.from(line))!);
const pairsHeld = (): number =>
  records().reduce((sum, { value }) => sum + (value as number[][])[0].length, 0);

async function interrupted(
  run: (options: EvaluateCircuitsOptions) => Promise<unknown>,
  options: EvaluateCircuitsOptions = {},
): Promise<void> {
  const stop = new AbortController();
  const stopped = run({
    ...{ bootstrap, journal, signal: stop.signal, ...options },
    onProgress: ({ done, phase }) => {
      if (phase === 'circuits' && done >= 1) stop.abort();
    },
  });
  await expect(stopped).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
}

const evaluate = (options: EvaluateCircuitsOptions) => evaluateCircuits(model, pairs, circuits, options);

describe('a journal of circuits', () => {
  it.each<EvaluateCircuitsOptions>([
    {},
    { excluded: 'zero', metric: 'kl' },
    { excluded: 'mean', metric: 'prob-diff' },
    { chunkBytes: 1 },
  ])('changes no bit with %o, interrupted or not', async (options) => {
    const whole = await evaluate({ ...options, bootstrap });
    expect(await evaluate({ ...options, bootstrap, journal })).toEqual(whole);
    expect(pairsHeld()).toBe(pairs.length);
    expect(records()).toHaveLength(options.excluded === 'mean' ? 1 : 3);
    if (options.excluded === 'mean') return; // one part
    rmSync(journal);
    await interrupted(evaluate, options);
    const held = pairsHeld();
    expect(held).toBeGreaterThanOrEqual(4);
    expect(held).toBeLessThan(pairs.length);
    const reports: { done: number; total: number; phase: string }[] = [];
    const onProgress = (report: { done: number; total: number; phase: string }) => reports.push(report);
    expect(await evaluate({ ...options, bootstrap, journal, onProgress })).toEqual(whole);
    expect(reports[0]).toEqual({ done: held, total: pairs.length, phase: 'pairs' });
    const counts = reports.slice(1).map(({ done }) => done);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(reports.at(-1)).toEqual({ done: 3, total: 3, phase: 'circuits' });
  });

  it('changes no bit of a curve', async () => {
    const own = { bootstrap, fractions: [0.1, 0.5, 1] };
    const whole = await circuitCurve(model, pairs, scores, own);
    const curve = (options: EvaluateCircuitsOptions) =>
      circuitCurve(model, pairs, scores, { ...own, ...options });
    await interrupted(curve);
    expect(await curve({ journal })).toEqual(whole);
  });

  it('of other circuits or settings is refused', async () => {
    await interrupted(evaluate);
    const others = evaluateCircuits(model, pairs, circuits.slice(1), { journal });
    await expect(others).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
      message: expect.stringContaining('circuits (journal: 3, now: 2)') as string,
    });
    await expect(evaluate({ journal, excluded: 'zero' })).rejects.toThrow(
      'excluded (journal: "patch", now: "zero")',
    );
  });

  it.each<[string, string, unknown]>([
    ['pairs that do not follow', '8-12', [[1, 1, 1, 1]]],
    ['pairs that are no numbers', 'x', []],
    ['too few rows', '0-1', [[1], [1]]],
    ['too few numbers', '0-2', [[1, 1], [1, 1], [1, 1], [1, 1], [1]]],
    ['texts', '0-1', [['1'], ['1'], ['1'], ['1'], ['1']]],
    ['more pairs than there are', '0-24', Array(5).fill(Array(24).fill(1))],
  ])('with a record of %s is refused', async (_, key, value) => {
    await interrupted(evaluate);
    const [header] = readFileSync(journal, 'utf8').split('\n');
    writeFileSync(journal, `${header}\n${encodeLine({ key, value })}`);
    await expect(evaluate({ journal })).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_CORRUPT' });
  });
});
