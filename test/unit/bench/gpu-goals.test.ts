// scripts/bench/gpu: what the parts measured, set beside the goals.
import { expect, it } from 'vitest';
import { benchScript } from './scripts.js';

const { goalFigures } = await benchScript('gpu/goals.mjs');
const { PARTS } = await benchScript('gpu/parts.mjs');

interface Figure {
  name: string;
  value: string;
  goal: string;
  met?: boolean;
}

const named = (results: object, name: string): Figure | undefined =>
  (goalFigures(results) as Figure[]).find((figure) => figure.name === name);

const contender = (peer: string, variant: string, medianMs: number) => ({
  peer,
  variant,
  medianMs,
});

const attention = {
  comparisons: [
    {
      task: 'attention forward 512x64',
      contenders: [
        contender('headspark', 'exact', 3),
        contender('headspark', 'fast', 1),
        contender('headspark', 'fast gated', 1.1),
        contender('PyTorch 2.11', 'cudnn bf16', 0.95),
        contender('PyTorch 2.11', 'flash bf16', 0.85),
        contender('PyTorch 2.11', 'efficient f32', 0.1),
        { peer: 'PyTorch 2.11', variant: 'other bf16', error: 'no kernel' },
      ],
    },
    { task: 'linear 8192x8192x8192', contenders: [contender('headspark', 'fast', 1)] },
  ],
};

it("sets fast attention beside the fastest of PyTorch's bf16 kernels, and gates beside none", () => {
  expect(named({ peers: attention }, "attention forward 512x64 beside PyTorch's fastest")).toEqual({
    name: "attention forward 512x64 beside PyTorch's fastest",
    value: '0.85x',
    goal: '0.9x',
    met: false,
  });
  expect(named({ peers: attention }, 'attention forward 512x64, gated over not')).toMatchObject({
    value: '1.10x',
    met: false,
  });
});

it('judges times, rates and exit codes', () => {
  const results = {
    tests: { code: 0 },
    memcheck: { code: 86 },
    sweep: { results: [{ medianMs: 14999 }] },
    large: { results: [{ medianMs: 3001 }] },
    'large-long': { results: [{ medianMs: 9e5 }], failed: true },
    decode: { results: [{ tokensPerS: 100 }, { tokensPerS: 80001 }] },
    peers: {
      comparisons: [
        {
          task: 'eap-ig',
          contenders: [
            contender('headspark', 'fast', 500),
            contender('PyTorch 2.11', 'sdpa bf16', 990),
            contender('PyTorch 2.11', 'eager bf16', 1500),
          ],
        },
      ],
    },
  };
  expect(named(results, 'op suite and goldens')).toMatchObject({ value: 'passed', met: true });
  expect(named(results, 'compute-sanitizer memcheck')).toMatchObject({
    value: 'failed with code 86',
    met: false,
  });
  expect(named(results, 'all single heads, 1.5B, 100 x 128 tokens, fast')?.met).toBe(true);
  expect(named(results, 'EAP-IG, 7B, 64 x 128 tokens, fast')?.met).toBe(false);
  expect(named(results, 'EAP-IG, 7B, pairs of 512 tokens')?.met).toBe(false);
  expect(named(results, 'decoding, 1.5B, 256 rows of 64 variants')?.met).toBe(true);
  expect(named(results, 'EAP-IG, 1.5B, 64 x 128 tokens, fast')?.met).toBe(true);
  expect(named(results, 'the same beside PyTorch')).toMatchObject({ value: '1.98x', met: false });
});

it('says of what did not run, or failed, that it was not measured', () => {
  const figures = goalFigures({ build: { failure: 'no nvcc' }, memcheck: { failure: 'none' } });
  expect(figures.length).toBeGreaterThanOrEqual(10);
  for (const { value, met } of figures as Figure[]) {
    expect([value, met]).toEqual(['-', undefined]);
  }
});

it('says which goldens there were, and believes no rate of a run that failed', () => {
  const results = {
    tests: { code: 0, sharedGoldens: false },
    decode: { failed: true, results: [{ tokensPerS: 90000 }] },
  };
  expect(named(results, 'op suite and goldens')).toMatchObject({
    value: 'passed, those of test/fixtures',
    met: true,
  });
  expect(named(results, 'decoding, 1.5B, 256 rows of 64 variants')?.met).toBe(false);
});

it('builds first and leaves what is no goal for the end', () => {
  const names = Object.keys(PARTS);
  expect(names[0]).toBe('build');
  expect(names.slice(-3)).toEqual(['memcheck', 'racecheck', 'ops']);
});
