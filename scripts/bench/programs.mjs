// Builds and runs the native benchmark programs, and keeps what benchmarks need in a cache folder:
// checkpoints of random weights, pairs, and the peers of scripts/bench/compare.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SHAPES, resolveShape } from './checkpoint/shapes.mjs';
import { writeCheckpoint } from './checkpoint/write.mjs';
import { runChild } from './child.mjs';
import { KINDS, makePairs, writePairs } from './pairs.mjs';
import { progressLine } from './progress-line.mjs';
import { UserError } from './user-error.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** HEADSPARK_BENCH_CACHE, or headspark-bench in the user's cache folder. */
export function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
  return path.resolve(process.env.HEADSPARK_BENCH_CACHE || path.join(base, 'headspark-bench'));
}

/** `cpu` or `cuda:N`. @throws UserError for any other text. */
export function checkDevice(device) {
  if (device === 'cpu' || /^cuda:\d{1,3}$/.test(device)) return device;
  throw new UserError(`--device ${device} is unknown; it must be cpu or cuda:N.`);
}

/** The CMake preset whose programs compute on a device. */
export const presetOf = (device) => (device === 'cpu' ? 'cpu' : 'cuda');

/** For the GPUs of this machine alone: other architectures would compile for nothing. */
function architectures() {
  const query = ['--query-gpu=compute_cap', '--format=csv,noheader'];
  const { stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  const found = new Set(
    (stdout ?? '').match(/\d+\.\d+/g)?.map((text) => `${text.replace('.', '')}-real`),
  );
  return found.size > 0 ? [`-DCMAKE_CUDA_ARCHITECTURES=${[...found].join(';')}`] : [];
}

/** What follows `cmake` to configure a preset's folder. */
export const configureArguments = (preset) => [
  '--preset',
  preset,
  ...(preset === 'cuda' ? architectures() : []),
];

/** What is computed where nothing is named: a checkpoint of a size that fills the device. */
export const defaultShape = (device) => (device === 'cpu' ? 'smollm2-135m' : 'qwen2.5-1.5b');
export const defaultPairs = (device) => (device === 'cpu' ? 'mixed' : 'long');

export const PROGRAMS = ['bench_ops', 'bench_model', 'bench_peer', 'bench_decode'];

/** Builds the benchmark programs where they are missing or old; says so on stderr. */
export function buildPrograms({ quiet = false, preset = 'cpu', programs = PROGRAMS } = {}) {
  const run = (...args) => {
    const stdio = quiet ? 'pipe' : ['ignore', 2, 2];
    const { status, error, stdout, stderr } = spawnSync('cmake', args, { cwd: root, stdio });
    if (error) {
      throw new UserError(
        `cmake could not be started (${error.message}); install CMake 3.21 or later.`,
      );
    }
    if (status === 0) return;
    if (quiet) process.stderr.write(`${stdout}${stderr}`);
    throw new UserError(`cmake ${args.join(' ')} failed; its output above says why.`);
  };
  const targets = programs.flatMap((name) => ['--target', name]);
  run(...configureArguments(preset));
  run('--build', '--preset', preset, ...targets, '--parallel', String(availableParallelism()));
}

export function programPath(name, preset = 'cpu') {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return path.join(root, `build-${preset}`, 'native', `${name}${suffix}`);
}

/** The object in a text; undefined where there is none. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The object in a file, which programs write whole; undefined where there is none yet. */
function readObject(file) {
  try {
    return parsed(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

const followMs = 2000;

/** Runs `work` while keep(object) is given what a file holds, as it changes; the last one. */
async function following(file, keep, work) {
  rmSync(file, { force: true });
  let last;
  const look = () => {
    const object = readObject(file);
    if (object === undefined || JSON.stringify(object) === JSON.stringify(last)) return;
    last = object;
    keep(object);
  };
  const timer = setInterval(look, followMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    look();
  }
}

/**
 * Runs a native program with --json and returns the object it prints. Its progress goes to stderr
 * unless `quiet`; a program that found a wrong result (exit code 1 with JSON) sets `failed`.
 * @param options  seconds: see runChild; out: a file of the object that is whole at any moment, and
 *                 keep(object): called as it grows, so that a program that is ended leaves that much
 */
export async function runProgram(
  name,
  args,
  { quiet = false, device = 'cpu', seconds, env = process.env, out, keep = () => {} } = {},
) {
  const file = out === undefined ? [] : ['--out', out];
  const command = [...args, ...file, '--device', device, '--json'];
  const program = programPath(name, presetOf(device));
  const how = { stdio: ['ignore', 'pipe', 'pipe'], shown: quiet ? [] : ['stderr'], seconds, env };
  const run = () => runChild(program, command, how);
  const { code, output, errors } = await (out === undefined ? run() : following(out, keep, run));
  if (quiet && code !== 0) {
    const own = errors.split('\n').filter((line) => line.startsWith(`${name}: `));
    process.stderr.write(`${own.length > 0 ? own.join('\n') : errors}\n`);
  }
  const result = parsed(output);
  if (result !== undefined) return { ...result, failed: code !== 0 };
  const failure = `${name} failed with exit code ${code}; the line above says why.`;
  throw code === 1 ? new UserError(failure) : new Error(failure);
}

/** Runs a script that writes an object to `out` again and again, as runProgram does. */
export async function runScript(script, args, { out, keep = () => {}, seconds }) {
  const how = { stdio: ['ignore', 'pipe', 'pipe'], shown: ['stdout', 'stderr'], seconds };
  const command = [script, ...args, '--out', out];
  const { code } = await following(out, keep, () => runChild(process.execPath, command, how));
  if (code === 0) return readObject(out);
  throw new Error(`${path.basename(script)} ended with code ${code}; its output above says why`);
}

/** The vocabulary size that a checkpoint folder's config.json states. */
export async function vocabularySize(model) {
  const file = path.join(model, 'config.json');
  try {
    const { vocab_size: size } = JSON.parse(await readFile(file, 'utf8'));
    if (Number.isSafeInteger(size)) return size;
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${error.message}); give a checkpoint folder with --model.`,
      'ERR_HEADSPARK_FILE_NOT_FOUND',
    );
  }
  throw new UserError(`${file} has no "vocab_size".`, 'ERR_HEADSPARK_CONFIG');
}

/** The named checkpoint, or one of random weights of `shape` in the cache, made when missing. */
export async function resolveModel(model, shape = defaultShape('cpu')) {
  if (model !== undefined) return path.resolve(model);
  const folder = path.join(cacheFolder(), 'models', shape);
  if (existsSync(path.join(folder, 'model.safetensors'))) return folder;
  if (!Object.hasOwn(SHAPES, shape)) resolveShape(shape); // throws with the known names
  const progress = progressLine(`random ${shape}`);
  await writeCheckpoint(folder, resolveShape(shape), { onProgress: progress.report });
  progress.end();
  return folder;
}

/** A file of random pairs of a kind for a vocabulary, in the cache. */
export async function pairsFile(kind, vocab) {
  const folder = path.join(cacheFolder(), 'pairs');
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `${kind}-${vocab}.jsonl`);
  await writePairs(file, makePairs(kind, vocab));
  return { file, text: `${KINDS[kind].pairs} random pairs, ${KINDS[kind].text}` };
}
