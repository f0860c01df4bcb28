// The parts of a GPU run, goals first. Each leaves an object: what a benchmark program printed, or
// exit codes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../child.mjs';
import {
  configureArguments,
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
async function run({ seconds, env }, command, ...args) {
  process.stderr.write(`$ ${command} ${args.join(' ')}\n`);
  const how = { cwd: root, stdio: ['ignore', 2, 2], seconds, env: { ...process.env, ...env } };
  return (await runChild(command, args, how)).code;
}

async function mustRun(options, command, ...args) {
  const code = await run(options, command, ...args);
  if (code !== 0) throw new Error(`${command} ended with code ${code}; its output above says why`);
}

const smallModel = ({ model }) => resolveModel(model, SMALL);
const largeModel = ({ largeModel: model }) => resolveModel(model, LARGE);

/** The core, its tests and the benchmarks, while the checkpoints of random weights are written. */
async function build(options) {
  const preset = presetOf(options.device);
  await mustRun(options, 'cmake', ...configureArguments(preset));
  const parallel = ['--parallel', String(availableParallelism())];
  // Both to their end: a checkpoint that is being written must not be written by the next part too.
  const ended = await Promise.allSettled([
    mustRun(options, 'cmake', '--build', '--preset', preset, ...parallel),
    smallModel(options).then(() => largeModel(options)),
  ]);
  for (const { reason } of ended) if (reason !== undefined) throw reason;
}

const testProgram = ({ device }) =>
  programPath(device === 'cpu' ? 'headspark_tests' : 'headspark_gpu_tests', presetOf(device));

/** The suites on CPU and GPU; goldens beyond test/fixtures where HEADSPARK_SHARED has them. */
async function tests(options) {
  const code = await run(
    options,
    'ctest',
    '--preset',
    presetOf(options.device),
    '--no-tests=error',
  );
  const shared = process.env.HEADSPARK_SHARED ?? path.join(root, '..', 'shared');
  return { failed: code !== 0, code, sharedGoldens: existsSync(path.join(shared, 'reference')) };
}

/** The suites under a tool of compute-sanitizer; goldens run the same kernels for much longer. */
async function sanitize(options, tool) {
  const command = ['--tool', tool, '--error-exitcode', '86', testProgram(options)];
  // Own kernels, and each buffer an allocation of its own, so that what lies beside it is seen.
  const env = { HEADSPARK_CUDA_WAIT: '1', HEADSPARK_CUDA_POOL: 'none', HEADSPARK_CUBLASLT: 'none' };
  const without = '-tce=goldens*,generator: ten thousand tokens*';
  const code = await run({ ...options, env }, 'compute-sanitizer', ...command, without);
  return { failed: code !== 0, code };
}

/** bench_ops in both precisions. */
async function ops({ device, seconds }) {
  const half = { device, seconds: seconds / 2 };
  const exact = await runProgram('bench_ops', ['--milliseconds', '100'], half);
  const args = ['--milliseconds', '100', '--precision', 'fast'];
  const fast = await runProgram('bench_ops', args, half);
  return { exact, fast, failed: exact.failed || fast.failed };
}

/** bench_model on some pairs in `fast`. */
async function model({ device, seconds }, folder, kind, filter) {
  const pairs = await pairsFile(kind, await vocabularySize(folder));
  const args = [folder, '--pairs', pairs.file, '--precision', 'fast', '--filter', filter];
  return { ...(await runProgram('bench_model', args, { device, seconds })), pairs: pairs.text };
}

/** 256 rows at a mean context of about 512 tokens, of 64 variants. */
async function decode(options) {
  const { device, seconds } = options;
  const folder = await smallModel(options);
  const sizes = ['--rows', '256', '--variants', '64', '--prompt', '440', '--steps', '128'];
  const args = ['--model', folder, ...sizes, '--memory', '32768', '--precision', 'fast'];
  return await runProgram('bench_decode', args, { device, seconds });
}

/** EAP-IG, attention and products beside PyTorch, by scripts/bench/compare. */
async function peers(options) {
  const folder = await smallModel(options);
  const pairs = await pairsFile('long', await vocabularySize(folder));
  const out = path.join(options.out, 'compare.json');
  const filter = ['--filter', 'eap-ig,attention,linear', '--variants', 'bf16'];
  const what = ['--model', folder, '--pairs', pairs.file, ...filter, '--out', out];
  const how = ['--rounds', String(options.rounds), '--threads', '4', '--peers', 'torch'];
  const where = ['--device', options.device, '--python', options.python];
  await mustRun(options, process.execPath, compareScript, ...what, ...how, ...where);
  return JSON.parse(await readFile(out, 'utf8'));
}

/** cuBLASLt of the Python that has torch, for programs that find no other. */
export function librarySetting({ python, device }) {
  if (device === 'cpu' || process.env.HEADSPARK_CUBLASLT !== undefined) return {};
  const find =
    'import glob, nvidia; print((glob.glob(list(nvidia.__path__)[0] + "/*/lib/libcublasLt.so.1[23]") + [""])[0])';
  const { stdout } = spawnSync(python, ['-c', find], { encoding: 'utf8' });
  const found = (stdout ?? '').trim();
  return found === '' ? {} : { HEADSPARK_CUBLASLT: found };
}

/** `seconds`: after which a part is ended, whatever hangs. */
export const PARTS = {
  build: { about: 'core, tests, benchmarks and checkpoints', seconds: 400, run: build },
  tests: { about: 'the suites on both devices, and the goldens', seconds: 240, run: tests },
  peers: { about: 'EAP-IG, attention and products beside PyTorch', seconds: 450, run: peers },
  sweep: {
    about: 'all single heads on 100 prompts of 128 tokens',
    seconds: 150,
    run: async (options) => model(options, await smallModel(options), 'prompts', 'sweep'),
  },
  decode: { about: '256 rows of 64 variants', seconds: 120, run: decode },
  large: {
    about: 'EAP-IG of 64 pairs of 128 tokens on 7B',
    seconds: 180,
    run: async (options) => model(options, await largeModel(options), 'long', 'eap-ig'),
  },
  'large-long': {
    about: 'EAP-IG of pairs of 512 tokens on 7B',
    seconds: 180,
    run: async (options) => model(options, await largeModel(options), 'deep', 'eap-ig'),
  },
  memcheck: {
    about: 'the suites under compute-sanitizer memcheck',
    seconds: 300,
    run: (options) => sanitize(options, 'memcheck'),
  },
  racecheck: {
    about: 'the suites under compute-sanitizer racecheck',
    seconds: 300,
    run: (options) => sanitize(options, 'racecheck'),
  },
  ops: { about: 'single ops, exact and fast', seconds: 300, run: ops },
};
