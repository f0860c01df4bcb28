// What a GPU is held to, in one command: builds core, tests and benchmarks with CUDA, runs the tests
// (under compute-sanitizer as well), measures, and prints each figure beside its goal. Every part
// leaves its results in --out when it ends, and is ended when it takes too long, so that a machine
// that is taken away, or a kernel that hangs, costs one part.
// Usage: npm run bench:gpu -- --out DIR [--parts build,tests,…]; --help lists the rest.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { checkDevice } from '../programs.mjs';
import { goalsTable } from '../tables.mjs';
import { failAsUserError, runMain, UserError } from '../user-error.mjs';
import { goalFigures } from './goals.mjs';
import { librarySetting, PARTS } from './parts.mjs';

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run bench:gpu --')
    .usage('$0 --out DIR [options]\n\nTests and measures headspark on a GPU.')
    .option('out', { describe: 'folder for results', type: 'string', demandOption: true })
    .option('device', { describe: 'cuda:N (cpu tries the script)', default: 'cuda:0' })
    .option('parts', {
      describe: `in order: ${Object.keys(PARTS).join(', ')} (default: all)`,
      type: 'string',
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

function partsOf({ parts }) {
  const names = parts?.split(',').filter((name) => name !== '') ?? Object.keys(PARTS);
  const unknown = names.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    throw new UserError(
      `--parts ${unknown} is unknown; these are: ${Object.keys(PARTS).join(', ')}.`,
    );
  }
  return names;
}

/** Results of all parts that ran into this folder, now or before: { part: object }. */
async function readResults(folder) {
  const results = {};
  for (const name of Object.keys(PARTS)) {
    const text = await readFile(path.join(folder, `${name}.json`), 'utf8').catch(() => undefined);
    if (text !== undefined) results[name] = JSON.parse(text);
  }
  return results;
}

/** Runs one part; what it finds out, or why it found nothing, goes to its file. */
async function runPart(name, options) {
  process.stderr.write(`\n== ${name}: ${PARTS[name].about}\n`);
  const begin = performance.now();
  let result;
  try {
    const seconds = options.limit ?? PARTS[name].seconds;
    result = (await PARTS[name].run({ ...options, seconds })) ?? {};
  } catch (error) {
    result = { failure: error.message };
    process.stderr.write(`${name} failed: ${error.message}\n`);
  }
  result.seconds = (performance.now() - begin) / 1000;
  await writeFile(path.join(options.out, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  return result;
}

await runMain(async () => {
  const options = await parse();
  checkDevice(options.device);
  const names = partsOf(options);
  options.out = path.resolve(options.out);
  await mkdir(options.out, { recursive: true });
  Object.assign(process.env, librarySetting(options));
  let failed = false;
  for (const name of names) {
    const result = await runPart(name, options);
    failed ||= result.failure !== undefined || result.failed === true;
  }
  const results = await readResults(options.out);
  const figures = goalFigures(results);
  await writeFile(
    path.join(options.out, 'goals.json'),
    `${JSON.stringify({ date: new Date().toISOString(), figures }, null, 2)}\n`,
  );
  const device = results.sweep?.device ?? results.decode?.device ?? options.device;
  console.log(`on ${device}; the goals are for an H200 and models of 1.5B and 7B`);
  console.log(goalsTable(figures));
  if (failed) process.exitCode = 1;
});
