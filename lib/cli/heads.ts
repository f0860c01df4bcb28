// `headspark heads`: what heads look at, write and copy, and which of it goes with the harm that
// their ablation does.

import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AblationKind } from '../ablation-sweep.js';
import { writeFileAtomic } from '../atomic-file.js';
import type { Metric } from '../attribution.js';
import { readDiffReport } from '../diff-report.js';
import { makeFolder } from '../file-errors.js';
import { headEffects } from '../head-effects.js';
import { allHeads, formatHead, parseHeads, uniqueHeads, type HeadRef } from '../head-gate.js';
import {
  headPrompts,
  headProperties,
  type HeadPrompt,
  type WantedMap,
} from '../head-properties.js';
import { headProfile, type HeadProfile, type HeadQueries } from '../heads/index.js';
import type { Model } from '../model.js';
import type { TokenizedPair } from '../pairs.js';
import { readPrompts } from '../prompts.js';
import { exportFormats } from '../report/export-formats.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { diffModelNotes } from './diff-model.js';
import { printProfile } from './heads-table.js';
import { loadFrom, pairsFrom } from './inputs.js';
import {
  journalOf,
  journalOutput,
  resumeAnnouncer,
  resumeHintOf,
  type JournalPlace,
} from './journal-option.js';
import { plural } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { formatsOf } from './report.js';
import { resamplesOf } from './resamples.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

interface Inputs {
  readonly prompts: HeadPrompt[];
  /** Undefined where prompts were given. */
  readonly pairs: TokenizedPair[] | undefined;
  readonly name: string;
}

async function inputsFrom(model: Model, args: Arguments, context: Context): Promise<Inputs> {
  const file = args.text('prompts');
  if (file === undefined) {
    const { pairs, name } = await pairsFrom(model, args, context);
    return { prompts: headPrompts(pairs, args.choice<Metric>('metric')), pairs, name };
  }
  const [system, enableThinking] = [args.text('system'), args.switch('enable-thinking')];
  const prompts = await readPrompts(model, file, {
    chat: args.flag('chat'),
    ...(system === undefined ? {} : { system }),
    ...(enableThinking === undefined ? {} : { enableThinking }),
  });
  const limit = args.number('count') ?? prompts.length;
  return { prompts: prompts.slice(0, limit), pairs: undefined, name: file };
}

function checkInputs(args: Arguments): void {
  const given = ['prompts', 'pairs', 'task'] as const;
  const named = given.filter((name) => args.text(name) !== undefined);
  if (named.length > 1) throw usageError(`give one of --${named.join(' and --')}, not both.`);
  if (named.length === 0) {
    throw usageError('say what to look at: --pairs FILE, --task NAME or --prompts FILE.');
  }
  if (args.text('prompts') === undefined && (args.flag('chat') || args.text('system'))) {
    throw usageError('--chat and --system are for --prompts.');
  }
  if (args.text('prompts') !== undefined) {
    const effects = args.flag('effects') ? (['effects'] as const) : [];
    const why = 'is of pairs: leave it out with --prompts.';
    refuseUnread(args, ['metric', 'skip-unfit', ...effects], why);
  }
  if (!ablates(args)) {
    refuseUnread(args, ['ablation'], 'is of --effects, which needs pairs; leave it out.');
  }
  if (args.text('draw') === undefined) {
    refuseUnread(args, ['draw-prompts'], 'says of which prompts --draw draws: add --draw HEADS.');
  }
  if (args.text('journal') !== undefined && !ablates(args)) {
    throw usageError('--journal keeps finished ablations: it needs pairs, and --effects.');
  }
  if (args.text('draw') !== undefined && args.text('out') === undefined) {
    throw usageError('--draw needs --out FOLDER for the drawings.');
  }
}

/** Whether heads are ablated too, which takes far longer than to look at them. */
const ablates = (args: Arguments): boolean =>
  args.flag('effects') && args.text('prompts') === undefined;

/** In the folder of --out, which is made for it; else as of other commands. */
function journalOfHeads(args: Arguments): JournalPlace | undefined {
  const folder = args.text('out');
  if (!ablates(args)) return undefined;
  if (folder === undefined || args.text('journal') !== undefined) return journalOf(args);
  return { path: join(folder, 'ablations.journal'), option: 'out', temporary: true };
}

