// Kills a study again and again and checks that it comes to the same bytes. Usage, after a build:
// npm run check:kills -- [--kills 50] [--study FILE] [--span 0.7] [--seed N] [--out DIR]
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { failAsUserError, runMain, UserError } from '../../bench/user-error.mjs';
import { killAndResume, killPlaces, wholeRun } from './kills.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const demo = path.join(root, 'lib', 'demo', 'models', 'study.yaml');

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run check:kills --')
    .usage('$0 [options]\n\nKills a study at random moments and checks what comes out.')
    .option('kills', { describe: 'how often', type: 'number', default: 50 })
    .option('study', { describe: 'study file', type: 'string', default: demo })
    .option('span', {
      describe: 'latest moment of a kill, as a share of the time of an undisturbed run',
      type: 'number',
      default: 0.7,
    })
    .option('seed', { describe: 'of the moments', type: 'number', default: 1 })
    .option('out', {
      describe: 'folder of the runs, kept (default: a temporary one)',
      type: 'string',
    })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

async function checkOptions({ kills, study, span, seed }) {
  if (!Number.isSafeInteger(kills) || kills < 1) {
    throw new UserError('--kills must be a whole number of at least 1.');
  }
  if (!(span > 0 && span <= 2)) throw new UserError('--span must be above 0 and at most 2.');
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UserError('--seed must be a whole number of at least 0.');
  }
  if (!(await stat(study).catch(() => undefined))?.isFile()) {
    throw new UserError(`--study ${study} does not exist.`, 'ERR_HEADSPARK_FILE_NOT_FOUND');
  }
  if (!existsSync(path.join(root, 'dist', 'cli', 'main.js'))) {
    throw new UserError('dist/ is missing; run npm run build.', 'ERR_HEADSPARK_FILE_NOT_FOUND');
  }
}

async function makeFolder(out) {
  if (out === undefined) return mkdtemp(path.join(tmpdir(), 'headspark-kills-'));
  const folder = path.resolve(out);
  await mkdir(folder, { recursive: true });
  if (existsSync(path.join(folder, 'whole')) || existsSync(path.join(folder, 'killed-0'))) {
    throw new UserError(`${folder} holds runs already; choose another --out.`);
  }
  return folder;
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

function attemptLine({ run, options, killedAfterMs, stored }, killed, whole) {
  const end = killedAfterMs === null ? 'came to its end' : `killed after ${seconds(killedAfterMs)}`;
  const how = options.length === 0 ? '' : ` (${options.join(' ')})`;
  return `${killed}: run ${run}${how} ${end}, ${stored} of ${whole.stored} results`;
}

await runMain(async () => {
  const { out, ...options } = await parse();
  await checkOptions(options);
  const study = path.resolve(options.study);
  const folder = await makeFolder(out);
  const { Random } = await import('../../../dist/stats/random.js');
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) {
    process.once(name, () => interruption.abort(new UserError(`stopped; ${folder} is kept.`)));
  }
  const { signal } = interruption;
  const whole = await wholeRun({ study, out: path.join(folder, 'whole'), signal });
  console.log(`undisturbed: ${whole.stored} results in ${seconds(whole.ms)}`);
  const result = await killAndResume({
    ...options,
    study,
    folder,
    whole,
    signal,
    random: new Random(options.seed),
    onAttempt: (attempt, killed) => console.log(attemptLine(attempt, killed, whole)),
  });
  for (const fault of result.faults) console.error(fault);
  const places = killPlaces(result, whole);
  console.log(
    `${places.length} kills, at ${places.map((place) => place.toFixed(2)).join(' ')} of the results; ` +
      `${result.completed} runs of ${Object.keys(whole.digest).length} files completed: ` +
      (result.faults.length === 0 ? 'the same bytes' : `${result.faults.length} faults`),
  );
  if (result.faults.length > 0) {
    process.exitCode = 1;
    console.error(`The runs lie in ${folder}.`);
  } else if (out === undefined) {
    await rm(folder, { recursive: true });
  }
});
