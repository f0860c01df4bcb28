// `headspark study`: a study file made, planned, run, looked at, and the shards of a run merged.

import { parseShard } from '../shard.js';
import { basename, extname } from 'node:path';
import { HeadsparkError } from '../errors.js';
import { formatBytes, formatDuration } from '../progress.js';
import {
  initStudy,
  mergeRuns,
  planStudy,
  readStudy,
  runStudy,
  slurmStatus,
  studyStatus,
  type StudyPlan,
  type StudyStatus,
} from '../study/index.js';
import { didYouMean } from '../nearest-word.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { deviceFrom, memoryFrom } from './inputs.js';
import { plural } from './output.js';
import { checkOutputs } from './outputs.js';
import { slurmOptionNames } from './study-options.js';
import { checkSlurmOptions, printProblems, queueColumns, submitCommand } from './study-slurm.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

const count = (value: number): string => value.toLocaleString('en-US');

function poolOptions(args: Arguments, context: Context) {
  const threads = args.number('threads');
  const device = deviceFrom(args, context);
  return {
    device,
    signal: context.signal,
    ...(threads === undefined ? {} : { threads }),
    ...memoryFrom(args, context, device),
    ...(args.flag('offline') ? { hub: { offline: true } } : {}),
  };
}

/** The one path of an action. */
function onePath(args: Arguments, action: string, what: string): string {
  const paths = args.positionals('paths');
  if (paths.length === 1) return paths[0];
  const got = paths.length === 0 ? 'none' : String(paths.length);
  throw usageError(`study ${action} takes one ${what}, got ${got}.`);
}

/** Where a study's run lies when --out does not say. */
const runFolder = (args: Arguments, file: string): string =>
  args.text('out') ?? `./${basename(file, extname(file))}-run`;

async function init(args: Arguments, context: Context) {
  const file = onePath(args, 'init', 'file to write');
  await initStudy(file);
  context.print(`Wrote ${file}. Edit it, then: headspark study plan ${file}`);
  return { file };
}

/** `waiting, maybe kept`, for a table. */
const stateOf = ({ state, kept }: StudyPlan['nodes'][number] | StudyStatus['nodes'][number]) =>
  state + { yes: ', kept', maybe: ', maybe kept', no: '' }[kept];

/** What needs no computing although an earlier stage changes, or may need none. */
function printKept(nodes: StudyStatus['nodes'], context: Context): void {
  const kept = nodes.filter((node) => node.kept === 'yes').length;
  const maybe = nodes.filter((node) => node.kept === 'maybe');
  if (kept > 0) {
    context.print(
      `\n${plural(kept, 'stage')} of those left take over results of earlier settings, since what they ` +
        'read is the same.',
    );
  }
  if (maybe.length === 0) return;
  const [example] = maybe;
  context.print(
    `\n${plural(maybe.length, 'stage')} of those left may keep results of earlier settings: it depends ` +
      `on what earlier stages come to (${example.kind} ${example.id}: on ${example.keptWith!.join(', ')}). ` +
      'Times count them as if they were computed.',
  );
}

/** Forwards, backwards and new tokens; time, memory and disk. */
const workCells = (of: StudyPlan['total'] | StudyPlan['nodes'][number]): string[] => [
  ...[of.forwards, of.backwards, of.tokens].map(count),
  formatDuration(of.seconds),
  formatBytes(of.memoryBytes),
  formatBytes(of.diskBytes),
];

const workColumns = (time: string) =>
  ['forwards', 'backwards', 'new tokens', time, 'memory', 'disk'].map((title) => ({
    title,
    align: 'right' as const,
  }));

/** A line for every stage; the time is that of the whole stage, done or not. */
function printPlannedStages({ nodes }: StudyPlan, context: Context): void {
  context.table(
    [{ title: 'stage' }, { title: 'of' }, { title: 'state' }, ...workColumns('time')],
    nodes.map((node) => [node.kind, node.id, stateOf(node), ...workCells(node)]),
  );
  context.print('');
}

