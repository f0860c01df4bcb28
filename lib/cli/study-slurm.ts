// What `headspark study` says of a cluster: what was submitted, and where every task stands.

import { applySlurmOptions, submitStudy, type SlurmStatus, type Study } from '../study/index.js';
import { usageError, type Arguments } from './arguments.js';
import type { Context } from './context.js';
import { plural } from './output.js';
import { slurmOptionNames } from './study-options.js';

/** Refuses options that only --slurm reads. */
export function checkSlurmOptions(args: Arguments): void {
  if (args.flag('slurm')) {
    if (args.text('shard') !== undefined) {
      throw usageError(
        '--slurm divides the study itself: leave --shard out (--tasks says how far).',
      );
    }
    return;
  }
  const given = slurmOptionNames.find((name) => args.has(name));
  const other = given ?? (args.switch('submit') === false ? 'no-submit' : undefined);
  if (other !== undefined) throw usageError(`--${other} needs --slurm.`);
}

/** Options of this command line that every task gets too. */
function taskOptions(args: Arguments): string[] {
  const [threads, memory] = [args.number('threads'), args.text('memory')];
  return [
    ...(args.choice<string>('device') === 'cpu' ? [] : ['--device', args.choice<string>('device')]),
    ...(threads === undefined ? [] : ['--threads', String(threads)]),
    ...(memory === undefined ? [] : ['--memory', memory]),
    ...(args.flag('offline') ? ['--offline'] : []),
  ];
}

/** A list of tasks for a table cell: `4 tasks`, or which ones where they are few. */
const tasksCell = (tasks: readonly number[]): string =>
  tasks.length === 0 ? '–' : tasks.length > 6 ? `${tasks.length} tasks` : tasks.join(', ');

export async function submitCommand(
  study: Study,
  args: Arguments,
  place: { context: Context; out: string; file: string; only: string[] },
) {
  const { context, out, file, only } = place;
  const wanted = applySlurmOptions(study, {
    tasks: args.number('tasks'),
    partition: args.text('partition'),
    account: args.text('account'),
    time: args.text('time'),
    gpus: args.text('gpus'),
  });
  const submitted = args.switch('submit') !== false;
  const device = args.choice<string>('device');
  context.endsInOrder();
  const result = await submitStudy(wanted, {
    out,
    device,
    submit: submitted,
    taskOptions: taskOptions(args),
    signal: context.signal,
    onRemark: (remark) => {
      context.warn(remark);
    },
    ...(only.length > 0 ? { only } : {}),
    ...(args.flag('offline') ? { hub: { offline: true } } : {}),
  });
  const titles = ['job', 'tasks', 'in the queue already', 'done', 'GPUs a task'];
  context.table(
    [
      { title: 'stage' },
      ...titles.map((title) => ({ title, align: 'right' as const })),
      { title: 'after' },
    ],
    result.arrays.map(({ stage, job, submitted: now, live, done, gpus, dependency }) => [
      stage,
      job === null ? '–' : String(job),
      tasksCell(now),
      tasksCell(live),
      tasksCell(done),
      gpus ?? '0',
      dependency ?? '',
    ]),
  );
  if (device === 'cpu' && result.arrays.some(({ gpus }) => gpus !== null)) {
    context.warn('tasks ask for GPUs, but compute on the CPU: add --device cuda:0.');
  }
  if (result.cancelled.length > 0) {
    context.print(
      `\n${plural(result.cancelled.length, 'task')} of earlier submissions left the queue: they ` +
        'waited in vain, or for an earlier study file.',
    );
  }
  const count = result.arrays.reduce((sum, array) => sum + array.submitted.length, 0);
  if (!submitted) context.print(`\nNothing was submitted. By hand: sh ${result.script}`);
  else if (count > 0) context.print(`\nSubmitted ${plural(count, 'task')}.`);
  else context.print('\nNothing had to be submitted.');
  context.print(`Look at it with: headspark study status ${file} --out ${out}`);
  return result;
}

/** Of every kind of stage: how many tasks are in each state. */
export function queueColumns(slurm: SlurmStatus, kind: string): string[] {
  const own = slurm.tasks.filter(({ stage }) => stage === kind);
  const words = (['running', 'queued', 'ended', 'unknown'] as const).flatMap((state) => {
    const count = own.filter((task) => task.state === state).length;
    return count === 0 ? [] : [`${count} ${state}`];
  });
  return [words.join(', ')];
}

/** What went wrong, task by task, and what to do. */
export function printProblems(slurm: SlurmStatus, context: Context, command: string): void {
  const { tasks, problem, parts } = slurm;
  if (problem !== null) {
    context.warn(`${problem} The queue is left out.`);
    return;
  }
  const bad = tasks.filter(({ state }) => state === 'ended' || state === 'unknown');
  for (const { stage, task, state, job, slurm: word, reason, log } of bad.slice(0, 20)) {
    const end = [word, reason === null ? '' : `(${reason})`].filter(Boolean).join(' ');
    const what =
      state === 'ended'
        ? `ended as ${end} without all its results`
        : 'is no longer known to the queue, and its results are not all there';
    const where = log === null ? '' : `; log: ${log}`;
    context.print(`${stage}, task ${task} of ${parts} (job ${job}) ${what}${where}`);
  }
  if (bad.length > 20) context.print(`and ${bad.length - 20} more`);
  if (bad.length > 0) context.print(`Submit what is missing again with: ${command}`);
}
