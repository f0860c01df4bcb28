// What the CUDA kernels ask of a GPU's memories, counted on the emulated device: needs no GPU. Runs a
// benchmark program on a small checkpoint of random weights and prints, for each kernel, how many
// cycles of a multiprocessor each unit would be busy, and the lines of code that ask for more than
// they need. Usage: npm run bench:device-counts -- --help
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { resolveShape } from '../checkpoint/shapes.mjs';
import { writeCheckpoint } from '../checkpoint/write.mjs';
import { makePairs, writePairs } from '../pairs.mjs';
import { buildPrograms, programPath } from '../programs.mjs';
import { failAsUserError, runMain, UserError } from '../user-error.mjs';
import { countedKernels, programLines } from './kernels.mjs';
import { countsTable } from './table.mjs';

const PRESET = 'cuda_traced';

function parse() {
  return yargs(hideBin(process.argv))
    .scriptName('npm run bench:device-counts --')
    .usage('$0 [options]\n\nCounts what CUDA kernels ask of memory, without a GPU.')
    .option('precision', { choices: ['exact', 'fast'], default: 'fast' })
    .option('filter', { describe: 'computations of bench_model', default: 'eap-ig' })
    .option('head-dim', { describe: 'width of a head', type: 'number', default: 128 })
    .option('heads', { describe: 'query heads; two share a key', type: 'number', default: 2 })
    .option('layers', { describe: 'transformer blocks', type: 'number', default: 2 })
    .option('rows', { describe: 'lines of code named per kernel', type: 'number', default: 3 })
    .option('json', { describe: 'print an object instead of a table', type: 'boolean' })
    .option('out', { describe: 'file for that object', type: 'string' })
    .strict()
    .wrap(100)
    .fail(failAsUserError)
    .parseAsync();
}

/** A checkpoint as small as kernels allow that fill their tiles; 1 pair of 128 tokens. */
async function writeInputs(folder, options) {
  const { headDim, heads, layers } = options;
  const [hidden, vocab] = [heads * headDim, 512];
  const sizes = { heads, kvHeads: heads / 2, hidden, intermediate: 2 * hidden, vocab, headDim };
  const shape = resolveShape(undefined, {
    ...{ architecture: 'qwen2', tied: true, layers, maxPositions: 1024 },
    ...sizes,
  });
  await writeCheckpoint(folder, shape, {});
  const pairs = path.join(folder, 'pairs.jsonl');
  await writePairs(pairs, makePairs('long', vocab, { pairs: 1 }));
  return pairs;
}

/** Runs the program and returns its counts; its verification fails it like any other benchmark. */
async function count(program, folder, options) {
  const pairs = await writeInputs(folder, options);
  const counts = path.join(folder, 'counts.json');
  const how = ['--precision', options.precision, '--filter', options.filter];
  const args = [folder, '--pairs', pairs, ...how, '--device', 'cuda:0', '--milliseconds', '1'];
  const { status, error } = spawnSync(program, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, HEADSPARK_DEVICE_COUNTS: counts, HEADSPARK_CUBLASLT: 'none' },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} failed; its output above says why`);
  return JSON.parse(await readFile(counts, 'utf8'));
}

await runMain(async () => {
  const options = await parse();
  if (!(options.heads >= 2 && options.heads % 2 === 0)) {
    throw new UserError(`--heads ${options.heads}: give an even number.`);
  }
  buildPrograms({ quiet: options.json, preset: PRESET, programs: ['bench_model'] });
  const program = programPath('bench_model', PRESET);
  const folder = await mkdtemp(path.join(tmpdir(), 'headspark-counts-'));
  try {
    const kernels = countedKernels(await count(program, folder, options), programLines(program));
    const { precision, filter, headDim, heads, layers } = options;
    const text = JSON.stringify({ precision, filter, headDim, heads, layers, kernels }, null, 2);
    if (options.out !== undefined) await writeFile(options.out, `${text}\n`);
    console.log(options.json ? text : countsTable(kernels, options.rows));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
