// The parts of a GPU run, what says most first, and the calls that they make up. A part is given
// { options, left(), keep(object) } and leaves an object: what a benchmark program printed, or exit codes.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configureArguments, presetOf, PROGRAMS } from '../programs.mjs';
import { Interrupted } from '../user-error.mjs';
import * as measure from './measurements.mjs';
import { sanitize, suites } from './suites.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The core, its tests and the benchmarks, while the checkpoints are written. */
async function build(context) {
  const { options, left } = context;
  const preset = presetOf(options.device);
  const cmake = (...args) => measure.mustRun({ cwd: root, seconds: left() }, 'cmake', ...args);
  await cmake(...configureArguments(preset));
  // The suites of the CPU are none of a device's.
  const targets = preset === 'cuda' ? ['headspark_gpu_tests', ...PROGRAMS] : ['all'];
  const named = targets.flatMap((name) => ['--target', name]);
  const parallel = ['--parallel', String(availableParallelism())];
  const ended = await Promise.allSettled([
    cmake('--build', '--preset', preset, ...named, ...parallel),
    measure.smallModel(context).then(() => measure.largeModel(context)),
  ]);
  for (const { reason } of ended) if (reason !== undefined) throw reason;
}

/** What the machine is, for the log. */
function showMachine() {
  for (const [command, ...args] of [['nvidia-smi'], ['nvcc', '--version']]) {
    const { stdout, error } = spawnSync(command, args, { encoding: 'utf8' });
    process.stderr.write(error ? `${command}: ${error.message}\n` : stdout);
  }
}

/**
 * One step after the other, each with a time of its own; what fails leaves the next.
 * @param steps  { name: { seconds, run(context) } }
 * @returns { failed, steps: { name: its object, with `failure` where it failed } }
 */
export async function inSteps({ options, left, keep }, steps) {
  const done = {};
  let failed = false;
  for (const [name, { seconds, run }] of Object.entries(steps)) {
    if (left() < 5) {
      done[name] = { failure: 'no time was left' };
      failed = true;
      continue;
    }
    process.stderr.write(`-- ${name}\n`);
    const begin = performance.now();
    const own = Math.min(seconds, left());
    let last = {};
    const context = {
      options,
      left: () => own - (performance.now() - begin) / 1000,
      keep: (object) => {
        last = object;
        keep({ steps: { ...done, [name]: object } });
      },
    };
    try {
      done[name] = await run(context);
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      process.stderr.write(`${name} failed: ${error.message}\n`);
      done[name] = { ...last, failure: error.message };
    }
    failed ||= done[name].failed === true || done[name].failure !== undefined;
    keep({ steps: done });
  }
  return { failed, steps: done };
}

const large = async (context, how) =>
  measure.model(context, await measure.largeModel(context), how);
const sweep = async (context, how = {}) => {
  const folder = await measure.smallModel(context);
  return await measure.model(context, folder, { pairs: 'prompts', filter: 'sweep', ...how });
};
const eapIg = async (context, how) => {
  const folder = await measure.smallModel(context);
  return await measure.model(context, folder, { pairs: 'long', filter: 'eap-ig', ...how });
};
const quickly = true;

/** A figure for each goal, and whether tests and sanitizer work here at all. */
const SMOKE = {
  doctor: {
    seconds: 30,
    run: (context) => {
      showMachine();
      return measure.ops(context, 'fast', ['--quick', '--filter', 'linear_forward']);
    },
  },
  tests: {
    seconds: 50,
    run: (context) => suites(context, { only: '^gpu_(attention|linear|norm)$' }),
  },
  'eap-ig': { seconds: 30, run: (context) => eapIg(context, { quickly }) },
  attention: { seconds: 50, run: measure.attentionQuickly },
  sweep: { seconds: 50, run: (context) => sweep(context, { quickly }) },
  decode: { seconds: 40, run: (context) => measure.decode(context, { quickly }) },
  large: {
    seconds: 50,
    run: (context) => large(context, { pairs: 'long', filter: 'eap-ig', quickly }),
  },
  memcheck: {
    seconds: 40,
    run: (context) => sanitize(context, 'memcheck', ['norm agrees with the specification']),
  },
};

const OPS = {
  fast: { seconds: 75, run: (context) => measure.ops(context, 'fast') },
  exact: { seconds: 75, run: (context) => measure.ops(context, 'exact') },
};

/** `seconds`: after which a part is ended, whatever hangs. */
export const PARTS = {
  build: { about: 'core, tests, benchmarks and checkpoints', seconds: 220, run: build },
  smoke: {
    about: 'a first look: one run of everything, few suites',
    seconds: 260,
    run: (context) => inSteps(context, SMOKE),
  },
  'eap-ig': { about: 'EAP-IG beside PyTorch', seconds: 100, run: measure.eapIgBeside },
  large: {
    about: 'EAP-IG of 64 pairs of 128 tokens on 7B',
    seconds: 110,
    run: (context) => large(context, { pairs: 'long', filter: 'eap-ig' }),
  },
  attention: {
    about: 'attention and products beside PyTorch',
    seconds: 120,
    run: measure.opsBeside,
  },
  sweep: {
    about: 'all single heads on 100 prompts of 128 tokens',
    seconds: 100,
    // One takes some 15 s, and is run once more before the clock.
    run: (context) => sweep(context, { rounds: 2 }),
  },
  decode: {
    about: '256 rows of 64 variants',
    seconds: 70,
    run: (context) => measure.decode(context),
  },
  tests: { about: 'the suites, and the goldens', seconds: 230, run: (context) => suites(context) },
  memcheck: {
    about: 'every kernel under compute-sanitizer memcheck',
    seconds: 110,
    run: (context) => sanitize(context, 'memcheck'),
  },
  racecheck: {
    about: 'every kernel under compute-sanitizer racecheck',
    seconds: 110,
    run: (context) => sanitize(context, 'racecheck'),
  },
  'large-long': {
    about: 'EAP-IG of pairs of 512 tokens on 7B',
    seconds: 70,
    run: (context) => large(context, { pairs: 'deep', filter: 'eap-ig' }),
  },
  ops: {
    about: 'single ops, fast and exact',
    seconds: 110,
    run: (context) => inSteps(context, OPS),
  },
};

/**
 * The parts in calls of a machine that ends a command after 600 s and is there for 1800 s: `--call N`.
 * What a call does not come to is the next one's to do.
 */
export const CALLS = [
  ['build', 'smoke'],
  ['eap-ig', 'large', 'attention', 'sweep', 'decode'],
  ['tests', 'memcheck', 'racecheck'],
  ['large-long', 'ops'],
];

/** Seconds of a call after which no part goes on, so that what it found can be taken along. */
export const CALL_SECONDS = 560;
