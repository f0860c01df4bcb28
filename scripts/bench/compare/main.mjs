// Peers side by side in one run: headspark, PyTorch with transformers, onnxruntime-node and
// node-llama-cpp, on the same checkpoint, pairs and processors; prints ratios. Usage:
// npm run bench:compare -- [--model DIR] [--pairs FILE] [--threads N]; --help lists the rest.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { constants, cpus } from 'node:os';
import path from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import {
  buildPrograms,
  cacheFolder,
  checkDevice,
  defaultPairs,
  defaultShape,
  pairsFile,
  presetOf,
  resolveModel,
  vocabularySize,
} from '../programs.mjs';
import { busyWarning, isBusy, loadAverage } from '../machine-load.mjs';
import { comparisonTable } from '../tables.mjs';
import { failAsUserError, runMain, UserError } from '../user-error.mjs';
import { writeWhole } from '../whole-file.mjs';
import { compareTask, wantedTasks } from './measure.mjs';
import { findPeers, installCommands, peerPaths } from './peers.mjs';
import { Worker } from './worker.mjs';

const PEERS = ['torch', 'onnx', 'llama'];
/** Those whose packages here compute on a GPU. */
const GPU_PEERS = ['torch'];
/** Forwards of which the bound of the sweep is the median, over all rounds. */
const sweepForwards = 20;

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run bench:compare --')
    .usage('$0 [options]\n\nTimes headspark and its peers in turn and prints ratios.')
    .option('model', { describe: 'checkpoint folder (default: random weights)', type: 'string' })
    .option('shape', { describe: 'shape of the random weights', type: 'string' })
    .option('pairs', {
      describe: 'pairs of token ids, JSON lines (default: random)',
      type: 'string',
    })
    .option('device', { describe: 'cpu | cuda:N', default: 'cpu' })
    .option('threads', { describe: 'threads of every peer', type: 'number', default: 2 })
    .option('rounds', { describe: 'timed runs of each', type: 'number', default: 3 })
    .option('peers', { describe: `${PEERS.join(', ')} (default: all)`, type: 'string' })
    .option('filter', {
      describe: 'only tasks whose name contains this, or one of A,B, in that order',
      default: '',
    })
    .option('variants', { describe: 'only variants of peers with this in their name', default: '' })
    .option('own-variants', {
      describe: "only variants of headspark's with this in their name",
      default: '',
    })
    .option('ops-only', {
      describe: 'single ops, without a checkpoint',
      type: 'boolean',
      default: false,
    })
    .option('python', { describe: 'a Python that has torch', type: 'string' })
    .option('modules', { describe: 'folder whose node_modules has the npm peers', type: 'string' })
    .option('install', { describe: 'install the peers into the cache first', type: 'boolean' })
    .option('json', { describe: 'print JSON, no progress', type: 'boolean', default: false })
    .option('out', {
      describe: 'write the JSON to this file as well, after each task',
      type: 'string',
    })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

function checkOptions(options) {
  for (const name of ['threads', 'rounds']) {
    if (!Number.isSafeInteger(options[name]) || options[name] < 1) {
      throw new UserError(`--${name} must be a whole number of at least 1.`);
    }
  }
  const possible = checkDevice(options.device) === 'cpu' ? PEERS : GPU_PEERS;
  const all = options.opsOnly ? GPU_PEERS : possible;
  const wanted = options.peers?.split(',').filter((name) => name !== '') ?? all;
  const unknown = wanted.find((name) => !PEERS.includes(name));
  if (unknown !== undefined) {
    throw new UserError(`--peers ${unknown} is unknown; these are: ${PEERS.join(', ')}.`);
  }
  const onCpu = wanted.find((name) => !possible.includes(name));
  if (onCpu !== undefined) {
    throw new UserError(
      `--peers ${onCpu} computes on the CPU; beside ${options.device} there is: ${GPU_PEERS.join(', ')}.`,
    );
  }
  const needing = wanted.find((name) => !GPU_PEERS.includes(name));
  if (options.opsOnly && needing !== undefined) {
    throw new UserError(`--ops-only leaves nothing to do for --peers ${needing}.`);
  }
  return wanted;
}

async function install(options) {
  const paths = peerPaths(options);
  await mkdir(paths.modules, { recursive: true });
  await writeFile(path.join(paths.modules, 'package.json'), '{ "private": true }\n');
  for (const command of Object.values(installCommands(paths)).flat()) {
    process.stderr.write(`$ ${command.join(' ')}\n`);
    const { status } = spawnSync(command[0], command.slice(1), { stdio: ['ignore', 2, 2] });
    if (status !== 0) throw new UserError(`${command[0]} failed; its output above says why.`);
  }
}

/** A name for the converted forms of a checkpoint that changes with its weights file. */
async function modelKey(model) {
  const { size, mtimeMs } = await stat(path.join(model, 'model.safetensors')).catch(() => {
    throw new UserError(
      `${model} has no model.safetensors, which the peers' forms are made from.`,
      'ERR_HEADSPARK_FILE_NOT_FOUND',
    );
  });
  const digest = createHash('sha256').update(`${model}\0${size}\0${mtimeMs}`).digest('hex');
  return `${path.basename(model)}-${digest.slice(0, 12)}`;
}

async function startWorkers(peers, log) {
  const workers = [];
  const missing = [];
  for (const { name, command, env, missing: what, install: how } of peers) {
    if (command === undefined) {
      missing.push({ name, what, install: how.map((c) => c.join(' ')) });
      continue;
    }
    const worker = new Worker(command, env);
    try {
      const { peer, settings } = await worker.start();
      log(`${peer}: ${settings}`);
      workers.push(worker);
    } catch (error) {
      missing.push({ name, what: error.message, install: [] });
    }
  }
  return { workers, missing };
}

