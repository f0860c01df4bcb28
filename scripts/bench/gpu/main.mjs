// What a GPU is held to, in one command: builds core, tests and benchmarks with CUDA, measures, runs the
// tests (under compute-sanitizer as well), and prints each figure beside its goal. Every part keeps what
// it has found in --out at any moment, and is ended when it takes too long, so that a machine that is
// taken away, or a kernel that hangs, costs one figure.
// Usage: npm run bench:gpu -- --out DIR [--call N | --parts build,smoke,…]; --help lists the rest.
import { existsSync } from 'node:fs';
import path from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { checkInterrupted } from '../child.mjs';
import { checkDevice, presetOf, programPath, PROGRAMS } from '../programs.mjs';
import { goalsTable } from '../tables.mjs';
import { failAsUserError, Interrupted, runMain, UserError } from '../user-error.mjs';
import { librarySetting } from './library.mjs';
import { CALL_SECONDS, CALLS, PARTS } from './parts.mjs';
import { Store } from './store.mjs';

const callsText = CALLS.map((parts, index) => `${index + 1}: ${parts.join(', ')}`).join('; ');

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run bench:gpu --')
    .usage('$0 --out DIR [options]\n\nTests and measures headspark on a GPU.')
    .option('out', { describe: 'folder for results', type: 'string', demandOption: true })
    .option('mirror', {
      describe: 'a second folder for results.json, goals.json and log.txt',
      type: 'string',
    })
    .option('device', { describe: 'cuda:N (cpu tries the script)', default: 'cuda:0' })
    .option('parts', {
      describe: `in order: ${Object.keys(PARTS).join(', ')} (default: all; "": show results only)`,
      type: 'string',
    })
    .option('call', { describe: `some of the parts: ${callsText}`, type: 'number' })
    .option('seconds', {
      describe: `of all parts together (default: ${CALL_SECONDS} with --call, else no limit)`,
      type: 'number',
    })
    .option('model', { describe: 'checkpoint (default: random qwen2.5-1.5b)', type: 'string' })
    .option('large-model', { describe: 'checkpoint (default: random qwen2.5-7b)', type: 'string' })
    .option('python', { describe: 'a Python that has torch with CUDA', default: 'python3' })
    .option('limit', { describe: 'seconds of a part (default: of each its own)', type: 'number' })
    .option('rounds', { describe: 'timed runs of each contender', type: 'number', default: 5 })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

function partsOf({ parts, call }) {
  if (call !== undefined) {
    if (parts !== undefined) throw new UserError('Give --call or --parts, not both.');
    if (CALLS[call - 1] === undefined) {
      throw new UserError(`--call ${call} is unknown; these are: ${callsText}.`);
    }
    return CALLS[call - 1];
  }
  const names = parts?.split(',').filter((name) => name !== '') ?? Object.keys(PARTS);
  const unknown = names.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    throw new UserError(
      `--parts ${unknown} is unknown; these are: ${Object.keys(PARTS).join(', ')}.`,
    );
  }
  return names;
}

/** The parts, with `build` in front where this machine has no programs yet. */
function withBuild(names, { device }) {
  const preset = presetOf(device);
  const needed = [...PROGRAMS, ...(preset === 'cuda' ? ['headspark_gpu_tests'] : [])];
  const there = needed.every((name) => existsSync(programPath(name, preset)));
  if (there || names.length === 0 || names.includes('build')) return names;
  process.stderr.write('no programs here yet: build comes first\n');
  return ['build', ...names];
}

/** Runs one part in so many seconds; what it finds out, or why it found no more, is in the store. */
async function runPart(name, options, store, seconds) {
  process.stderr.write(`\n== ${name}: ${PARTS[name].about} (at most ${Math.round(seconds)} s)\n`);
  const begin = performance.now();
  const spent = () => (performance.now() - begin) / 1000;
  let known = {};
  const keep = (object) => {
    known = object;
    store.keep(name, { ...object, seconds: spent(), unfinished: true });
  };
  const context = { options, left: () => seconds - spent(), keep };
  let interrupted;
  try {
    known = (await PARTS[name].run(context)) ?? {};
  } catch (error) {
    known = { ...known, failure: error.message };
    process.stderr.write(`${name} failed: ${error.message}\n`);
    if (error instanceof Interrupted) interrupted = error;
  }
  store.keep(name, { ...known, seconds: spent() });
  if (interrupted) throw interrupted;
  return known;
}

/** Runs the parts that there is time for; whether all of them ran and went well. */
async function runParts(names, options, store) {
  const { seconds = options.call === undefined ? Infinity : CALL_SECONDS } = options;
  const left = () => seconds - performance.now() / 1000;
  let well = true;
  for (const name of names) {
    checkInterrupted();
    if (left() < 10) {
      process.stderr.write(
        `\n== ${name}: left out, since no time is left; --parts ${name} runs it\n`,
      );
      well = false;
      continue;
    }
    const most = options.limit ?? PARTS[name].seconds;
    const result = await runPart(name, options, store, Math.min(most, left()));
    if (result.failure !== undefined || result.failed === true) well = false;
  }
  return well;
}

await runMain(async () => {
  const options = await parse();
  checkDevice(options.device);
  const names = partsOf(options);
  options.out = path.resolve(options.out);
  const mirror = options.mirror === undefined ? undefined : path.resolve(options.mirror);
  const store = new Store(options.out, mirror, Object.keys(PARTS));
  store.keepLog();
  const setting = librarySetting(options);
  Object.assign(process.env, setting);
  process.stderr.write(`cuBLASLt: ${setting.HEADSPARK_CUBLASLT ?? 'as the programs find it'}\n`);
  try {
    if (!(await runParts(withBuild(names, options), options, store))) process.exitCode = 1;
  } finally {
    store.summarize();
    const { sweep, decode, smoke } = store.results;
    const device = [sweep, decode, smoke?.steps?.doctor].find((part) => part?.device)?.device;
    console.log(
      `on ${device ?? options.device}; the goals are for an H200 and models of 1.5B and 7B`,
    );
    console.log(goalsTable(store.figures));
  }
});