function printPlannedKinds({ kinds, total }: StudyPlan, context: Context): void {
  const row = (name: string, of: StudyPlan['total'], title: string): string[] => [
    name,
    count(of.stages),
    count(of.done),
    ...workCells(of),
    title,
  ];
  context.table(
    [
      { title: 'stage' },
      { title: 'stages', align: 'right' },
      { title: 'done', align: 'right' },
      ...workColumns('time left'),
      { title: 'what it does' },
    ],
    [...kinds.map((kind) => row(kind.kind, kind, kind.title)), row('all', total, '')],
  );
}

async function plan(args: Arguments, context: Context) {
  const file = onePath(args, 'plan', 'study file');
  const study = await readStudy(file);
  const result = await context.task('measure rates', 'measurements', ({ onJob, onRemark }) =>
    planStudy(study, {
      ...poolOptions(args, context),
      out: runFolder(args, file),
      onProgress: onJob,
      onRemark,
    }),
  );
  context.print(context.paint('bold', `${result.study}: ${plural(result.total.stages, 'stage')}`));
  if (args.flag('each')) printPlannedStages(result, context);
  printPlannedKinds(result, context);
  context.print(
    '\nTimes and memory are estimates from rates measured ' +
      (result.keptRates === null
        ? 'now, on this machine'
        : `before, on this machine (${result.keptRates}; without it they are measured again)`) +
      (result.total.tokens > 0 ? '; new tokens, and disk for them, are upper bounds.' : '.'),
  );
  printKept(result.nodes, context);
  return result;
}

async function run(args: Arguments, context: Context) {
  const file = onePath(args, 'run', 'study file');
  checkSlurmOptions(args);
  const only = args.list('only').flatMap((item) => item.split(','));
  const shard = args.text('shard');
  const out = runFolder(args, file);
  const part = shard === undefined ? undefined : parseShard(shard);
  await checkOutputs(args, [{ option: '--out', path: out, kind: 'folder' }]);
  const study = await readStudy(file);
  if (args.flag('slurm')) return submitCommand(study, args, { context, out, file, only });
  context.resumeHint = `${out} keeps what is finished: run the same command again to go on from there.`;
  const summary = await context.task('study', '% of the work', ({ onStudy, onRemark }) =>
    runStudy(study, {
      ...poolOptions(args, context),
      out,
      ...(only.length > 0 ? { only } : {}),
      ...(args.flag('strict') ? { strict: true } : {}),
      ...(part ? { shard: part } : {}),
      measureRates: !context.quiet,
      onProgress: onStudy,
      onRemark,
    }),
  );
  const { computed, takenOver, reused, waiting, complete } = summary;
  const taken =
    takenOver.length > 0 ? `${count(takenOver.length)} the same as with earlier settings, ` : '';
  context.print(
    `${study.name}: ${plural(computed.length, 'stage')} computed, ${taken}${count(reused)} there already ` +
      `(${formatDuration(summary.seconds)}). Results lie in ${out}.`,
  );
  if (waiting > 0) {
    context.print(
      `${plural(waiting, 'stage')} wait for results of other shards: merge the runs ` +
        '(headspark study merge), then run again.',
    );
  }
  if (complete) context.print(`Next: headspark report ${out} --out report.html`);
  return summary;
}

async function status(args: Arguments, context: Context) {
  const file = onePath(args, 'status', 'study file');
  const out = runFolder(args, file);
  const study = await readStudy(file);
  const options = { ...poolOptions(args, context), out };
  const result = await studyStatus(study, options);
  const slurm = await slurmStatus(study, options);
  context.print(context.paint('bold', `${result.study} in ${out}`));
  context.table(
    [
      { title: 'stage' },
      ...['stages', 'done', 'begun', 'ready', 'waiting', 'took', 'left'].map((title) => ({
        title,
        align: 'right' as const,
      })),
      ...(slurm ? [{ title: 'tasks on the cluster' }] : []),
    ],
    result.kinds.map((kind) => [
      kind.kind,
      ...[kind.stages, kind.done, kind.begun, kind.ready, kind.waiting].map(count),
      formatDuration(kind.secondsDone),
      kind.secondsLeft === null ? '–' : formatDuration(kind.secondsLeft),
      ...(slurm ? queueColumns(slurm, kind.kind) : []),
    ]),
  );
  if (args.flag('each')) {
    context.print('');
    context.table(
      ['stage', 'of', 'state'].map((title) => ({ title })),
      result.nodes.map((node) => [node.kind, node.id, stateOf(node)]),
    );
  }
  printKept(result.nodes, context);
  if (result.outdated > 0) {
    context.print(
      `\n${plural(result.outdated, 'stored result')} belong to other settings and are not read.`,
    );
  }
  if (slurm) printProblems(slurm, context, `headspark study run ${file} --out ${out} --slurm`);
  return slurm ? { ...result, slurm } : result;
}

