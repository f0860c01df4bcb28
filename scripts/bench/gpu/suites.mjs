// The suites on a GPU, plain and under compute-sanitizer: a process for each, so that a fault in one
// leaves the others, and what came out of each is known as it ends.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../child.mjs';
import { presetOf, programPath } from '../programs.mjs';
import { Interrupted } from '../user-error.mjs';
import { SANITIZED, SMALL_SIZES, smallFolder } from './sanitized.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const makeCheckpoint = fileURLToPath(new URL('../make-checkpoint.mjs', import.meta.url));

/** What ctest says of each test that has ended: { name, result, seconds }. */
export function suitesOf(output) {
  const line = /^\s*\d+\/\d+ Test +#\d+: (\S+) \.*\s*(Passed|\*\*\*\S[^\n]*?)\s+([\d.]+) sec/gm;
  return [...output.matchAll(line)].map(([, name, result, seconds]) => ({
    name,
    result: result.replace(/^\*+/, '').trim(),
    seconds: Number(seconds),
  }));
}

/** The suites of the device; goldens beyond test/fixtures where HEADSPARK_SHARED has them. */
export async function suites({ options, left, keep }, { only, jobs = 6 } = {}) {
  const onGpu = options.device !== 'cpu';
  const args = ['--preset', presetOf(options.device), '--no-tests=error'];
  args.push('--parallel', String(onGpu ? jobs : 1), ...(onGpu ? ['-L', 'gpu'] : []));
  if (only !== undefined) args.push('-R', only);
  const shared = process.env.HEADSPARK_SHARED ?? path.join(root, '..', 'shared');
  const sharedGoldens = existsSync(path.join(shared, 'reference'));
  let ended = 0;
  const onText = ({ output }) => {
    const suites = suitesOf(output);
    if (suites.length > ended) keep({ suites, sharedGoldens });
    ended = suites.length;
  };
  const how = { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], shown: ['stdout', 'stderr'] };
  const { code, output } = await runChild('ctest', args, { ...how, seconds: left(), onText });
  return { failed: code !== 0, code, suites: suitesOf(output), sharedGoldens };
}

/** How many processes of the sanitizer run at a time: each mostly waits for one thread of the host. */
const sanitizedAtOnce = 4;

/** What became of a run of one case, in words, and what it printed. */
async function outcome(run, { program }) {
  try {
    const { code, output, errors } = await run;
    const text = output + errors;
    if (code !== 0) return { result: `failed with code ${code}`, text };
    const ran = program !== undefined || /test cases: +1 \|/.test(text);
    return { result: ran ? 'passed' : 'no such case', text };
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    const late = error.message.includes('took more than');
    const text = `${error.output ?? ''}${error.errors ?? ''}`;
    return { result: late ? 'ran out of time' : error.message, text };
  }
}

/** One of SANITIZED under a tool: { case, result, seconds }; result is 'passed' or what happened. */
async function sanitizeCase({ options, left }, tool, entry) {
  const { name, program = 'headspark_gpu_tests', args = () => [`-tc=${filterOf(name)}`] } = entry;
  // Own kernels, and each buffer an allocation of its own, so that what lies beside it is seen.
  const plain = { HEADSPARK_CUDA_POOL: 'none', HEADSPARK_CUDA_GRAPHS: 'none' };
  const settings = { ...plain, HEADSPARK_CUBLASLT: 'none', HEADSPARK_CUDA_WAIT: '1' };
  const env = { ...process.env, ...settings };
  const own = [programPath(program, presetOf(options.device)), ...(await args())];
  const command = ['--tool', tool, '--error-exitcode', '86', ...own];
  const begin = performance.now();
  const piped = { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] };
  const how = { ...piped, seconds: left() - 3, grace: 3 };
  const { result, text } = await outcome(runChild('compute-sanitizer', command, how), entry);
  process.stderr.write(`${tool}, ${name}: ${result}\n`);
  if (result !== 'passed') process.stderr.write(`${text.slice(-6000)}\n`);
  return { case: name, result, seconds: (performance.now() - begin) / 1000 };
}

/** A filter of doctest for one case: commas would begin another. */
export const filterOf = (name) => name.replaceAll(',', '?');

/** The checkpoint of the computations among SANITIZED. */
async function writeSmallModel() {
  const sizes = Object.entries(SMALL_SIZES).flatMap(([name, size]) => [`--${name}`, String(size)]);
  const args = [makeCheckpoint, smallFolder(), ...sizes];
  const { code, errors } = await runChild(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    seconds: 30,
  });
  if (code !== 0) throw new Error(`the checkpoint for the sanitizer was not written: ${errors}`);
}

/** SANITIZED, or those of these names, under a tool of compute-sanitizer. */
export async function sanitize(context, tool, names) {
  const { left, keep } = context;
  const waiting = SANITIZED.filter(({ name }) => names === undefined || names.includes(name));
  if (waiting.some(({ program }) => program !== undefined)) await writeSmallModel();
  const cases = [];
  const work = async () => {
    while (waiting.length > 0 && left() > 5) {
      cases.push(await sanitizeCase(context, tool, waiting.shift()));
      keep({ cases });
    }
  };
  await Promise.all(Array.from({ length: sanitizedAtOnce }, work));
  const late = cases.filter(({ result }) => result === 'ran out of time');
  const leftOut = [...waiting.map(({ name }) => name), ...late.map((each) => each.case)];
  const wrong = cases.filter(({ result }) => !['passed', 'ran out of time'].includes(result));
  if (leftOut.length > 0) process.stderr.write(`${tool} left out: ${leftOut.join('; ')}\n`);
  return { failed: wrong.length > 0, cases, leftOut };
}
