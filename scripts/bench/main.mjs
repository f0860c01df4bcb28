// `npm run bench`: builds the native benchmarks, makes a checkpoint of random weights when none is
// named, runs all of them and prints one table, or JSON. scripts/bench/README.md explains figures.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import {
  buildPrograms,
  checkDevice,
  defaultPairs,
  defaultShape,
  pairsFile,
  presetOf,
  resolveModel,
  runProgram,
  vocabularySize,
} from './programs.mjs';
import { busyWarning, isBusy, loadAverage } from './machine-load.mjs';
import { ratiosTable, resultsTable, scalingTable } from './tables.mjs';
import { failAsUserError, runMain, UserError } from './user-error.mjs';

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run bench --')
    .usage('$0 [options]\n\nTimes headspark on this machine.')
    .option('model', { describe: 'checkpoint folder (default: random weights)', type: 'string' })
    .option('shape', { describe: 'shape of the random weights', type: 'string' })
    .option('pairs', {
      describe: 'pairs of token ids, JSON lines (default: random)',
      type: 'string',
    })
    .option('device', { describe: 'cpu | cuda:N', default: 'cpu' })
    .option('threads', { describe: 'threads (default: all)', type: 'number', default: 0 })
    .option('precision', { describe: 'exact | fast', choices: ['exact', 'fast'], default: 'exact' })
    .option('memory', { describe: 'workspace in MB (default: by the core)', type: 'number' })
    .option('filter', { describe: 'only benchmarks whose name contains this', default: '' })
    .option('only', { describe: 'run one program', choices: ['ops', 'model'] })
    .option('quick', { describe: 'smaller sizes, fewer repetitions', type: 'boolean' })
    .option('json', { describe: 'print JSON, no progress', type: 'boolean', default: false })
    .option('out', { describe: 'write the JSON to this file as well', type: 'string' })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

/** --threads and --memory as whole numbers that are not negative. */
function checkNumbers(options) {
  for (const name of ['threads', 'memory']) {
    const value = options[name] ?? 0;
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new UserError(`--${name} must be a whole number that is not negative.`);
    }
  }
}

function commonArguments({ threads, precision, filter, quick }) {
  return [
    ...(threads > 0 ? ['--threads', String(threads)] : []),
    ...['--precision', precision],
    ...(filter ? ['--filter', filter] : []),
    ...(quick ? ['--quick'] : []),
  ];
}

async function runAll(options) {
  const { device } = options;
  const using = { quiet: options.json, device };
  const model = await resolveModel(options.model, options.shape ?? defaultShape(device));
  const vocab = await vocabularySize(model);
  const pairs = options.pairs
    ? { file: path.resolve(options.pairs), text: options.pairs }
    : await pairsFile(defaultPairs(device), vocab);
  const paper = await pairsFile('paper', vocab);
  buildPrograms({ ...using, preset: presetOf(device) });
  const load = loadAverage();
  const common = commonArguments(options);
  const programs = [];
  if (options.only !== 'model') programs.push(await runProgram('bench_ops', common, using));
  if (options.only !== 'ops') {
    const files = ['--pairs', pairs.file, '--paper-pairs', paper.file];
    const memory = options.memory ? ['--memory', String(options.memory)] : [];
    programs.push(await runProgram('bench_model', [model, ...files, ...memory, ...common], using));
  }
  const [{ cpu, isa, threads }] = programs;
  const machine = {
    cpu,
    device: programs[0].device,
    isa,
    precision: options.precision,
    threads,
    loadBefore: load,
  };
  const inputs = { model, pairs: pairs.text, paperPairs: paper.text };
  return {
    date: new Date().toISOString(),
    ...machine,
    quick: !!options.quick,
    ...inputs,
    programs,
  };
}

function print(run) {
  const all = (key) => run.programs.flatMap((program) => program[key]);
  const [results, ratios, scaling] = ['results', 'ratios', 'scaling'].map(all);
  const kernels =
    run.device === 'cpu' ? `kernels ${run.isa}, ${run.threads} threads` : `on ${run.device}`;
  console.log(`\n${run.cpu}, ${kernels} (${run.precision})${run.quick ? ', quick' : ''}`);
  console.log(`model ${run.model}; ${run.pairs}`);
  if (isBusy(run.loadBefore)) console.log(busyWarning(run.loadBefore));
  for (const { program, peakGflops, bf16Instruction, bf16PeakGflops, copyGbPerS } of run.programs) {
    const fp32 = peakGflops > 0 ? [`fp32 FMA ${(peakGflops / 1000).toFixed(3)} TFLOP/s`] : [];
    const bf16 = bf16Instruction
      ? [`${bf16Instruction} ${(bf16PeakGflops / 1000).toFixed(3)} TFLOP/s`]
      : [];
    const copy = `copy ${copyGbPerS.toFixed(1)} GB/s`;
    console.log(`peaks before ${program}: ${[...fp32, ...bf16, copy].join(', ')}`);
  }
  if (results.length > 0) console.log(resultsTable(results));
  if (ratios.length > 0) console.log(ratiosTable(ratios));
  if (scaling.length > 0) console.log(scalingTable(scaling));
}

await runMain(async () => {
  const options = await parse();
  checkNumbers(options);
  checkDevice(options.device);
  const run = await runAll(options);
  if (
    run.programs.every(
      ({ results, ratios, scaling }) => ![results, ratios, scaling].some((list) => list.length),
    )
  ) {
    throw new UserError(
      `No benchmark has "${options.filter}" in its name; leave --filter out to see all.`,
    );
  }
  const text = `${JSON.stringify(run, null, 2)}\n`;
  if (options.out) await writeFile(options.out, text);
  if (options.json) process.stdout.write(text);
  else print(run);
  if (run.programs.some((program) => program.failed)) {
    throw new Error('A benchmark computed a wrong result; the lines above name it.');
  }
});
