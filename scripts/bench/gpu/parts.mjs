// The parts of a GPU run. Each leaves an object: what a benchmark program printed, or exit codes.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  pairsFile,
  presetOf,
  programPath,
  resolveModel,
  runProgram,
  vocabularySize,
} from '../programs.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const compareScript = fileURLToPath(new URL('../compare/main.mjs', import.meta.url));
const SMALL = 'qwen2.5-1.5b';
const LARGE = 'qwen2.5-7b';

/** Runs a command in the package's folder with its output shown; its exit code. */
function run(command, ...args) {
  process.stderr.write(`$ ${command} ${args.join(' ')}\n`);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
    child.on('error', (error) =>
      reject(new Error(`${command} could not be started (${error.message})`)),
    );
    child.on('close', (code) => resolve(code ?? 1));
  });
}

async function mustRun(command, ...args) {
  const code = await run(command, ...args);
  if (code !== 0) throw new Error(`${command} ended with code ${code}; its output above says why`);
}

const smallModel = ({ model }) => resolveModel(model, SMALL);
const largeModel = ({ largeModel: model }) => resolveModel(model, LARGE);

/** The core, its tests and the benchmarks, while the checkpoints of random weights are written. */
async function build(options) {
  const preset = presetOf(options.device);
  await mustRun('cmake', '--preset', preset);
  const parallel = ['--parallel', String(availableParallelism())];
  await Promise.all([
    mustRun('cmake', '--build', '--preset', preset, ...parallel),
    smallModel(options).then(() => largeModel(options)),
  ]);
}

const testProgram = ({ device }) => programPath('headspark_tests', presetOf(device));

/** The op suite on CPU and GPU and the goldens. */
async function tests(options) {
  const code = await run('ctest', '--preset', presetOf(options.device), '--no-tests=error');
  return { failed: code !== 0, code };
}

/** The suite under a tool of compute-sanitizer; goldens run the same kernels for much longer. */
async function sanitize(options, tool) {
  const command = ['--tool', tool, '--error-exitcode', '86', testProgram(options)];
  const code = await run('compute-sanitizer', ...command, '-tce=goldens*');
  return { failed: code !== 0, code };
}

/** bench_ops in both precisions. */
async function ops({ device }) {
  const exact = await runProgram('bench_ops', [], { device });
  const fast = await runProgram('bench_ops', ['--precision', 'fast'], { device });
  return { exact, fast, failed: exact.failed || fast.failed };
}

/** bench_model on some pairs in `fast`. */
async function model({ device }, folder, kind, filter) {
  const pairs = await pairsFile(kind, await vocabularySize(folder));
  const args = [folder, '--pairs', pairs.file, '--precision', 'fast', '--filter', filter];
  return { ...(await runProgram('bench_model', args, { device })), pairs: pairs.text };
}

/** 256 rows at a context of about 512 tokens, of 64 variants. */
async function decode(options) {
  const { device } = options;
  const folder = await smallModel(options);
  const sizes = ['--rows', '256', '--variants', '64', '--prompt', '480', '--steps', '64'];
  const args = ['--model', folder, ...sizes, '--memory', '32768', '--precision', 'fast'];
  return await runProgram('bench_decode', args, { device });
}

/** Beside PyTorch, by scripts/bench/compare. */
async function compare(options, name, filter) {
  const folder = await smallModel(options);
  const pairs = await pairsFile('long', await vocabularySize(folder));
  const out = path.join(options.out, `compare-${name}.json`);
  const what = ['--model', folder, '--pairs', pairs.file, '--filter', filter, '--out', out];
  const how = ['--rounds', String(options.rounds), '--threads', '4', '--peers', 'torch'];
  const where = ['--device', options.device, '--python', options.python];
  await mustRun(process.execPath, compareScript, ...what, ...how, ...where);
  return JSON.parse(await readFile(out, 'utf8'));
}

export const PARTS = {
  build: { about: 'core, tests, benchmarks and checkpoints', run: build },
  tests: { about: 'the op suite on both devices, and the goldens', run: tests },
  ops: { about: 'single ops, exact and fast', run: ops },
  attention: {
    about: 'attention and products beside PyTorch',
    run: (options) => compare(options, 'ops', 'attention,linear'),
  },
  'eap-ig': {
    about: 'EAP-IG of 64 pairs of 128 tokens beside PyTorch',
    run: (options) => compare(options, 'eap-ig', 'eap-ig'),
  },
  sweep: {
    about: 'all single heads on 100 prompts of 128 tokens',
    run: async (options) => model(options, await smallModel(options), 'prompts', 'sweep'),
  },
  decode: { about: '256 rows of 64 variants', run: decode },
  large: {
    about: 'EAP-IG of 64 pairs of 128 tokens on 7B',
    run: async (options) => model(options, await largeModel(options), 'long', 'eap-ig'),
  },
  'large-long': {
    about: 'EAP-IG of pairs of 512 tokens on 7B',
    run: async (options) => model(options, await largeModel(options), 'deep', 'eap-ig'),
  },
  memcheck: {
    about: 'the op suite under compute-sanitizer memcheck',
    run: (options) => sanitize(options, 'memcheck'),
  },
  racecheck: {
    about: 'the op suite under compute-sanitizer racecheck',
    run: (options) => sanitize(options, 'racecheck'),
  },
};
