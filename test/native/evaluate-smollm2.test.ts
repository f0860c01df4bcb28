// SmolLM2-135M and its adapters on the chained sums: the accuracies recorded by Hugging Face (greedy,
// fp32), to within the samples that hang on a near-tie. Takes minutes; skipped unless HEADSPARK_SMOLLM2 names the unpacked model and the shared
// adapters are there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBenchmark, type Benchmark } from '../../lib/benchmarks/index.js';
import { evaluate } from '../../lib/evaluation.js';
import { loadModel, type Model } from '../../lib/model.js';

const shared = process.env['HEADSPARK_SHARED'] ?? '../shared';
const folder = join(shared, 'models', 'smollm2-135m');
const unpacked = process.env['HEADSPARK_SMOLLM2'];
const here = unpacked !== undefined && existsSync(join(folder, 'adapters', 'steps-log.json'));

describe.skipIf(!here)('SmolLM2-135M on chained sums (needs HEADSPARK_SMOLLM2)', () => {
  let base: Model;
  let benchmark: Benchmark;
  beforeAll(async () => {
    base = await loadModel(unpacked!);
    benchmark = await readBenchmark(join(folder, 'test-problems.jsonl'));
  }, 120_000);
  afterAll(() => base?.dispose());

  const series = ['steps', 'direct'].flatMap((kind) => {
    if (!here) return [];
    const log = readFileSync(join(folder, 'adapters', `${kind}-log.json`), 'utf8');
    const entries = JSON.parse(log) as { step: number; accuracy: number }[];
    return entries.map(({ step, accuracy }) => ({ kind, step, accuracy }));
  });

  it.each(series)(
    '$kind at step $step: $accuracy',
    async ({ kind, step, accuracy }) => {
      const adapter = join(folder, 'adapters', `${kind}-step${step}`);
      if (step > 0 && !existsSync(adapter)) return expect(kind).toBe('direct');
      const model = step === 0 ? base : await base.withAdapter(adapter);
      const { table } = await evaluate(model, benchmark, {
        maxNewTokens: kind === 'steps' || step === 0 ? 60 : 12,
        sources: ['boxed'],
        resamples: 100,
      });
      const right = Math.round(100 * table.rows[0].accuracy.estimate);
      const recorded = Math.round(100 * accuracy);
      const { count, samples } = table.nearTies!;
      const ties = samples.map(({ problem, token, margin, correct }) => {
        const verdict = correct ? 'right' : 'wrong';
        return `${problem} (token ${token + 1}, margin ${margin}, ${verdict})`;
      });
      console.log(
        `${kind}-step${step}: ${right} right, recorded ${recorded}; ` +
          `${count} near-ties${count > 0 ? `: ${ties.join(', ')}` : ''}`,
      );
      // Only samples with a near-tie may come out differently, and only in the direction that helps.
      const turned = samples.filter(({ correct }) => correct === right > recorded).length;
      expect(Math.abs(right - recorded)).toBeLessThanOrEqual(right === recorded ? count : turned);
      if (step > 0) model.dispose();
    },
    1_200_000,
  );
});
