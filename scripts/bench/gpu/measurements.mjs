// The benchmarks of a GPU run. Each takes { options, left(), keep(object) } and gives what its program
// printed; keep is called with what it knows so far.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../child.mjs';
import { cacheFolder, pairsFile, runProgram, runScript, vocabularySize } from '../programs.mjs';
import { libraryProblem } from './library.mjs';

const compareScript = fileURLToPath(new URL('../compare/main.mjs', import.meta.url));

const makeCheckpoint = fileURLToPath(new URL('../make-checkpoint.mjs', import.meta.url));

/**
 * Runs a command with its output shown. @param how  of runChild, seconds among them
 * @throws Error unless it gives 0
 */
export async function mustRun(how, command, ...args) {
  process.stderr.write(`$ ${command} ${args.join(' ')}\n`);
  const shown = { stdio: ['ignore', 'pipe', 'pipe'], shown: ['stdout', 'stderr'] };
  const { code } = await runChild(command, args, { ...shown, ...how });
  if (code !== 0) throw new Error(`${command} ended with code ${code}; its output above says why`);
}

/** A named checkpoint, or one of random weights: by a process that ends in time, which this might not. */
async function checkpoint(named, shape, left) {
  if (named !== undefined) return path.resolve(named);
  const folder = path.join(cacheFolder(), 'models', shape);
  if (!existsSync(path.join(folder, 'model.safetensors'))) {
    await mustRun({ seconds: left() }, process.execPath, makeCheckpoint, folder, '--shape', shape);
  }
  return folder;
}

export const smallModel = ({ options, left }) => checkpoint(options.model, 'qwen2.5-1.5b', left);
export const largeModel = ({ options, left }) => checkpoint(options.largeModel, 'qwen2.5-7b', left);

/** For a first look: one run of each, compared with nothing. */
const QUICKLY = ['--rounds', '1', '--milliseconds', '1', '--no-verify'];

const workFile = ({ out }, name) => path.join(out, `${name}.running.json`);

/** A result that fails, and says so, where own kernels multiplied in the place of cuBLASLt. */
function judged(result, products) {
  const problem = libraryProblem(products);
  if (problem === undefined) return result;
  process.stderr.write(`\n!! not by cuBLASLt: ${problem}\n\n`);
  return { ...result, failed: true, problem };
}

async function measured({ options, left, keep }, name, args) {
  const { device } = options;
  const how = { device, seconds: left(), keep, out: workFile(options, name) };
  const result = await runProgram(name, args, how);
  return judged(result, result.products);
}

/** bench_ops in a precision. @param args  what else it is told */
export const ops = (context, precision, args = []) =>
  measured(context, 'bench_ops', ['--milliseconds', '100', '--precision', precision, ...args]);

/** bench_model on some pairs in `fast`. */
export async function model(context, folder, { pairs: kind, filter, rounds = 3, quickly = false }) {
  const pairs = await pairsFile(kind, await vocabularySize(folder));
  const args = [folder, '--pairs', pairs.file, '--precision', 'fast', '--filter', filter];
  const how = quickly ? QUICKLY : ['--rounds', String(rounds)];
  const result = await measured(context, 'bench_model', [...args, ...how]);
  return { ...result, pairs: pairs.text };
}

/** 256 rows at a mean context of about 512 tokens, of 64 variants. */
export async function decode(context, { quickly = false } = {}) {
  const folder = await smallModel(context);
  const sizes = ['--rows', '256', '--variants', '64', '--prompt', '440', '--steps', '128'];
  const args = ['--model', folder, ...sizes, '--memory', '32768', '--precision', 'fast'];
  const few = quickly ? ['--rounds', '1', '--no-verify'] : [];
  return await measured(context, 'bench_decode', [...args, ...few]);
}

/** What multiplied for headspark in a comparison, as its programs say it; empty on a CPU. */
export function ownProducts({ peers }) {
  const own = peers.find(({ peer }) => peer === 'headspark')?.settings ?? '';
  const products = /, products by (.*)$/.exec(own)?.[1] ?? '';
  return /libcublasLt/.test(products) ? '' : products;
}

/** scripts/bench/compare with PyTorch, in its bf16 and in `fast`. */
async function beside({ options, left, keep }, name, args, rounds) {
  const { device, python } = options;
  const which = ['--variants', 'bf16', '--own-variants', 'fast', '--peers', 'torch'];
  const where = ['--threads', '4', '--device', device, '--python', python];
  const all = [...args, ...which, '--rounds', String(rounds), ...where];
  const how = { seconds: left(), keep, out: workFile(options, name) };
  const result = await runScript(compareScript, all, how);
  return judged(result, ownProducts(result));
}

/** EAP-IG of 64 pairs of 128 tokens. */
export async function eapIgBeside(context) {
  const folder = await smallModel(context);
  const pairs = await pairsFile('long', await vocabularySize(folder));
  const args = ['--model', folder, '--pairs', pairs.file, '--filter', 'eap-ig'];
  return await beside(context, 'eap-ig', args, context.options.rounds);
}

/** Attention of FlashAttention's sizes, those of most interest first, and products. */
export const opsBeside = (context) => {
  const sizes = ['2048x128', '8192x128', '512x128', '2048x64', '128x128', '8192x64'];
  const filter = [...sizes, 'attention', 'linear'].join(',');
  return beside(context, 'attention', ['--ops-only', '--filter', filter], context.options.rounds);
};

export const attentionQuickly = (context) =>
  beside(context, 'attention', ['--ops-only', '--filter', '2048x128'], 1);
