// The sbatch script of a stage's array, and the script that submits them all by hand. They are
// what `--slurm` itself submits.

import { join } from 'node:path';
import { HeadsparkError } from '../../errors.js';
import { packageRoot } from '../../version.js';
import type { SlurmSettings, SlurmTask } from '../study.js';
import { taskList, type StageArray } from './arrays.js';

/** Inside the run's folder: scripts, logs, and which jobs were submitted. */
export const slurmFolder = 'slurm';
export const jobsFile = 'jobs.jsonl';

export interface ScriptContext {
  /** Name of the study. */
  readonly study: string;
  /** Absolute paths of the study file and of the run's folder. */
  readonly file: string;
  readonly run: string;
  readonly settings: SlurmSettings;
  /** Options of `study run` that hold for every task, for instance `--device cuda:0`. */
  readonly options: readonly string[];
  /** The level of CPU kernels, where one is asked for. */
  readonly isa?: string | undefined;
}

/** One word of a shell line. */
export const shellWord = (text: string): string =>
  /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export const scriptName = (kind: string): string => `${kind}.sbatch`;
export const jobName = (study: string, kind: string): string =>
  `${study.replaceAll(' ', '-')}.${kind}`;
/** Relative to the run's folder. */
export const logOf = (kind: string, task: number | '%a'): string =>
  `${slurmFolder}/logs/${kind}-${task}.log`;

/** What a stage's tasks ask for. */
export function taskSettings(settings: SlurmSettings, { kind, computes }: StageArray): SlurmTask {
  const { gpus, ...task } = { ...settings, ...settings.stages[kind] };
  const wanted = settings.stages[kind]?.gpus ?? (computes ? gpus : undefined);
  const none = wanted === undefined || /(^|:)0+$/.test(wanted);
  return none ? task : { ...task, gpus: wanted };
}

function directives(array: StageArray, context: ScriptContext): string[] {
  const { kind, tasks } = array;
  const { settings, study, run } = context;
  const task = taskSettings(settings, array);
  const most = settings.concurrent === undefined ? '' : `%${settings.concurrent}`;
  const values: [string, string | number | undefined][] = [
    ['job-name', jobName(study, kind)],
    ['chdir', run],
    ['output', logOf(kind, '%a')],
    ['open-mode', 'append'],
    ['array', taskList(tasks) + most],
    ['ntasks', 1],
    ['partition', task.partition],
    ['account', task.account],
    ['qos', task.qos],
    ['constraint', task.constraint],
    ['time', task.time],
    ['gres', task.gpus === undefined ? undefined : `gpu:${task.gpus}`],
    ['cpus-per-task', task.cpus],
    ['mem', task.memory],
  ];
  return [
    ...values
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `--${name}="${value}"`),
    '--requeue',
    // What waits for a task that failed leaves the queue, so that it can be submitted again.
    '--kill-on-invalid-dep=yes',
    ...settings.options,
  ].map((option) => `#SBATCH ${option}`);
}

function command({ settings }: ScriptContext): string {
  if (settings.command !== undefined) return settings.command;
  const main = join(packageRoot, 'dist', 'cli', 'main.js');
  return `${shellWord(process.execPath)} ${shellWord(main)}`;
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for a folder that cannot stand in an sbatch script. */
export function checkRunPath(run: string): void {
  if (!/["\\\p{Cc}]/u.test(run)) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `the folder ${JSON.stringify(run)} has a quote, a backslash or a line break in its name, which ` +
      'sbatch scripts cannot hold; choose another folder.',
  );
}

/** The sbatch script of a stage. */
export function arrayScript(array: StageArray, context: ScriptContext): string {
  const { kind, title, parts } = array;
  const { file, run, settings, options, isa } = context;
  const { cpus } = taskSettings(settings, array);
  const threads = options.includes('--threads') || cpus === undefined ? [] : ['--threads', cpus];
  const words = ['study', 'run', file, '--out', run, '--only', kind, '--strict'];
  const all = [...words, ...options, ...threads].map((word) => shellWord(String(word)));
  return [
    '#!/bin/bash',
    `# ${title}: the stage ${kind} of a headspark study, in up to ${parts} parts.`,
    '# Written by: headspark study run --slurm. A task that is submitted again goes on from what is stored.',
    ...directives(array, context),
    '',
    ...(settings.setup === undefined ? [] : [settings.setup.trimEnd(), '']),
    ...(isa === undefined ? [] : [`export HEADSPARK_ISA=${shellWord(isa)}`]),
    `exec ${command(context)} ${all.join(' ')} --shard "\${SLURM_ARRAY_TASK_ID}/${parts}"`,
    '',
  ].join('\n');
}

/** Submits every array after what it needs; for a shell, without headspark. */
export function submitScript(arrays: readonly StageArray[], context: ScriptContext): string {
  const variable = (kind: string): string => kind.replaceAll('-', '_');
  const lines = arrays.map(({ kind, needs, tasks }) => {
    const waits = needs.map(
      (need) => `${need.matching ? 'aftercorr' : 'afterok'}:$${variable(need.kind)}`,
    );
    const dependency = waits.length === 0 ? '' : `--dependency="${waits.join(',')}" `;
    const name = variable(kind);
    return [
      `${name}=$(sbatch --parsable ${dependency}${slurmFolder}/${scriptName(kind)})`,
      `${name}=\${${name}%%;*}`,
      `printf '{"job":%s,"stage":"${kind}","tasks":[${tasks.join(',')}]}\\n' "$${name}" >>${slurmFolder}/${jobsFile}`,
      `echo "${kind}: job $${name}"`,
    ].join('\n');
  });
  return [
    '#!/bin/sh',
    '# Submits the whole study by hand: every stage as a job array after the stages that it needs.',
    'set -eu',
    `cd ${shellWord(context.run)}`,
    ...lines,
    '',
  ].join('\n');
}