function wantedMaps(args: Arguments, model: Model, prompts: number): WantedMap[] {
  const draw = args.text('draw');
  if (draw === undefined) return [];
  const numbers = args
    .text('draw-prompts')!
    .split(',')
    .map((text) => text.trim());
  const chosen = numbers.map((text) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (number >= 1 && number <= prompts) return number - 1;
    throw usageError(`--draw-prompts "${text}" is not a number from 1 to ${prompts}.`);
  });
  return parseHeads(draw, model.info).flatMap((head) =>
    [...new Set(chosen)].map((prompt) => ({ head, prompt })),
  );
}

/** Statuses of the heads of a diff's comparison, with notes where it compares other models. */
async function groupsFrom(
  args: Arguments,
  model: Model,
  context: Context,
): Promise<{ groups: Record<string, string> | null; notes: string[] }> {
  const file = args.text('diff');
  if (file === undefined) {
    if (args.text('post') !== undefined) throw usageError('--post needs --diff FILE.');
    return { groups: null, notes: [] };
  }
  const report = await readDiffReport(file);
  const { comparisons } = report;
  const post = args.text('post') ?? comparisons.at(-1)?.other;
  const comparison = comparisons.find(({ other }) => other === post);
  if (!comparison) {
    const names = comparisons.map(({ other }) => other).join(', ');
    throw usageError(`${file} has no comparison with "${post}"; it has ${names}.`);
  }
  const members = comparison.heads.filter(({ status }) => status !== 'absent');
  const { base, other } = comparison;
  return {
    groups: Object.fromEntries(members.map((head) => [formatHead(head), head.status])),
    notes: diffModelNotes({ path: file, report, base, other }, model, context),
  };
}

async function measure(
  model: Model,
  inputs: Inputs,
  of: { args: Arguments; context: Context; heads: HeadRef[]; journal: JournalPlace | undefined },
): Promise<HeadProfile> {
  const { args, context, heads, journal } = of;
  const maps = wantedMaps(args, model, inputs.prompts.length);
  const markers = args.list('think-marker');
  const [confidence, seed, resamples] = [
    args.value('confidence'),
    args.value('seed'),
    resamplesOf(args, context),
  ];
  const statistics = { confidence, seed, ...(resamples === undefined ? {} : { resamples }) };
  const { signal } = context;
  const { groups, notes } = await groupsFrom(args, model, context);
  const measured = await context.task('heads', 'prompts', ({ onJob }) =>
    headProperties(model, inputs.prompts, {
      heads: uniqueHeads([...heads, ...maps.map(({ head }) => head)]),
      queries: args.choice<HeadQueries>('queries'),
      maps,
      ...(markers.length > 0 ? { markers } : {}),
      ...statistics,
      signal,
      onProgress: onJob,
    }),
  );
  const table = { ...measured, notes: [...measured.notes, ...notes] };
  const { pairs } = inputs;
  if (journal?.option === 'out') await makeFolder(dirname(journal.path));
  const announce = resumeAnnouncer(journal?.path, 'variants', context);
  const effects =
    pairs && ablates(args)
      ? await context.task('ablate', 'variants', ({ onJob, onRemark }) =>
          headEffects(model, pairs, {
            heads,
            metric: args.choice<Metric>('metric'),
            ablation: args.choice<AblationKind>('ablation'),
            journal: journal?.path,
            onRemark,
            signal,
            onProgress: (progress) => {
              announce(progress.done, progress.total);
              onJob(progress);
            },
          }),
        )
      : null;
  return headProfile(table, { groups, effects }, statistics);
}

