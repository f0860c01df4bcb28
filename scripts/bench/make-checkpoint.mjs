// Writes a checkpoint of any shape with random weights, or a LoRA adapter of one, for benchmarks and
// tests: the same bytes for the same options. Usage: node scripts/bench/make-checkpoint.mjs OUT --shape
// smollm2-135m [--adapter-rank N] [--dtype bf16|f32] [--seed N] [--layers N …]; --help lists the rest.
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { ARCHITECTURES, DTYPES, resolveShape, SHAPES } from './checkpoint/shapes.mjs';
import { writeAdapter, writeCheckpoint } from './checkpoint/write.mjs';
import { progressLine } from './progress-line.mjs';
import { failAsUserError, runMain } from './user-error.mjs';

const sizes = {
  layers: 'transformer blocks',
  heads: 'attention heads',
  'kv-heads': 'key/value heads (default: as many as heads)',
  hidden: 'width of the residual stream',
  intermediate: 'width of the MLP',
  vocab: 'tokens of the vocabulary',
  'head-dim': 'width of a head (default: hidden / heads)',
  'max-positions': 'longest sequence',
};

function parse() {
  const parser = yargs(hideBin(process.argv))
    .usage('$0 OUT [options]\n\nWrites a checkpoint folder of random weights.')
    .demandCommand(1, 1, 'Name the folder to write.', 'Name one folder only.')
    .option('shape', { describe: Object.keys(SHAPES).join(' | '), type: 'string' })
    .option('architecture', { describe: ARCHITECTURES.join(' | '), type: 'string' })
    .option('adapter-rank', {
      describe: 'write a LoRA adapter of all linear layers instead',
      type: 'number',
    })
    .option('dtype', { describe: Object.keys(DTYPES).join(' | '), default: 'bf16' })
    .option('seed', { describe: 'the same bytes for the same seed', type: 'number', default: 0 })
    .option('tied', { describe: 'the unembedding is the embedding', type: 'boolean' });
  for (const [name, describe] of Object.entries(sizes)) {
    parser.option(name, { describe, type: 'number' });
  }
  return parser.strict().wrap(100).fail(failAsUserError).parseAsync();
}

await runMain(async () => {
  const options = await parse();
  const { shape: name, architecture, tied, dtype, seed, adapterRank } = options;
  const { layers, heads, kvHeads, hidden, intermediate, vocab, headDim, maxPositions } = options;
  const given = { layers, heads, kvHeads, hidden, intermediate, vocab, headDim, maxPositions };
  const shape = resolveShape(name, { architecture, tied, ...given });
  const progress = progressLine('weights');
  const folder = String(options._[0]);
  const how = { dtype, seed, onProgress: progress.report };
  if (adapterRank === undefined) await writeCheckpoint(folder, shape, how);
  else await writeAdapter(folder, shape, adapterRank, how);
  progress.end();
});
