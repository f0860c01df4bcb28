// scripts/bench/gpu: parts that fit their calls, results that are there whatever ends, and what the
// tests and the sanitizer said.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { packageRoot } from '../../../lib/version.js';
import { benchFolder, benchScript } from './scripts.js';

const { CALLS, CALL_SECONDS, PARTS, inSteps } = await benchScript('gpu/parts.mjs');
const { filterOf, sanitize, suitesOf } = await benchScript('gpu/suites.mjs');
const { SANITIZED } = await benchScript('gpu/sanitized.mjs');
const { findLibrary, libraryProblem } = await benchScript('gpu/library.mjs');
const { ownProducts } = await benchScript('gpu/measurements.mjs');
const { Store } = await benchScript('gpu/store.mjs');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'headspark-gpu-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const read = (...names: string[]): any =>
  JSON.parse(readFileSync(path.join(folder, ...names), 'utf8'));

it('has calls that a device ends after 600 s, and of 1800 s in all', () => {
  const secondsOf = (names: string[]): number =>
    names.reduce((sum, name) => sum + PARTS[name].seconds, 0);
  expect(CALL_SECONDS).toBeLessThanOrEqual(570);
  for (const parts of CALLS) expect(secondsOf(parts)).toBeLessThanOrEqual(CALL_SECONDS);
  // Starting the machine and moving files take the rest.
  expect(secondsOf(CALLS.flat())).toBeLessThanOrEqual(1650);
  expect(CALLS.flat().sort()).toEqual(Object.keys(PARTS).sort());
  expect(CALLS[0]).toEqual(['build', 'smoke']);
  expect(Object.keys(PARTS).slice(0, 4)).toEqual(['build', 'smoke', 'eap-ig', 'large']);
});

it('goes on with the next step where one fails, and keeps what that one had', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const kept: any[] = [];
  const context = { options: {}, left: () => 100, keep: (object: object) => kept.push(object) };
  const steps = {
    first: {
      seconds: 1,
      run: ({ keep }: any) => {
        keep({ results: [1] });
        throw new Error('the GPU hangs');
      },
    },
    second: { seconds: 50, run: ({ left }: any) => ({ most: Math.round(left()) }) },
  };
  expect(await inSteps(context, steps)).toEqual({
    failed: true,
    steps: { first: { results: [1], failure: 'the GPU hangs' }, second: { most: 50 } },
  });
  expect(kept[0]).toEqual({ steps: { first: { results: [1] } } });
  const late = await inSteps({ ...context, left: () => 1 }, { only: steps.second });
  expect(late.steps.only.failure).toBe('no time was left');
});

it('keeps results of several calls, each whole, and mirrors them', () => {
  const [out, mirror] = [path.join(folder, 'out'), path.join(folder, 'mirror')];
  new Store(out, undefined, ['tests', 'sweep']).keep('sweep', { results: [{ medianMs: 5 }] });
  new Store(out, mirror, ['tests', 'sweep']).keep('tests', { unfinished: true });
  expect(read('out', 'tests.json')).toEqual({ unfinished: true });
  expect(read('mirror', 'results.json')).toEqual({
    sweep: { results: [{ medianMs: 5 }] },
    tests: { unfinished: true },
  });
  const names = read('mirror', 'goals.json').figures.map(({ name }: any) => name);
  expect(names).toContain('op suite and goldens');
  expect(readdirSync(mirror).sort()).toEqual(['goals.json', 'results.json']);
});

it('reads what ctest says of each test, also of a run that was cut off', () => {
  const output = [
    'test 3',
    '      Start  3: gpu_linear',
    '3: [doctest] Status: SUCCESS!',
    ' 1/29 Test  #3: gpu_linear .......................   Passed    1.23 sec',
    ' 2/29 Test #12: gpu_mlp ..........................***Failed   20.00 sec',
    ' 3/29 Test  #4: gpu_rows .........................***Timeout 200.04 sec',
    ' 4/29 Test  #5: gpu_norm .........................***Exception: SegFault  0.10 sec',
    ' 5/29 Test  #6: gpu_rot',
  ].join('\n');
  expect(suitesOf(output)).toEqual([
    { name: 'gpu_linear', result: 'Passed', seconds: 1.23 },
    { name: 'gpu_mlp', result: 'Failed', seconds: 20 },
    { name: 'gpu_rows', result: 'Timeout', seconds: 200.04 },
    { name: 'gpu_norm', result: 'Exception: SegFault', seconds: 0.1 },
  ]);
});

it('names cases that are there, and between them every kernel, for the sanitizer', () => {
  const native = path.join(packageRoot, 'native');
  const files = (below: string, ending: string) =>
    readdirSync(path.join(native, below), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(ending))
      .map((name) => path.join(native, below, name));
  const kernels = files('src', '.cu').flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    const found = text.matchAll(/HEADSPARK_KERNEL\((?:[^()]|\([^()]*\))*\)\s+(\w+)\(/g);
    return [...found].map(([, name]) => `${path.basename(file, '.cu')} ${name}`);
  });
  expect(kernels.length).toBeGreaterThan(50);
  const covered = new Set(SANITIZED.flatMap(({ kernels: names }: any) => names));
  expect([...covered].sort()).toEqual([...new Set(kernels)].sort());
  const tests = files('test', '_test.cc').map((file) => readFileSync(file, 'utf8'));
  for (const { name } of SANITIZED.filter(({ program }: any) => program === undefined)) {
    expect(tests.some((text) => text.includes(`TEST_CASE("${name}")`))).toBe(true);
  }
  expect(filterOf('a, b')).toBe('a? b');
});

