// Checks checkpoints of random configurations against torch: logits, scores of all edges by EAP-IG and
// the metric of a random circuit. Both are compared with fp64; what headspark may be off by is given by
// what torch is off by in fp32. Usage, after a build, where Python has torch and transformers:
// npm run check:differential -- [--models 100] [--seed 0] [--python python3] [--keep DIR]
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { failAsUserError, runMain, UserError } from '../../bench/user-error.mjs';
import { progressLine } from '../../bench/progress-line.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const quantities = ['logits', 'scores', 'circuit'];

// Root mean square errors beyond so many times torch's in fp32 are a failure, unless they are below
// what fp32 can be asked for at all. The largest of torch's three counts: one alone may be small by
// chance, where the others show how ill-conditioned a model is.
const mostTimes = 20;
const alwaysFine = 5e-6;
const fp32Rounding = 6e-8; // torch may be exact by chance

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run check:differential --')
    .usage('$0 [options]\n\nChecks random configurations against torch.')
    .option('models', { describe: 'how many', type: 'number', default: 100 })
    .option('seed', { describe: 'of the first; the others follow', type: 'number', default: 0 })
    .option('python', {
      describe: 'a Python with torch and transformers',
      type: 'string',
      default: 'python3',
    })
    .option('keep', { describe: 'folder for the checkpoints, kept', type: 'string' })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

function checkOptions({ models, seed }) {
  if (!Number.isSafeInteger(models) || models < 1) {
    throw new UserError('--models must be a whole number of at least 1.');
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UserError('--seed must be a whole number of at least 0.');
  }
  if (!existsSync(path.join(root, 'dist', 'index.js'))) {
    throw new UserError('dist/ is missing; run npm run build.', 'ERR_HEADSPARK_FILE_NOT_FOUND');
  }
}

/** Runs make.py, which prints a line per checkpoint. */
function makeModels(folder, { python, models, seed }) {
  const script = fileURLToPath(new URL('make.py', import.meta.url));
  const child = spawn(python, [script, folder, String(models), String(seed)]);
  const progress = progressLine('torch', { name: 'checkpoints', size: 1 });
  child.stdout.on('data', (data) => {
    progress.report(Number(data.toString().trim().split('\n').at(-1)), models);
  });
  let errors = '';
  child.stderr.on('data', (data) => (errors += data));
  return new Promise((resolve, reject) => {
    child.on('error', () => reject(new UserError(`--python ${python} cannot be started.`)));
    child.on('close', (code) => {
      progress.end();
      const last = errors.trim().split('\n').at(-1);
      if (code === 0) resolve();
      else reject(new UserError(`--python ${python} failed to make checkpoints: ${last}.`));
    });
  });
}

async function computed(lib, folder, task) {
  const model = await lib.loadModel(folder);
  const pairs = task.pairs.map((pair, index) => ({
    ...pair,
    index,
    line: index + 1,
    clean: Int32Array.from(pair.clean),
    corrupted: Int32Array.from(pair.corrupted),
  }));
  const prompts = pairs.map((pair) => pair.clean);
  const { scores } = await lib.attribute(model, pairs, { igSteps: task.igSteps });
  // Between other nodes torch's table has products too, which are no scores.
  const graph = lib.graphOf(model.shape());
  for (const precision of [task.fp64, task.fp32]) {
    precision.scores = graph.compact(Float64Array.from(precision.scores));
  }
  const inGraph = Uint8Array.from(task.edges.flat());
  const nodesInGraph = new Uint8Array(task.edges.length).fill(1);
  const circuit = { shape: model.shape(), meta: {}, scores, inGraph, nodesInGraph };
  const { circuits } = await lib.evaluateCircuits(model, pairs, [circuit]);
  return {
    logits: await lib.computeLogits(model, prompts),
    scores: graph.compact(scores),
    circuit: circuits[0].values,
  };
}

/** Root mean square errors of `values` and of torch's fp32, of the largest value in fp64. */
function errors(values, expected, name) {
  const fp64 = expected.fp64[name];
  const fp32 = expected.fp32[name];
  let own = 0;
  let torch = 0;
  let largest = 0;
  for (let i = 0; i < fp64.length; i++) {
    own += (values[i] - fp64[i]) ** 2;
    torch += (fp32[i] - fp64[i]) ** 2;
    largest = Math.max(largest, Math.abs(fp64[i]));
  }
  // A circuit's values are differences of logits: what rounds there is as large as those.
  const terms = name === 'circuit' ? expected.fp64.logits : [];
  for (const logit of terms) largest = Math.max(largest, Math.abs(logit));
  const scale = Math.sqrt(fp64.length) * Math.max(largest, 1e-6);
  return { own: Math.sqrt(own) / scale, torch: Math.sqrt(torch) / scale };
}

function quantile(sorted, share) {
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)];
}

function printTable(found) {
  const table = new Table({
    head: ['', 'models', 'median error', 'of torch fp32: median', '90 %', '99 %', 'largest'],
    style: { head: [], border: [] },
  });
  for (const name of quantities) {
    const rows = found.filter((row) => row.name === name);
    const own = rows.map((row) => row.own).sort((a, b) => a - b);
    const times = rows
      .map((row) => row.own / Math.max(row.torch, fp32Rounding))
      .sort((a, b) => a - b);
    const shown = [0.5, 0.9, 0.99, 1].map((share) => `${quantile(times, share).toFixed(2)}x`);
    table.push([name, rows.length, quantile(own, 0.5).toExponential(1), ...shown]);
  }
  process.stdout.write(`${table.toString()}\n`);
}

await runMain(async () => {
  const options = await parse();
  checkOptions(options);
  const folder = options.keep ?? (await mkdtemp(path.join(tmpdir(), 'headspark-differential-')));
  try {
    await makeModels(folder, options);
    const { graphOf } = await import(path.join(root, 'dist', 'circuit', 'graph.js'));
    const lib = { ...(await import(path.join(root, 'dist', 'index.js'))), graphOf };
    const found = [];
    for (let seed = options.seed; seed < options.seed + options.models; seed++) {
      const model = path.join(folder, String(seed));
      const task = JSON.parse(readFileSync(path.join(model, 'expected.json'), 'utf8'));
      const values = await computed(lib, model, task);
      for (const name of quantities)
        found.push({ seed, name, ...errors(values[name], task, name) });
    }
    printTable(found);
    const conditioning = (seed) =>
      Math.max(...found.filter((row) => row.seed === seed).map((row) => row.torch));
    const wrong = found.filter(
      ({ own, seed }) => !(own <= Math.max(mostTimes * conditioning(seed), alwaysFine)),
    );
    for (const { seed, name, own, torch } of wrong) {
      process.stdout.write(
        `seed ${seed}: ${name} off by ${own.toExponential(1)}, torch fp32 by ${torch.toExponential(1)}\n`,
      );
    }
    if (wrong.length > 0) process.exitCode = 1;
  } finally {
    if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
  }
});
