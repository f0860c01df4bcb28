// scripts/bench/gpu: what the parts measured, set beside the goals.
import { expect, it } from 'vitest';
import { benchScript } from './scripts.js';

const { goalFigures } = await benchScript('gpu/goals.mjs');

interface Figure {
  name: string;
  value: string;
  goal: string;
  met?: boolean;
  doubt?: string;
}

const named = (results: object, name: string): Figure | undefined =>
  (goalFigures(results) as Figure[]).find((figure) => figure.name === name);

const contender = (peer: string, variant: string, medianMs: number) => ({
  peer,
  variant,
  medianMs,
});

const suite = (name: string, result = 'Passed') => ({ name, result, seconds: 1 });
const sanitized = (name: string, result = 'passed') => ({ case: name, result, seconds: 1 });

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
  expect(named({ attention }, "attention forward 512x64 beside PyTorch's fastest")).toEqual({
    name: "attention forward 512x64 beside PyTorch's fastest",
    value: '0.85x',
    goal: '0.9x',
    met: false,
  });
  expect(named({ attention }, 'attention forward 512x64, gated over not')).toMatchObject({
    value: '1.10x',
    met: false,
  });
});

it('judges times, rates and exit codes', () => {
  const results = {
    tests: { code: 0, suites: [suite('gpu_linear'), suite('gpu_mlp')] },
    memcheck: {
      cases: [sanitized('a'), sanitized('b', 'failed with code 86'), sanitized('c')],
      leftOut: [],
    },
    racecheck: { cases: [sanitized('a'), sanitized('b', 'ran out of time')], leftOut: ['b'] },
    sweep: { results: [{ medianMs: 14999 }] },
    large: { results: [{ medianMs: 3001 }] },
    'large-long': { results: [{ medianMs: 9e5 }], failed: true },
    decode: {
      results: [
        { variants: 1, tokensPerS: 100 },
        { variants: 64, tokensPerS: 80001 },
      ],
    },
    'eap-ig': {
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
  expect(named(results, 'op suite and goldens')).toMatchObject({ value: '2 passed', met: true });
  expect(named(results, 'compute-sanitizer memcheck')).toMatchObject({
    value: '1 failed, 2 passed',
    met: false,
  });
  expect(named(results, 'compute-sanitizer racecheck')).toMatchObject({
    value: '1 passed, 1 left out',
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
    tests: { code: 0, suites: [suite('gpu_linear')], sharedGoldens: false },
    decode: { failed: true, verified: false, results: [{ variants: 64, tokensPerS: 90000 }] },
  };
  expect(named(results, 'op suite and goldens')).toMatchObject({
    value: '1 passed, those of test/fixtures',
    met: true,
  });
  expect(named(results, 'decoding, 1.5B, 256 rows of 64 variants')).toMatchObject({
    met: false,
    doubt: 'wrong',
  });
});

it('names suites that failed, and counts those before the end of a run that was cut off', () => {
  const suites = [suite('gpu_linear', 'Failed'), suite('gpu_mlp'), suite('gpu_rows', 'Timeout')];
  expect(named({ tests: { code: 8, suites } }, 'op suite and goldens')).toMatchObject({
    value: 'gpu_linear, gpu_rows failed, 1 passed',
    met: false,
  });
  const cut = { tests: { suites: [suite('gpu_mlp')], failure: 'ctest took more than 230 s' } };
  expect(named(cut, 'op suite and goldens')).toMatchObject({
    value: 'ended, 1 passed',
    met: false,
  });
});

it('shows what a part that was ended had measured, and doubts it', () => {
  const results = {
    large: { failure: 'ended', unfinished: true, results: [{ medianMs: 2900, verified: false }] },
    attention: { failure: 'ended', comparisons: attention.comparisons },
    sweep: { failed: true, problem: 'own kernels', results: [{ medianMs: 9, verified: true }] },
  };
  expect(named(results, 'EAP-IG, 7B, 64 x 128 tokens, fast')).toMatchObject({
    value: '2.900 s',
    met: true,
    doubt: 'not verified',
  });
  expect(named(results, "attention forward 512x64 beside PyTorch's fastest")?.value).toBe('0.85x');
  expect(named(results, 'all single heads, 1.5B, 100 x 128 tokens, fast')).toMatchObject({
    met: false,
    doubt: 'not by cuBLASLt',
  });
});

it('shows the first look until a part has measured the same', () => {
  const steps = {
    sweep: { results: [{ medianMs: 9000 }] },
    'eap-ig': { results: [{ medianMs: 700, verified: false }] },
    attention: { comparisons: attention.comparisons },
  };
  const smoke = { steps };
  const name = 'all single heads, 1.5B, 100 x 128 tokens, fast';
  expect(named({ smoke }, name)).toMatchObject({ value: '9.000 s', doubt: 'first look' });
  expect(named({ smoke, sweep: { failure: 'no program' } }, name)?.value).toBe('9.000 s');
  const sweep = { results: [{ medianMs: 8000, verified: true }] };
  expect(named({ smoke, sweep }, name)).toMatchObject({ value: '8.000 s', doubt: undefined });
  expect(named({ smoke }, 'EAP-IG, 1.5B, 64 x 128 tokens, fast')).toMatchObject({
    value: '0.700 s',
    met: false,
    doubt: 'not verified',
  });
  expect(named({ smoke }, "attention forward 512x64 beside PyTorch's fastest")?.doubt).toBe(
    'first look',
  );
});
