// What a user does wrong with the benchmarks' command lines: one sentence, a code, exit 1.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { benchFolder } from './scripts.js';

it.each([
  ['main.mjs', ['--threads', '-1'], /--threads must be a whole number/],
  ['main.mjs', ['--memory', 'x'], /--memory must be a whole number/],
  ['main.mjs', ['--precision', 'half'], /precision.*half/],
  ['main.mjs', ['--model', '/no/model'], /\/no\/model\/config\.json cannot be read/],
  ['main.mjs', ['--shape', 'gpt5'], /--shape gpt5 is unknown/],
  ['compare/main.mjs', ['--rounds', '0'], /--rounds must be a whole number of at least 1/],
  ['compare/main.mjs', ['--peers', 'jax'], /--peers jax is unknown; these are: torch, onnx, llama/],
  ['compare/main.mjs', ['--round', '3'], /round/],
  ['compare/main.mjs', ['--device', 'gpu'], /--device gpu is unknown; it must be cpu or cuda:N/],
  [
    'compare/main.mjs',
    ['--device', 'cuda:0', '--peers', 'llama'],
    /--peers llama computes on the CPU; beside cuda:0 there is: torch/,
  ],
  [
    'compare/main.mjs',
    ['--ops-only', '--peers', 'onnx'],
    /--ops-only leaves nothing to do for --peers onnx/,
  ],
  ['main.mjs', ['--device', 'cuda'], /--device cuda is unknown/],
  ['gpu/main.mjs', ['--out', '/tmp', '--parts', 'all'], /--parts all is unknown; these are: build/],
  ['device-counts/main.mjs', ['--heads', '3'], /--heads 3: give an even number/],
  [
    'gpu/main.mjs',
    ['--out', '/tmp', '--call', '9'],
    /--call 9 is unknown; these are: 1: build, smoke/,
  ],
  ['gpu/main.mjs', [], /out/],
])('%s refuses %j', (script, args, message) => {
  const env = { ...process.env, HEADSPARK_BENCH_CACHE: '/nonexistent/cache' };
  const command = [path.join(benchFolder, script), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    env,
  });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr.replaceAll('\n', ' ')).toMatch(message);
  expect(stderr).toMatch(/\[ERR_HEADSPARK_[A-Z_]+\]\n$/);
});
