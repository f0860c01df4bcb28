// Where every task of a study's arrays stands: what it has stored joined with what the queue says.

import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writingTo } from '../../file-errors.js';
import { readTextIfExists } from '../../json-file.js';
import type { ResultStore } from '../store.js';
import type { StageArray } from './arrays.js';
import { isLive, type QueuedTask } from './queue.js';
import { jobsFile, slurmFolder } from './script.js';

export interface Cell {
  readonly stage: string;
  readonly task: number;
  /** Results that it stores, and how many of them are there. */
  readonly stages: number;
  readonly stored: number;
  /** The newest job that has or had this task; one that is not over before one that is. */
  readonly queued: QueuedTask | undefined;
  /** Of the newest submission that this run's folder knows of. */
  readonly submitted: number | undefined;
}

export const isDone = ({ stages, stored }: Cell): boolean => stages === stored;

/** A submission of a stage, as the run's folder remembers it. */
export interface SubmittedJob {
  readonly job: number;
  readonly stage: string;
  readonly tasks: readonly number[];
}

export async function noteJob(run: string, job: SubmittedJob): Promise<void> {
  const path = join(run, slurmFolder, jobsFile);
  await writingTo(path, () => appendFile(path, `${JSON.stringify(job)}\n`));
}

/** In order of submission; lines that are no submission are left out. */
export async function submittedJobs(run: string): Promise<SubmittedJob[]> {
  const text = (await readTextIfExists(join(run, slurmFolder, jobsFile))) ?? '';
  return text.split('\n').flatMap((line): SubmittedJob[] => {
    try {
      const { job, stage, tasks } = JSON.parse(line) as Partial<SubmittedJob>;
      const fits = Number.isSafeInteger(job) && typeof stage === 'string' && Array.isArray(tasks);
      return fits ? [{ job: job!, stage: stage, tasks: tasks }] : [];
    } catch {
      return [];
    }
  });
}

/** The one of a task's jobs that counts. */
function newest(tasks: readonly QueuedTask[]): QueuedTask | undefined {
  const rank = (task: QueuedTask): number => (isLive(task) ? 1e15 : 0) + task.job;
  return [...tasks].sort((a, b) => rank(b) - rank(a)).at(0);
}

/** One cell for every task of every array, in the arrays' order. */
export async function readCells(
  arrays: readonly StageArray[],
  known: { store: ResultStore; queued: readonly QueuedTask[]; submitted: readonly SubmittedJob[] },
): Promise<Cell[]> {
  const { store, queued, submitted } = known;
  const cells: Cell[] = [];
  for (const { kind, tasks, nodes } of arrays) {
    for (const task of tasks) {
      const own = nodes.get(task)!;
      let stored = 0;
      for (const node of own) if (await store.has(node)) stored++;
      cells.push({
        stage: kind,
        task,
        stages: own.length,
        stored,
        queued: newest(queued.filter((one) => one.stage === kind && one.task === task)),
        submitted: submitted
          .filter(({ stage, tasks: ids }) => stage === kind && ids.includes(task))
          .at(-1)?.job,
      });
    }
  }
  return cells;
}
