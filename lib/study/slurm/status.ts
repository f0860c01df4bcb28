// The queue's view of a run: every task of its arrays, in the words of a person.

import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkText } from '../../argument-checks.js';
import { isHeadsparkError } from '../../errors.js';
import type { PoolOptions } from '../model-pool.js';
import { checkPlanOptions } from '../option-checks.js';
import { graphOfRun } from '../run-graph.js';
import type { Study } from '../study.js';
import { partsOf, stageArrays } from './arrays.js';
import { isDone, readCells, submittedJobs, type Cell } from './cells.js';
import { endedTasks, isLive, queuedTasks, type QueuedTask } from './queue.js';
import { logOf, slurmFolder } from './script.js';
import { submittedParts } from './submit.js';
import { pathExists } from '../../path-kinds.js';

/**
 * `done`: every result is stored. `running`, `queued`: in the queue. `ended`: its job is over and
 * results are missing. `unknown`: submitted, without results, and the queue does not know it.
 * `idle`: never submitted.
 */
export type TaskState = 'done' | 'running' | 'queued' | 'ended' | 'unknown' | 'idle';

/** One task of an array, and how many of its nodes (`stages`) are stored. */
export interface TaskStatus {
  readonly stage: string;
  readonly task: number;
  readonly state: TaskState;
  /** `12_3` */
  readonly job: string | null;
  /** Slurm's state, and its reason where it gives one. */
  readonly slurm: string | null;
  readonly reason: string | null;
  readonly stages: number;
  readonly stored: number;
  /** Where there is one. */
  readonly log: string | null;
}

/** What `slurmStatus` gives: every task of the run. */
export interface SlurmStatus {
  readonly parts: number;
  readonly tasks: readonly TaskStatus[];
  /** Why the queue could not be asked; null where it answered. */
  readonly problem: string | null;
}

function stateOf(cell: Cell): TaskState {
  if (isDone(cell)) return 'done';
  const { queued, submitted } = cell;
  if (!queued) return submitted === undefined ? 'idle' : 'unknown';
  if (!isLive(queued)) return 'ended';
  return queued.state === 'PENDING' ? 'queued' : 'running';
}

async function taskStatus(
  cell: Cell,
  run: string,
  ends: ReadonlyMap<string, string>,
): Promise<TaskStatus> {
  const { stage, task, stages, stored, queued, submitted } = cell;
  const job = queued?.job ?? submitted;
  const id = job === undefined ? null : `${job}_${task}`;
  const end = id === null || queued ? undefined : ends.get(id);
  const state = stateOf(cell);
  const log = join(run, logOf(stage, task));
  return {
    stage,
    task,
    state: state === 'unknown' && end !== undefined ? 'ended' : state,
    job: id,
    slurm: queued?.state ?? end ?? null,
    reason: queued?.reason || null,
    stages,
    stored,
    log: (await pathExists(log)) ? log : null,
  };
}

/** Undefined for a run that was never submitted. */
export async function slurmStatus(
  study: Study,
  options: PoolOptions & { out: string },
): Promise<SlurmStatus | undefined> {
  checkPlanOptions('slurmStatus', study, options);
  checkText('slurmStatus', 'the folder out', options.out);
  if (!(await pathExists(join(options.out, slurmFolder)))) return undefined;
  const run = await realpath(resolve(options.out));
  const { graph, store } = await graphOfRun(study, { ...options, out: run, machine: 'run' });
  const parts = partsOf(study, graph, await submittedParts(run));
  const arrays = stageArrays(study, graph, parts);
  let [queued, problem]: [QueuedTask[], string | null] = [[], null];
  try {
    queued = await queuedTasks(run);
  } catch (error) {
    if (!isHeadsparkError(error)) throw error;
    problem = error.message;
  }
  const submitted = await submittedJobs(run);
  const cells = await readCells(arrays, { store, queued, submitted });
  const forgotten = cells
    .filter((cell) => stateOf(cell) === 'unknown')
    .map((cell) => cell.submitted!);
  const ends =
    problem === null ? await endedTasks([...new Set(forgotten)]) : new Map<string, string>();
  const tasks: TaskStatus[] = [];
  for (const cell of cells) tasks.push(await taskStatus(cell, run, ends));
  return { parts, tasks, problem };
}
