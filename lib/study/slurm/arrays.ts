// A study as job arrays: one array for every kind of stage, one task for every part of the
// checkpoints, and what each array waits for.

import type { StageNode, StudyGraph } from '../graph.js';
import { mostShards, shardOf } from '../shard.js';
import type { Study } from '../study.js';

export interface StageArray {
  readonly kind: string;
  readonly title: string;
  /** Ids of its tasks, ascending from 1; kinds without checkpoints have task 1 alone. */
  readonly tasks: readonly number[];
  /** Parts that the study is divided into: task i computes `--shard i/parts`. */
  readonly parts: number;
  /** It runs models, so it may want a GPU. */
  readonly computes: boolean;
  readonly needs: readonly ArrayNeed[];
  /** What each task must store. */
  readonly nodes: ReadonlyMap<number, readonly StageNode[]>;
}

export interface ArrayNeed {
  readonly kind: string;
  /** Task i needs nothing but task i's results. */
  readonly matching: boolean;
}

/** Parts of a study: as asked for, as far as there is something for each; else by checkpoint. */
export function partsOf(study: Study, graph: StudyGraph, tasks = study.slurm.tasks): number {
  return Math.min(tasks ?? study.checkpoints.length, mostShards(graph.nodes, study));
}

/** Of every kind that has stages, in an order in which each comes after what it needs. */
export function stageArrays(study: Study, graph: StudyGraph, parts: number): StageArray[] {
  const taskOf = (node: StageNode): number => shardOf(node, study, parts) ?? 1;
  const arrays = graph.kinds.flatMap(({ kind, title }): StageArray[] => {
    const own = graph.nodes.filter((node) => node.kind === kind);
    if (own.length === 0) return [];
    const tasks = [...new Set(own.map(taskOf))].sort((a, b) => a - b);
    const links = own.flatMap((node) =>
      Object.values(node.inputs).map((input) => ({
        kind: input.kind,
        inside: input.kind === kind || taskOf(input) === taskOf(node),
      })),
    );
    const kinds = [...new Set(links.map((link) => link.kind))].filter((name) => name !== kind);
    const needs = kinds.map((name) => ({
      kind: name,
      matching: links.every((link) => link.kind !== name || link.inside),
    }));
    const nodes = new Map(tasks.map((task) => [task, own.filter((node) => taskOf(node) === task)]));
    const computes = own.some(({ weights }) => weights.length > 0);
    return [{ kind, title, tasks, parts, computes, needs, nodes }];
  });
  return arrays.map((array) => ({ ...array, needs: matchingNeeds(array, arrays) }));
}

/** Pairs by task only where the other array has a task for each of these. */
function matchingNeeds({ tasks, needs }: StageArray, arrays: readonly StageArray[]): ArrayNeed[] {
  return needs.map(({ kind, matching }) => {
    const other = arrays.find((array) => array.kind === kind)!;
    return { kind, matching: matching && tasks.every((task) => other.tasks.includes(task)) };
  });
}

/** `1-3,7` */
export function taskList(tasks: readonly number[]): string {
  const spans: [number, number][] = [];
  for (const task of tasks) {
    const last = spans.at(-1);
    if (last && task === last[1] + 1) last[1] = task;
    else spans.push([task, task]);
  }
  return spans.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
