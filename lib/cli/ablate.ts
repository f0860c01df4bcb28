// `headspark ablate`: gates heads while the model answers pairs, against matched random sets.

import { rm } from 'node:fs/promises';
import type { Metric } from '../attribution.js';
import type { AblationKind } from '../ablation-sweep.js';
import { ablate, ablationCsv, type AblationPlan } from '../ablation.js';
import { writeFileAtomic } from '../atomic-file.js';
import { headsOfGroup, readDiffReport, type HeadGroup } from '../diff-report.js';
import { parseHeadSets, type GatePositions } from '../head-gate.js';
import type { Model } from '../model.js';
import { printAblation } from './ablation-table.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { checkOutput, loadFrom, pairsFrom } from './inputs.js';
import { optionGroups } from './vocabulary.js';

function checkPlanOptions(args: Arguments): void {
  const given = [
    args.text('heads') === undefined ? '' : '--heads',
    args.flag('single') ? '--single' : '',
    args.text('diff') === undefined ? '' : '--diff',
  ].filter((option) => option !== '');
  if (given.length === 0) {
    throw usageError('say what to ablate: --heads "3.1,5.0", --single or --diff diff.json.');
  }
  if (given.length > 1) throw usageError(`give one of ${given.join(' and ')}, not both.`);
}

async function planOf(args: Arguments, model: Model): Promise<AblationPlan> {
  const [heads, diff] = [args.text('heads'), args.text('diff')];
  if (heads !== undefined) return { kind: 'sets', sets: parseHeadSets(heads, model.info) };
  if (diff === undefined) return { kind: 'single' };
  const group = args.choice<HeadGroup>('group');
  const found = headsOfGroup(await readDiffReport(diff), group, args.text('post'));
  if (found.heads.length === 0) {
    throw usageError(
      `${diff} has no ${group} heads of ${found.other}; choose another --group or --post, ` +
        'or make the diff with another selection.',
    );
  }
  return { kind: 'top-k', heads: found.heads, k: args.value('top-k'), group };
}

/** The journal's path, and whether it is removed once the results are written. */
function journalOf(args: Arguments): { path: string; temporary: boolean } | undefined {
  const [journal, out] = [args.text('journal'), args.text('out')];
  if (journal !== undefined) return { path: journal, temporary: false };
  return out === undefined ? undefined : { path: `${out}.journal`, temporary: true };
}

function hintOf(journal: { path: string } | undefined): string {
  return journal
    ? `${journal.path} keeps what is finished: run the same command again to go on from there.`
    : 'Nothing was kept; with --out or --journal a run can be resumed.';
}

type OnCount = (done: number, total: number) => void;

/** Says so when the first report finds variants that an earlier run finished. */
function announceResumed(path: string | undefined, context: Context, onCount: OnCount): OnCount {
  let first = true;
  return (done, total) => {
    if (first && done > 0 && path !== undefined) {
      context.warn(`${path} holds ${done} of ${total} variants; going on from there.`);
    }
    first = false;
    onCount(done, total);
  };
}

const describe = (args: Arguments): string => {
  const [factor, kind] = [args.value('factor'), args.choice<AblationKind>('ablation')];
  const positions = args.choice<GatePositions>('positions');
  const what = factor === 0 ? `${kind} ablation` : `heads times ${factor} (${kind})`;
  return positions === 'all' ? what : `${what}, ${positions} positions`;
};

async function write(
  results: { path: string | undefined; text: () => string }[],
  context: Context,
): Promise<void> {
  for (const { path, text } of results) {
    if (path === undefined) continue;
    await writeFileAtomic(path, text());
    context.print(`\nWrote ${path}`);
  }
}

export const ablateCommand: Command = {
  name: 'ablate',
  usage: 'ablate <model>',
  describe: 'Ablate or scale heads and compare with matched random sets',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'heads',
    'single',
    'diff',
    'top-k',
    'group',
    'post',
    'controls',
    'factor',
    'ablation',
    'positions',
    'journal',
    ...optionGroups.pairs,
    'seed',
    'confidence',
    'resamples',
    'out',
    'csv',
    'top',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  examples: [
    ['$0 ablate ./sft --pairs p.jsonl --diff diff.json --top-k 10', 'emergent heads, one by one'],
    ['$0 ablate ./sft --pairs p.jsonl --heads "3.1,5.0;4.*"', 'two sets of heads'],
    ['$0 ablate ./sft --pairs p.jsonl --single --ablation mean', 'every head by itself'],
  ],
  async run(args, context) {
    checkPlanOptions(args);
    const [out, csv] = [args.text('out'), args.text('csv')];
    await checkOutput(out, '--out', ['.json']);
    await checkOutput(csv, '--csv', ['.csv']);
    const resamples = args.text('resamples');
    if (resamples !== undefined && resamples !== 'auto' && !/^[1-9]\d*$/.test(resamples)) {
      throw usageError(
        `--resamples "${resamples}" is neither a whole number of at least 1 nor auto.`,
      );
    }
    const model = await loadFrom(args.positional('model'), args, context);
    const plan = await planOf(args, model);
    const { pairs, name } = await pairsFrom(model, args, context);
    const journal = journalOf(args);
    context.resumeHint = hintOf(journal);
    context.print(`${context.paint('bold', model.info.label)}: ${describe(args)} on ${name}`);
    const table = await context.task('ablate', 'variants', ({ onCount, reporter }) =>
      ablate(model, pairs, {
        plan,
        controls: args.value('controls'),
        seed: args.value('seed'),
        factor: args.value('factor'),
        ablation: args.choice<AblationKind>('ablation'),
        metric: args.choice<Metric>('metric'),
        positions: args.choice<GatePositions>('positions'),
        confidence: args.value('confidence'),
        ...(resamples === undefined || resamples === 'auto'
          ? {}
          : { resamples: Number(resamples) }),
        ...(journal ? { journal: journal.path } : {}),
        signal: context.signal,
        onPlan: ({ variants, computedShare }) =>
          reporter.note(
            `${variants} variants: ${(100 * computedShare).toFixed(0)} % of their layers are computed; ` +
              'the rest is shared with the unablated run or between variants.',
          ),
        onProgress: announceResumed(journal?.path, context, onCount),
      }),
    );
    model.dispose();
    printAblation(table, context, args.value('top'));
    const json = (): string => `${JSON.stringify(table)}\n`;
    await write(
      [
        { path: out, text: json },
        { path: csv, text: () => ablationCsv(table) },
      ],
      context,
    );
    if (journal?.temporary) await rm(journal.path, { force: true });
    return table;
  },
};