/** The contenders for a task of headspark's, headspark first. */
function contendersFor(task, workers, { heads, rounds, variants, ownVariants }) {
  // Peers have no sweep; what none of them can do without is a forward of all prompts per head.
  const theirs = task === 'sweep' ? 'forward' : task;
  const scaling = { scale: heads, repeats: Math.ceil(sweepForwards / rounds) };
  return workers.flatMap((worker, index) =>
    worker.info.tasks
      .filter((t) => t.task === (index === 0 ? task : theirs))
      .filter((t) => t.variant.includes(index === 0 ? ownVariants : variants))
      .map((t) => ({
        worker,
        peer: worker.info.peer.split(',')[0],
        ...t,
        ...(index > 0 && task === 'sweep' ? scaling : {}),
      })),
  );
}

/** Task by task, each kept as it ends; what was measured before an interruption is kept. */
async function compareAll(workers, options, log, keep) {
  const tasks = [...new Set(workers[0].info.tasks.map(({ task }) => task))];
  const comparisons = [];
  for (const task of wantedTasks(tasks, options.filter)) {
    log(`${task} …`);
    const contenders = contendersFor(task, workers, options);
    if (contenders.length === 0) continue;
    const comparison = await compareTask(task, contenders, { rounds: options.rounds });
    if (options.interruption.signal !== undefined) break; // this task's runs were cut off
    if (task === 'sweep') {
      comparison.note = `peers: ${options.heads} forwards, scaled from ${sweepForwards}`;
    }
    comparisons.push(comparison);
    keep(comparisons);
    log(comparisonTable([comparison]));
  }
  return comparisons;
}

/** On Ctrl-C or termination: ends the workers; `signal` then names the exit code's signal. */
function watchSignals(workers) {
  const interruption = { signal: undefined };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      interruption.signal = signal;
      for (const worker of workers) worker.kill();
    });
  }
  return interruption;
}

/** A checkpoint and pairs for tasks of whole computations, and the number of its heads. */
async function prepareModel({ device, ...options }) {
  const model = await resolveModel(options.model, options.shape ?? defaultShape(device));
  const vocab = await vocabularySize(model);
  const pairs = options.pairs
    ? { file: path.resolve(options.pairs), text: options.pairs }
    : await pairsFile(defaultPairs(device), vocab);
  const config = JSON.parse(await readFile(path.join(model, 'config.json'), 'utf8'));
  const heads =
    (config.num_hidden_layers ?? config.n_layer) * (config.num_attention_heads ?? config.n_head);
  return { model, vocab, pairs, heads, key: await modelKey(model) };
}

async function prepare(options) {
  const wanted = checkOptions(options);
  if (options.install) await install(options);
  const found = options.opsOnly ? { pairs: { text: 'single ops' } } : await prepareModel(options);
  buildPrograms({ quiet: options.json, preset: presetOf(options.device) });
  const peers = await findPeers({ ...options, ...found, pairs: found.pairs.file, wanted });
  return { ...found, peers };
}

function print(run) {
  const what = run.model === undefined ? run.pairs : `model ${run.model}; ${run.pairs}`;
  console.log(`\n${run.cpu}, ${run.threads} threads; ${what}`);
  for (const { peer, settings } of run.peers) console.log(`  ${peer}: ${settings}`);
  if (isBusy(run.loadBefore)) console.log(busyWarning(run.loadBefore));
  console.log(comparisonTable(run.comparisons));
  for (const { task, note } of run.comparisons) if (note) console.log(`${task}: ${note}`);
  for (const { name, what, install: how } of run.missing) {
    console.log(`not measured: ${name} (missing: ${what})`);
    for (const command of how) console.log(`  ${command}`);
  }
}

async function main() {
  const options = await parse();
  const log = options.json ? () => {} : (text) => process.stderr.write(`${text}\n`);
  const { model, pairs, peers, heads } = await prepare(options);
  const load = loadAverage();
  const { workers, missing } = await startWorkers(peers, log);
  const interruption = watchSignals(workers);
  const runOf = (comparisons, complete) => ({
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    device: options.device,
    threads: options.threads,
    loadBefore: load,
    model,
    pairs: pairs.text,
    cache: cacheFolder(),
    peers: workers.map(({ info: { peer, settings } }) => ({ peer, settings })),
    missing,
    interrupted: interruption.signal !== undefined,
    complete,
    comparisons,
  });
  const textOf = (run) => `${JSON.stringify(run, null, 2)}\n`;
  const keep = (comparisons) =>
    options.out && writeWhole(options.out, textOf(runOf(comparisons, false)));
  let comparisons;
  try {
    if (workers[0]?.info.peer !== 'headspark') {
      throw new Error(`headspark's own program did not start: ${missing[0].what}`);
    }
    comparisons = await compareAll(workers, { ...options, heads, interruption }, log, keep);
  } finally {
    await Promise.all(workers.map((worker) => worker.close()));
  }
  const run = runOf(comparisons, interruption.signal === undefined);
  if (options.out) writeWhole(options.out, textOf(run));
  if (options.json) process.stdout.write(textOf(run));
  else print(run);
  if (interruption.signal !== undefined) {
    process.stderr.write('interrupted; what was measured before is above\n');
    process.exitCode = 128 + constants.signals[interruption.signal];
  }
}

await runMain(main);