async function merge(args: Arguments, context: Context) {
  const runs = args.positionals('paths');
  const out = args.text('out');
  if (runs.length === 0 || out === undefined) {
    throw usageError('study merge takes the folders of the runs, and --out for the merged one.');
  }
  await checkOutputs(args, [{ option: '--out', path: out, kind: 'folder' }]);
  const result = await mergeRuns(runs, out);
  const { copied, equal, missing } = result;
  context.print(
    `${plural(copied, 'result')} copied, ${count(equal)} there already with the same bytes; ` +
      `${count(missing)} of the study are still missing.`,
  );
  return result;
}

/** Throws for options of other actions. */
function checkActionOptions(action: string, args: Arguments): void {
  if (action !== 'run') {
    const names = ['only', 'shard', 'strict', 'slurm', 'submit', ...slurmOptionNames] as const;
    refuseUnread(args, names, `is of study run; leave it out of study ${action}.`);
  }
  if (action !== 'plan' && action !== 'status') {
    refuseUnread(args, ['each'], `is of study plan and status; leave it out of study ${action}.`);
  }
  if (action === 'init') {
    refuseUnread(args, ['out'], 'is of a run; study init writes the file of its argument.');
  }
}

const actions = { init, plan, run, status, merge } as const;

export const studyCommand: Command = {
  name: 'study',
  usage: 'study <action> [paths..]',
  describe: 'Plan and run a whole study from a file; resumable, in shards if need be',
  positionals: [
    {
      name: 'action',
      describe: 'init, plan, run, status or merge',
      choices: Object.keys(actions),
    },
    { name: 'paths', describe: 'the study file; for merge the folders of runs', rest: true },
  ],
  options: [
    'out',
    'only',
    'shard',
    'strict',
    'each',
    'slurm',
    'submit',
    ...slurmOptionNames,
    'threads',
    'memory',
    'device',
    'offline',
    ...optionGroups.every,
  ],
  meanings: {
    out: 'folder of the run; default: ./NAME-run for NAME.yaml (merge needs it)',
    shard: 'run: only part i/n of the study, in a folder for merge or with --strict',
  },
  multiple: ['only'],
  examples: [
    ['$0 study init study.yaml', 'a study file with every setting explained'],
    ['$0 study plan study.yaml', 'stages, time, memory and disk'],
    ['$0 study plan study.yaml --each', 'a line for every stage, not for every kind alone'],
    ['$0 study run study.yaml --out run', 'run it, or go on where it stopped'],
    ['$0 study run study.yaml --out run2 --shard 2/4', "the second quarter's checkpoints"],
    ['$0 study run study.yaml --out run --slurm --tasks 4', 'as job arrays on a Slurm cluster'],
    ['$0 study merge run1 run2 --out run', 'shards into one run'],
  ],
  async run(args, context) {
    const name = args.positional('action');
    if (!Object.hasOwn(actions, name)) {
      const known = Object.keys(actions);
      throw new HeadsparkError(
        'ERR_HEADSPARK_INVALID_ARGUMENT',
        `study has no action "${name}": use ${known.join(', ')}.${didYouMean(name, known)}`,
      );
    }
    checkActionOptions(name, args);
    return actions[name as keyof typeof actions](args, context);
  },
};
