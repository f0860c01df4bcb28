// Checks checkpoints of random configurations against torch: logits, scores of all edges by a method and a
// metric drawn as well, the metric of a random circuit, and greedy tokens with a head scaled. Numbers are
// compared with fp64; what headspark may be off by is given by what torch is off by in fp32, and in fp64
// with weights off by fp32's rounding. Usage, after a build, where Python has torch, transformers and peft:
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

// Root mean square errors beyond so many times torch's are a failure, unless they are below what fp32
// can be asked for at all. The largest of torch's six counts: one alone may be small by chance, where
// the others show how ill-conditioned a model is.
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
      describe: 'a Python with torch, transformers and peft',
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
  const adapter = path.join(folder, 'adapter');
  const model = await lib.loadModel(folder, existsSync(adapter) ? { adapter } : {});
  const pairs = task.pairs.map((pair, index) => ({
    ...pair,
    index,
    line: index + 1,
    clean: Int32Array.from(pair.clean),
    corrupted: Int32Array.from(pair.corrupted),
  }));
  const prompts = pairs.map((pair) => pair.clean);
  const { scores } = await lib.attribute(model, pairs, task.attribution);
  // Between other nodes torch's table has products too, which are no scores.
  const graph = lib.graphOf(model.shape());
  for (const precision of [task.fp64, task.fp32, task.shaken]) {
    precision.scores = graph.compact(Float64Array.from(precision.scores));
  }
  const inGraph = Uint8Array.from(task.edges.flat());
  const nodesInGraph = new Uint8Array(task.edges.length).fill(1);
  const circuit = { shape: model.shape(), meta: {}, scores, inGraph, nodesInGraph };
  const { circuits } = await lib.evaluateCircuits(model, pairs, [circuit]);
  const rows = task.greedy.map(({ prompt, heads }) => ({ prompt: Int32Array.from(prompt), heads }));
  const maxNewTokens = task.greedy[0].tokens.length;
  return {
    tokens: await lib.generateGreedy(model, rows, { maxNewTokens, stopTokens: [] }),
    logits: await lib.computeLogits(model, prompts),
    scores: graph.compact(scores),
    circuit: circuits[0].values,
  };
}

/**
 * Root mean square errors of `values`, of torch's fp32 and of torch's fp64 from shaken weights, of the
 * largest value in fp64.
 */
function errors(values, { fp64, fp32, shaken }, name) {
  const exact = fp64[name];
  // A circuit's values are differences of logits: what rounds there is as large as those.
  let largest = 1e-6;
  for (const value of exact) largest = Math.max(largest, Math.abs(value));
  for (const logit of name === 'circuit' ? fp64.logits : []) {
    largest = Math.max(largest, Math.abs(logit));
  }
  const error = (found) => {
    let squares = 0;
    for (let i = 0; i < exact.length; i++) squares += (found[i] - exact[i]) ** 2;
    return Math.sqrt(squares / exact.length) / largest;
  };
  return { own: error(values), torch: error(fp32[name]), shaken: error(shaken[name]) };
}

// Of the largest logit: where the two largest are closer, rounding may choose.
const closeLogits = 1e-3;

/** How many tokens were compared, and the first that is another than torch's before a close choice. */
function compareTokens(found, rows) {
  let compared = 0;
  for (const [i, { tokens, margins }] of rows.entries()) {
    for (let step = 0; step < tokens.length && margins[step] > closeLogits; step++) {
      compared++;
      if (found[i][step] !== tokens[step]) return { compared, row: i, step };
    }
  }
  return { compared };
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
    const wrongTokens = [];
    let tokens = 0;
    for (let seed = options.seed; seed < options.seed + options.models; seed++) {
      const model = path.join(folder, String(seed));
      const task = JSON.parse(readFileSync(path.join(model, 'expected.json'), 'utf8'));
      const values = await computed(lib, model, task);
      for (const name of quantities)
        found.push({ seed, name, ...errors(values[name], task, name) });
      const { compared, row, step } = compareTokens(values.tokens, task.greedy);
      tokens += compared;
      if (step !== undefined) wrongTokens.push(`seed ${seed}: new token ${step} of row ${row}`);
    }
    printTable(found);
    process.stdout.write(`${tokens} greedy tokens with a head scaled compared\n`);
    for (const line of wrongTokens) process.stdout.write(`${line} is not torch's\n`);
    const conditioning = (seed) =>
      Math.max(
        ...found.filter((row) => row.seed === seed).flatMap((row) => [row.torch, row.shaken]),
      );
    const wrong = found.filter(
      ({ own, seed }) => !(own <= Math.max(mostTimes * conditioning(seed), alwaysFine)),
    );
    for (const { seed, name, own, torch, shaken } of wrong) {
      const [ownText, torchText, shakenText] = [own, torch, shaken].map((x) => x.toExponential(1));
      process.stdout.write(
        `seed ${seed}: ${name} off by ${ownText}, torch fp32 by ${torchText}, shaken weights by ${shakenText}\n`,
      );
    }
    if (wrong.length + wrongTokens.length > 0) process.exitCode = 1;
  } finally {
    if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
  }
});
