// `headspark pairs`: makes pairs of a task or looks at a file of them, with a model's tokenizer alone.

import { writeFileAtomic } from '../atomic-file.js';
import type { CheckpointText } from '../checkpoint-text.js';
import { HeadsparkError } from '../errors.js';
import {
  describePair,
  inspectPairs,
  reportPairs,
  writePairs,
  type PairsInspection,
  type PairsReport,
} from '../pairs.js';
import { tableCsv } from '../report/data-table.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import type { Context, Task } from './context.js';
import { generated, loadTextFrom, pairsSource, readingOf, remarkPairs } from './inputs.js';
import { plural } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { optionGroups } from './vocabulary.js';
import { pairsTable, printPairs } from './pairs-table.js';

/** With how many prompts were rendered from messages. */
type Found = PairsInspection & { readonly rendered: number };

type Place = { args: Arguments; context: Context };

async function fromFile(
  file: string,
  text: CheckpointText,
  { args, context }: Place,
): Promise<Found> {
  let rendered = 0;
  const inspect = ({ onJob }: Task): Promise<PairsInspection> =>
    inspectPairs(file, {
      ...readingOf(text, args),
      onMessages: () => void rendered++,
      signal: context.signal,
      onProgress: onJob,
    });
  const found = await context.task('pairs', 'pairs', inspect, { inOrder: false });
  return { ...found, rendered };
}

/** Remarks on pairs that are not what they seem. */
function remark({ pairs, samePrompts, textMismatch }: PairsReport, context: Context): void {
  if (samePrompts > 0) {
    context.warn(
      `${samePrompts} of ${pairs} pairs have the same clean and corrupted prompt and add nothing to scores.`,
    );
  }
  if (textMismatch) {
    context.warn(
      `the tokens of ${textMismatch.pairs} of ${pairs} pairs do not spell their text (the first on line ` +
        `${textMismatch.line}): the tokens count, which are shown here.`,
    );
  }
}

/** @throws ERR_HEADSPARK_PAIR_FORMAT where a command that reads the file would stop. */
function checkWritten(file: string, { pairs, refused }: PairsInspection, skipUnfit: boolean): void {
  const stops = refused.filter(({ kind }) => !skipUnfit || kind !== 'unfit');
  const [first] = stops.length > 0 ? stops : refused;
  if (stops.length === 0 && pairs.length > 0) return;
  const why =
    stops.length > 1
      ? `${plural(stops.length, 'line')} are refused: mend them`
      : stops.length === 1
        ? 'the line is refused: mend it'
        : 'no pair fits: give pairs for this tokenizer';
  const leave = stops.some(({ kind }) => kind === 'unfit')
    ? ', or leave out what does not fit with --skip-unfit'
    : '';
  throw new HeadsparkError(
    'ERR_HEADSPARK_PAIR_FORMAT',
    first === undefined
      ? `${file} has no pairs.`
      : `${file}:${first.line}: ${first.reason.replace(/\.$/, '')}; nothing was written, since ${why}${leave}.`,
  );
}

async function write(
  { pairs }: PairsInspection,
  { tokenizer }: CheckpointText,
  { args, context }: Place,
): Promise<string[]> {
  const [out, csv] = [args.text('out'), args.text('csv')];
  if (out !== undefined) await writePairs(out, pairs, { tokenizer });
  if (csv !== undefined) {
    const rows = pairs.map((pair) => describePair(pair, tokenizer));
    await writeFileAtomic(csv, tableCsv(pairsTable(rows)));
  }
  const files = [out, csv].filter((path) => path !== undefined);
  context.print();
  for (const path of files) context.print(`Wrote ${path}`);
  if (args.text('task') !== undefined && files.length === 0) {
    context.print('Nothing was written; keep the pairs with --out pairs.jsonl.');
  }
  return files;
}

export const pairsCommand: Command = {
  name: 'pairs',
  usage: 'pairs <model>',
  describe: 'Make prompt pairs, or look at a file of them, without running a model',
  positionals: [
    { name: 'model', describe: 'checkpoint, adapter or tokenizer folder, or hub id; no weights' },
  ],
  options: [
    'pairs',
    'task',
    'count',
    'seed',
    'skip-unfit',
    'enable-thinking',
    'out',
    'csv',
    'top',
    'adapter',
    'base',
    'offline',
    'revision',
    ...optionGroups.every,
  ],
  meanings: {
    pairs: 'pairs file to look at: JSONL or CSV',
    task: 'make the pairs of this task, the same as in every command',
    count: 'pairs to make (default 100), or most pairs to read',
    seed: 'of the pairs of --task',
    'skip-unfit': 'with --out: write the others where pairs do not fit the tokenizer',
    out: '.jsonl file of the pairs, as token ids and as text, for --pairs of every command',
    csv: 'also write the table of all pairs as CSV',
    top: 'pairs and refused lines to print',
  },
  examples: [
    ['$0 pairs ./qwen --task ioi --count 64 --out ioi.jsonl', 'what --task ioi --count 64 scores'],
    ['$0 pairs ./qwen --pairs pairs.jsonl', 'what is in the file, and what is refused'],
    ['$0 pairs ./qwen --pairs ioi.csv --skip-unfit --out ioi.jsonl', 'the pairs of a CSV file'],
  ],
  async run(args, context) {
    const source = pairsSource(args);
    await checkOutputs(args, [
      fileOutput(args, 'out', ['.jsonl']),
      fileOutput(args, 'csv', ['.csv']),
    ]);
    const text = await loadTextFrom(args.positional('model'), args, context);
    const place = { args, context };
    const found =
      'file' in source
        ? await fromFile(source.file, text, place)
        : { pairs: await generated(source.task, text, place), refused: [], rendered: 0 };
    const { pairs, refused, rendered } = found;
    const report = reportPairs(pairs, text.tokenizer);
    const top = args.value('top');
    const first = pairs.slice(0, top).map((pair) => describePair(pair, text.tokenizer));
    const seed = args.value('seed');
    const name = 'file' in source ? source.file : `${source.task}, seed ${seed}`;
    context.print(
      `${context.paint('bold', text.label)}: ${plural(pairs.length, 'pair')} of ${name}` +
        (refused.length > 0 ? `, ${plural(refused.length, 'line')} refused` : ''),
    );
    printPairs({ first, report, refused }, top, context);
    remark(report, context);
    if ('file' in source) remarkPairs(pairs, { file: source.file, rendered, args }, context);
    if ('file' in source && args.has('out')) {
      checkWritten(source.file, found, args.flag('skip-unfit'));
    }
    const files = await write(found, text, place);
    return {
      format: 'headspark-pairs-report',
      source: 'file' in source ? source : { ...source, seed },
      tokenizer: text.folder,
      ...report,
      first,
      refused,
      files,
    };
  },
};
