// Which tasks of a study have to be submitted now, and what they wait for. Tasks that are done or
// still in the queue are left alone; a task that waits for one that failed is submitted anew.

import type { StageNode } from '../graph.js';
import { shardOf } from '../shard.js';
import type { Study } from '../study.js';
import type { StageArray } from './arrays.js';
import { isDone, type Cell } from './cells.js';
import { isLive } from './queue.js';

export type Decision = 'done' | 'live' | 'submit';

export interface ArrayDecision {
  readonly array: StageArray;
  /** Tasks to submit, ascending. */
  readonly submit: readonly number[];
  /** Tasks that are in the queue and stay there, with their jobs. */
  readonly live: readonly { readonly task: number; readonly job: number }[];
  readonly done: readonly number[];
  /** `12_3`: tasks in the queue whose turn can never come. */
  readonly cancel: readonly string[];
}

const cellKey = (stage: string, task: number): string => `${stage}/${task}`;

/** Tasks of other stages whose results a task reads. */
function providers(array: StageArray, task: number, study: Study): string[] {
  const taskOf = (node: StageNode): number => shardOf(node, study, array.parts) ?? 1;
  const inputs = array.nodes.get(task)!.flatMap(({ inputs: own }) => Object.values(own));
  return inputs
    .filter(({ kind }) => kind !== array.kind)
    .map((input) => cellKey(input.kind, taskOf(input)));
}

export function decide(
  arrays: readonly StageArray[],
  cells: readonly Cell[],
  study: Study,
): ArrayDecision[] {
  const decisions = new Map<string, Decision>();
  return arrays.map((array) => {
    const cancel: string[] = [];
    const live: { task: number; job: number }[] = [];
    for (const task of array.tasks) {
      const cell = cells.find((one) => one.stage === array.kind && one.task === task)!;
      const { queued } = cell;
      const waitsInVain = providers(array, task, study).some(
        (key) => decisions.get(key) === 'submit',
      );
      let decision: Decision = isDone(cell) ? 'done' : 'submit';
      if (decision === 'submit' && queued && isLive(queued)) {
        const doomed = queued.reason === 'DependencyNeverSatisfied' || waitsInVain;
        if (doomed && queued.state === 'PENDING') cancel.push(`${queued.job}_${task}`);
        else {
          decision = 'live';
          live.push({ task, job: queued.job });
        }
      }
      decisions.set(cellKey(array.kind, task), decision);
    }
    const having = (decision: Decision): number[] =>
      array.tasks.filter((task) => decisions.get(cellKey(array.kind, task)) === decision);
    return { array, submit: having('submit'), live, done: having('done'), cancel };
  });
}

/**
 * What the tasks to submit wait for, in sbatch's words; undefined for nothing. `jobs` are those
 * submitted now, by kind.
 */
export function dependencyOf(
  { array, submit }: ArrayDecision,
  all: readonly ArrayDecision[],
  place: { jobs: ReadonlyMap<string, number>; study: Study },
): string | undefined {
  const wanted = new Set(submit.flatMap((task) => providers(array, task, place.study)));
  const parts = array.needs.flatMap(({ kind, matching }): string[] => {
    const other = all.find((one) => one.array.kind === kind)!;
    const read = (task: number): boolean => wanted.has(cellKey(kind, task));
    const now = other.submit.filter(read);
    const before = other.live.filter(({ task }) => read(task));
    if (now.length === 0 && before.length === 0) return [];
    const job = place.jobs.get(kind);
    const each = matching && before.length === 0 && submit.every((task) => now.includes(task));
    if (each) return [`aftercorr:${job}`];
    return [
      `afterok:${[...(now.length > 0 ? [String(job)] : []), ...before.map(({ job: id, task }) => `${id}_${task}`)].join(':')}`,
    ];
  });
  return parts.length === 0 ? undefined : parts.join(',');
}