/** The folder of --out: the profile as JSON and its figures as files. */
async function writeFolder(
  profile: HeadProfile,
  folder: string,
  { args, context, title }: { args: Arguments; context: Context; title: string },
): Promise<void> {
  const [{ profileFigures }, { exportFigures }] = await Promise.all([
    import('../report/figures/head-properties.js'),
    import('../report/export.js'),
  ]);
  await makeFolder(folder);
  await writeFileAtomic(join(folder, 'heads.json'), `${JSON.stringify(profile)}\n`);
  const figures = profileFigures(profile, { slug: 'heads', title });
  const formats = formatsOf(args.text('formats')) ?? exportFormats;
  const files = await context.task('figures', 'figures', ({ onJob }) =>
    exportFigures(figures, folder, { formats, onProgress: onJob }),
  );
  context.print(`\nWrote heads.json and ${plural(files.length, 'file')} of figures to ${folder}`);
}

async function writeTables(profile: HeadProfile, args: Arguments, context: Context): Promise<void> {
  const [csv, parquet] = [args.text('csv'), args.text('parquet')];
  if (csv === undefined && parquet === undefined) return;
  const [{ propertyTable }, { tableCsv }, { tableParquet }] = await Promise.all([
    import('../report/figures/head-properties.js'),
    import('../report/data-table.js'),
    import('../report/export.js'),
  ]);
  const table = propertyTable(profile);
  if (csv !== undefined) await writeFileAtomic(csv, tableCsv(table));
  if (parquet !== undefined) await writeFileAtomic(parquet, await tableParquet(table));
  for (const path of [csv, parquet]) if (path !== undefined) context.print(`Wrote ${path}`);
}

export const headsCommand: Command = {
  name: 'heads',
  usage: 'heads <model>',
  describe: 'Measure what heads attend to, write and copy, and what goes with their ablation',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'heads',
    'queries',
    'draw',
    'draw-prompts',
    'effects',
    'ablation',
    'think-marker',
    'diff',
    'post',
    ...optionGroups.pairs,
    'prompts',
    'chat',
    'system',
    'seed',
    'confidence',
    'resamples',
    'out',
    'formats',
    'journal',
    'csv',
    'parquet',
    'top',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  meanings: {
    heads: 'heads to look at, for instance "3.1,5.0" or "4.*"; default: all',
    count: 'pairs to generate (default 100), or most pairs or prompts to read (default: all)',
    resamples: 'bootstrap resamples of intervals; auto (default): 2,000',
    out: 'folder for heads.json and every figure; made where it is not there',
    journal:
      'file of heads whose ablation is finished, to resume from; default: with the results until they are done',
    formats: 'of the figures in --out, some of svg,png,csv,parquet,latex; default: all',
    parquet: 'also write the table as Parquet',
  },
  multiple: ['think-marker'],
  examples: [
    ['$0 heads ./sft --pairs p.jsonl', 'all heads, with correlations'],
    ['$0 heads ./sft --pairs p.jsonl --heads "3.*" --draw 3.1,3.4 --out heads', 'with maps'],
    ['$0 heads ./sft --prompts texts.jsonl --chat --queries answer', 'at the last token'],
    ['$0 heads ./sft --pairs p.jsonl --diff diff.json', 'emergent heads marked'],
  ],
  async run(args, context) {
    checkInputs(args);
    const out = args.text('out');
    if (args.text('formats') !== undefined && out === undefined) {
      throw usageError('--formats needs --out FOLDER.');
    }
    formatsOf(args.text('formats'));
    const journal = journalOfHeads(args);
    await checkOutputs(args, [
      { option: '--out', path: out, kind: 'folder' },
      fileOutput(args, 'csv', ['.csv']),
      fileOutput(args, 'parquet', ['.parquet']),
      ...(journal?.option === 'out' ? [] : [journalOutput(journal)]),
    ]);
    const model = await loadFrom(args.positional('model'), args, context);
    const named = args.text('heads');
    const heads = named === undefined ? allHeads(model.info) : parseHeads(named, model.info);
    const inputs = await inputsFrom(model, args, context);
    if (journal) context.resumeHint = resumeHintOf(journal);
    const profile = await measure(model, inputs, { args, context, heads, journal });
    const { label } = model.info;
    model.dispose();
    const title = `${label} on ${inputs.name}`;
    printProfile(profile, context, { top: args.value('top'), title });
    if (out !== undefined) await writeFolder(profile, out, { args, context, title: label });
    await writeTables(profile, args, context);
    if (journal?.temporary) await rm(journal.path, { force: true });
    return profile;
  },
};
