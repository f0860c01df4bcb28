// `headspark diff`: which heads are retained, emergent and vanished from a base to others.

import { basename, extname } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { canonicalJson } from '../canonical-json.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { emptyCircuitNote } from '../circuit/empty-note.js';
import { diff, type DiffInput } from '../circuit-diff.js';
import { diffCsv } from '../diff-report.js';
import { readScoreFile } from '../formats/score-file.js';
import { usageError } from './arguments.js';
import type { Command } from './command.js';
import { printDiff } from './diff-tables.js';
import { plural } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { resamplesOf } from './resamples.js';
import { describeSelection, greedyOption, selectionFromMeta, selectionOf } from './selection.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

/** File names without folder and extension; with the folder where two would be the same. */
export function inputNames(paths: readonly string[]): string[] {
  const short = paths.map((path) => basename(path, extname(path)));
  const names = short.map((name, index) =>
    short.indexOf(name) === short.lastIndexOf(name) ? name : paths[index],
  );
  const doubled = names.find((name, index) => names.indexOf(name) !== index);
  if (doubled !== undefined)
    throw usageError(`${doubled} is given twice; a diff needs different files.`);
  return names;
}

/** The selection that made all of the circuits; undefined where they say none or not the same. */
function storedSelection(inputs: readonly DiffInput[]): BuildCircuitOptions | undefined {
  const stored = inputs.map(({ table }) => selectionFromMeta(table.meta));
  const [first] = stored;
  if (!first) return undefined;
  const text = canonicalJson(first);
  return stored.every((other) => other && canonicalJson(other) === text) ? first : undefined;
}

export const diffCommand: Command = {
  name: 'diff',
  usage: 'diff <base> <post> [more..]',
  describe: 'Compare circuits: retained, emergent and vanished heads',
  positionals: [
    { name: 'base', describe: 'score or circuit file of the base checkpoint' },
    { name: 'post', describe: 'the same of a post-trained checkpoint' },
    { name: 'more', describe: 'further checkpoints, each compared with the base', rest: true },
  ],
  options: [
    ...optionGroups.selection,
    'resamples',
    'null-repeats',
    'confidence',
    'seed',
    'out',
    'csv',
    'top',
    ...optionGroups.every,
  ],
  meanings: {
    out: 'report to write, as .json',
    resamples:
      'bootstrap resamples; auto (default): 1,000, fewer (at least 200) where that takes minutes',
    confidence: 'of intervals, and the probability from which a head is certain',
  },
  examples: [
    ['$0 diff base.json sft.json grpo.json --top-n 200 --out diff.json', 'two against one base'],
  ],
  async run(args, context) {
    const [out, csv] = [args.text('out'), args.text('csv')];
    const chosen = selectionOf(args);
    if (!chosen) {
      refuseUnread(
        args,
        ['prune'],
        'is of selected edges: add --top-n N, --tau-all T or --greedy N.',
      );
    }
    const resamples = resamplesOf(args, context) ?? 'auto';
    await checkOutputs(args, [
      fileOutput(args, 'out', ['.json']),
      fileOutput(args, 'csv', ['.csv']),
    ]);
    const paths = [args.positional('base'), args.positional('post'), ...args.positionals('more')];
    const names = inputNames(paths);
    const inputs: DiffInput[] = [];
    for (const [index, path] of paths.entries()) {
      inputs.push({ name: names[index], table: await readScoreFile(path) });
    }
    const selection = chosen ?? storedSelection(inputs);
    context.print(
      `${context.paint('bold', 'Diff')} of ${plural(inputs.length, 'circuit')}: ` +
        (selection ? describeSelection(selection) : 'as stored in the files'),
    );
    const report = await context.task('diff', 'resamples', ({ onJob }) =>
      diff(inputs, {
        selection,
        resamples,
        nullRepeats: args.value('null-repeats'),
        confidence: args.value('confidence'),
        seed: args.value('seed'),
        signal: context.signal,
        onProgress: onJob,
      }),
    );
    printDiff(report, context, args.value('top'));
    for (const { name, edges } of report.circuits) {
      if (edges > 0) continue;
      context.warn(emptyCircuitNote(`the circuit of ${name}`, selection ?? null, greedyOption));
    }
    if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(report)}\n`);
    if (csv !== undefined) await writeFileAtomic(csv, diffCsv(report));
    const files = [out, csv].filter((path) => path !== undefined);
    if (files.length > 0) context.print(`\nWrote ${files.join(' and ')}`);
    return report;
  },
};
