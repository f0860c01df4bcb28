// Selection rules: which edges of a score table make the circuit, before pruning.
// Ties break by edge index, always; the rules are the reference's and the paper's.

import { checkRecord } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { oneOf, shown } from '../option-checks.js';
import type { CircuitGraph } from './graph.js';
import { greedyEdges } from './greedy.js';
import { highestN, rankKeys, type Ranking } from './rank.js';

export type { Ranking } from './rank.js';

/**
 * - `top-n`: the n highest edges; with `tau`, only those of them that reach it as well
 *   (the paper: n = 5000, tau = 0.1).
 * - `threshold`: every edge that reaches tau.
 * - `greedy`: n edges, best first, from the logits backwards.
 * `ranking` says whether |score| or the signed score is ranked and compared with tau
 * (`>=`); default `absolute`.
 */
export type Selection =
  | {
      readonly rule: 'top-n';
      readonly n: number;
      readonly tau?: number;
      readonly ranking?: Ranking;
    }
  | { readonly rule: 'threshold'; readonly tau: number; readonly ranking?: Ranking }
  | { readonly rule: 'greedy'; readonly n: number; readonly ranking?: Ranking };

const rules = ['top-n', 'threshold', 'greedy'] as const satisfies readonly Selection['rule'][];

function checkRule(selection: unknown): void {
  checkRecord('selection', 'a rule with its numbers as an object', selection);
  const { rule } = selection as { rule?: unknown };
  if ((rules as readonly unknown[]).includes(rule)) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `selection: rule is ${shown(rule)}; it must be one of ${rules.join(', ')}.`,
  );
}

function checkN(n: number, graph: CircuitGraph): void {
  if (!Number.isInteger(n) || n < 0 || n > graph.edgeCount) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `selection: n must be a whole number from 0 to ${graph.edgeCount} ` +
        `(the edges of this graph), got ${n}`,
    );
  }
}

function reaching(scores: Float32Array, tau: number, ranking: Ranking): (edge: number) => boolean {
  if (!Number.isFinite(tau)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `selection: tau must be a finite number, got ${tau}`,
    );
  }
  return ranking === 'signed'
    ? (edge) => scores[edge] >= tau
    : (edge) => Math.abs(scores[edge]) >= tau;
}

/**
 * Compact indexes of the selected edges, ascending.
 * @param scores [edgeCount], compact.
 * Throws ERR_HEADSPARK_INVALID_ARGUMENT (n or tau out of range) and
 * ERR_HEADSPARK_TENSOR_VALUE (a score that is not finite).
 */
export function selectEdges(
  graph: CircuitGraph,
  scores: Float32Array,
  selection: Selection,
): Uint32Array {
  checkRule(selection);
  const ranking = oneOf('ranking', selection.ranking, {
    allowed: ['absolute', 'signed'],
    fallback: 'absolute',
  });
  const keys = new Uint32Array(scores.length);
  rankKeys(scores, ranking, keys);
  switch (selection.rule) {
    case 'top-n': {
      checkN(selection.n, graph);
      const highest = highestN(keys, selection.n);
      if (selection.tau === undefined) return highest;
      return highest.filter(reaching(scores, selection.tau, ranking));
    }
    case 'threshold': {
      const reaches = reaching(scores, selection.tau, ranking);
      const selected = new Uint32Array(scores.length);
      let count = 0;
      for (let edge = 0; edge < scores.length; edge++) {
        if (reaches(edge)) selected[count++] = edge;
      }
      return selected.slice(0, count);
    }
    case 'greedy':
      checkN(selection.n, graph);
      return greedyEdges(graph, keys, selection.n);
  }
}