it('says of each case under the sanitizer what became of it, and which were left out', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const names: string[] = SANITIZED.map(({ name }: any) => name).slice(-5);
  const [, bad, absent, slow] = names.map((name) => `'-tc=${filterOf(name)}'`);
  // The last argument is the filter; what is printed is doctest's.
  const tool = [
    '#!/bin/sh',
    'for last; do :; done',
    'case "$last" in',
    `${bad}) exit 86;;`,
    `${absent}) exit 0;;`,
    `${slow}) exec sleep 60;;`,
    'esac',
    "echo '[doctest] test cases:  1 | 1 passed'",
  ];
  writeFileSync(path.join(folder, 'compute-sanitizer'), tool.join('\n'), { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  const end = performance.now() + 9000;
  const kept: any[] = [];
  const context = {
    options: { device: 'cuda:0' },
    left: () => (end - performance.now()) / 1000,
    keep: (object: object) => kept.push(object),
  };
  const { failed, cases, leftOut } = await sanitize(context, 'memcheck', names);
  vi.unstubAllEnvs();
  expect(failed).toBe(true);
  const results = Object.fromEntries(cases.map((each: any) => [each.case, each.result]));
  expect(names.map((name) => results[name])).toEqual([
    'passed',
    'failed with code 86',
    'no such case',
    'ran out of time',
    'passed',
  ]);
  expect(leftOut).toEqual([names[3]]);
  expect(kept.at(-1).cases).toHaveLength(5);
  const none = await sanitize({ ...context, left: () => 1 }, 'memcheck', names);
  expect(none).toMatchObject({ failed: false, cases: [], leftOut: names });
}, 30_000);

it('finds the library of a Python that is not the first, and says where another multiplied', () => {
  const library = path.join(folder, 'packages', 'nvidia', 'cu13', 'lib', 'libcublasLt.so.13');
  const python = path.join(folder, 'python');
  writeFileSync(python, `#!/bin/sh\necho ${library}\n`, { mode: 0o755 });
  expect(findLibrary(['/no/such/python', 'false', python])).toBe(library);
  expect(findLibrary(['/no/such/python'])).toBe('');
  expect(libraryProblem('cuBLASLt 13.1.0 from /x/libcublasLt.so.13.', undefined)).toBeUndefined();
  const own = "cuBLASLt is not installed where headspark looks; headspark's own kernels compute";
  expect(libraryProblem(own, undefined)).toBe(own);
  expect(libraryProblem(own, 'none')).toBeUndefined();
  expect(libraryProblem('', undefined)).toBeUndefined();
  const said = (settings: string) => ownProducts({ peers: [{ peer: 'headspark', settings }] });
  expect(said('NVIDIA H200, products by /x/libcublasLt.so.13')).toBe('');
  expect(said("NVIDIA H200, products by headspark's own kernels")).toMatch(/own kernels/);
  expect(said('EPYC, 2 threads, kernels avx512')).toBe('');
});

it('leaves results and a log where it is told to end', async () => {
  const [out, mirror] = [path.join(folder, 'out'), path.join(folder, 'mirror')];
  const model = path.join(folder, 'model');
  // In the place of cmake, ctest and the rest: what prints one result and hangs.
  const bin = path.join(folder, 'bin');
  const ctest = ['#!/bin/sh', "echo '1/2 Test #1: gpu_a ... Passed 0.10 sec'", 'exec sleep 100'];
  mkdirSync(bin);
  writeFileSync(path.join(bin, 'ctest'), ctest.join('\n'), { mode: 0o755 });
  writeFileSync(path.join(bin, 'cmake'), '#!/bin/sh\n', { mode: 0o755 });
  const script = path.join(benchFolder, 'gpu', 'main.mjs');
  const where = ['--out', out, '--mirror', mirror, '--parts', 'tests,sweep', '--device', 'cpu'];
  const models = ['--model', model, '--large-model', model];
  const child = spawn(process.execPath, [script, ...where, ...models], {
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  await vi.waitFor(() => expect(existsSync(path.join(out, 'tests.json'))).toBe(true), 20_000);
  expect(read('out', 'tests.json')).toMatchObject({ unfinished: true });
  child.kill('SIGTERM');
  expect(await ended).toBe(143);
  expect(read('mirror', 'results.json').tests).toMatchObject({
    suites: [{ name: 'gpu_a', result: 'Passed', seconds: 0.1 }],
    failure: 'ended by SIGTERM',
  });
  expect(existsSync(path.join(out, 'sweep.json'))).toBe(false);
  const log = readFileSync(path.join(mirror, 'log.txt'), 'utf8');
  expect(log).toContain('gpu_a ... Passed');
  expect(log).toContain('ended, 1 passed');
}, 60_000);
