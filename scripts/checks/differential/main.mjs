// Checks checkpoints of random configurations against torch: logits, scores of all edges by a method and a
// metric drawn as well, the metric of a random circuit and of ablated heads, what heads do on prompts, and
// greedy tokens with a head scaled. Numbers are compared with fp64; what headspark may be off by is given by
// what torch is off by in fp32, and in fp64 with weights off by fp32's rounding. Usage, after a build, where Python has torch, transformers and peft:
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
import { computed, expectedColumns } from './computed.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const quantities = ['logits', 'scores', 'circuit', 'ablation', 'heads'];

// Root mean square errors beyond so many times torch's are a failure, unless they are below what fp32
// can be asked for at all. The largest of torch's counts of a model: one alone may be small by chance,
// where the others show how ill-conditioned the model is. Those of heads count for heads alone: of
// eigenvalues that are nearly the same, rounding moves each far.
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

/** Errors of a metric are of this size at least: it is a difference of logits, of shares or of nats. */
function leastSize(name, task, logits) {
  const metric = { circuit: task.circuit.how.metric, ablation: task.sweep.settings.metric }[name];
  if (metric === undefined) return 1e-6;
  return metric === 'prob-diff' || metric === 'kl' ? 1 : Math.max(1, ...logits.map(Math.abs));
}

/** Root mean square of what `found` is off by, of `size`; endless where only one of both has a value. */
function errorOf(found, exact, size) {
  let squares = 0;
  for (let i = 0; i < exact.length; i++) {
    if (exact[i] === null && found[i] === null) continue;
    squares += exact[i] === null || found[i] === null ? Infinity : (found[i] - exact[i]) ** 2;
  }
  return found.length === exact.length ? Math.sqrt(squares / exact.length) / size : Infinity;
}

/**
 * Of a quantity's columns the largest errors of `found`, of torch's fp32 and of torch's fp64 from shaken
 * weights, of the largest value in fp64.
 */
function errors(found, [fp64, fp32, shaken], { name, task }) {
  const largest = { own: 0, torch: 0, shaken: 0 };
  fp64[name].forEach((exact, column) => {
    let size = leastSize(name, task, fp64.logits[0]);
    for (const value of exact) size = Math.max(size, Math.abs(value));
    const others = { own: found, torch: fp32, shaken };
    for (const [key, values] of Object.entries(others)) {
      const error = errorOf(values[name][column], exact, size);
      if (!(error <= largest[key])) largest[key] = error;
    }
  });
  return largest;
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

/** Whether the right tokens were the likeliest, where that is no close choice. */
const countWrong = (found, { fp64, fp32, shaken }) =>
  fp64.right.filter(
    (right, i) => right !== found[i] && right === fp32.right[i] && right === shaken.right[i],
  ).length;

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
      const expected = expectedColumns(lib, task, values.shape);
      for (const name of quantities)
        found.push({ seed, name, ...errors(values.columns, expected, { name, task }) });
      const wrongAnswers = countWrong(values.right, task);
      if (wrongAnswers > 0)
        wrongTokens.push(`seed ${seed}: ${wrongAnswers} times the likeliest token`);
      const { compared, row, step } = compareTokens(values.tokens, task.greedy);
      tokens += compared;
      if (step !== undefined) wrongTokens.push(`seed ${seed}: new token ${step} of row ${row}`);
    }
    printTable(found);
    process.stdout.write(`${tokens} greedy tokens with a head scaled compared\n`);
    for (const line of wrongTokens) process.stdout.write(`${line} is not torch's\n`);
    const conditioning = ({ seed, name }) =>
      Math.max(
        ...found
          .filter((row) => row.seed === seed && (row.name !== 'heads' || name === 'heads'))
          .flatMap((row) => [row.torch, row.shaken]),
      );
    const wrong = found.filter(
      (row) => !(row.own <= Math.max(mostTimes * conditioning(row), alwaysFine)),
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
