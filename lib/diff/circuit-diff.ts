// Difference of circuits of one shape: the first is the base, the others are compared with it.
// Quantities: retained / emergent / vanished heads, head importance, effect map, Jaccard.

import { checkCircuit, checkNamed, checkObjects, checkTable } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import type { HeadRef } from '../head-gate.js';
import {
  circuitEdgeList,
  countNodes,
  headImportance,
  headMask,
  headsOf,
  scoreShares,
  type Circuit,
} from '../circuit/circuit.js';
import { graphOf } from '../circuit/graph.js';
import { checkComparable } from '../circuit/score-table.js';
import type { GraphShape } from '../circuit/shape.js';
import { headStatus, jaccard, overlapOfMasks, overlapOfSorted, type HeadStatus } from './sets.js';

/** A circuit under the name that comparisons call it by. */
export interface NamedCircuit {
  readonly name: string;
  readonly circuit: Circuit;
}

/** One circuit in figures. */
export interface CircuitSummary {
  readonly name: string;
  /** Of the weights that were scored (`Model.fingerprint`); absent where the scores do not say it. */
  readonly fingerprint?: string;
  readonly edges: number;
  readonly nodes: number;
  readonly heads: HeadRef[];
  /** [layers][heads], share of all heads' outgoing |score| in the circuit; sums to 1 over heads. */
  readonly importance: number[][];
  /** [layers][heads], share of all heads' outgoing |score|, in the circuit or not; sums to 1 over heads. */
  readonly scoreShares: number[][];
}

/** One circuit against the base. */
export interface CircuitComparison {
  readonly base: string;
  readonly other: string;
  /** Sorted by layer, then head. */
  readonly heads: Record<Exclude<HeadStatus, 'absent'>, HeadRef[]>;
  /** Numbers of edges. */
  readonly edges: Record<Exclude<HeadStatus, 'absent'>, number>;
  /** [layers][heads], (I_other - I_base) / (I_other + I_base + 1e-6), from -1 to 1. */
  readonly effect: number[][];
}

/** What `diffCircuits` gives: the part of a diff that needs no resampling. */
export interface CircuitDiff {
  readonly shape: GraphShape;
  readonly circuits: CircuitSummary[];
  /** One per circuit after the first. */
  readonly comparisons: CircuitComparison[];
  /** [circuits][circuits] pairwise Jaccard indexes. */
  readonly jaccard: { readonly heads: number[][]; readonly edges: number[][] };
}

const EFFECT_FLOOR = 1e-6;

/** (other - base) / (other + base + 1e-6) of two head importances. */
export function effectSize(base: number, other: number): number {
  return (other - base) / (other + base + EFFECT_FLOOR);
}

interface Measured {
  readonly name: string;
  readonly fingerprint?: string;
  readonly nodes: number;
  readonly edges: Uint32Array;
  readonly mask: Uint8Array;
  readonly importance: Float64Array;
  readonly scoreShares: Float64Array;
}

function measure({ name, circuit }: NamedCircuit): Measured {
  const graph = graphOf(circuit.shape);
  const list = circuitEdgeList(circuit);
  const scores = graph.compact(circuit.scores);
  const { fingerprint } = circuit.meta;
  return {
    name,
    ...(typeof fingerprint === 'string' ? { fingerprint } : {}),
    nodes: countNodes(circuit),
    edges: list.edges,
    mask: headMask(graph, list),
    importance: headImportance(graph, list, scores),
    scoreShares: scoreShares(graph, scores),
  };
}

/** [layers * heads] values as [layers][heads]. */
export function byLayer(values: ArrayLike<number>, headsPerLayer: number): number[][] {
  const flat = Array.from(values);
  return Array.from({ length: flat.length / headsPerLayer }, (_, layer) =>
    flat.slice(layer * headsPerLayer, (layer + 1) * headsPerLayer),
  );
}

function compare(base: Measured, other: Measured, headsPerLayer: number): CircuitComparison {
  const withStatus = (wanted: HeadStatus): HeadRef[] =>
    headsOf(
      base.mask.map((inBase, head) =>
        headStatus(inBase === 1, other.mask[head] === 1) === wanted ? 1 : 0,
      ),
      headsPerLayer,
    );
  const edges = overlapOfSorted(base.edges, other.edges);
  return {
    base: base.name,
    other: other.name,
    heads: {
      retained: withStatus('retained'),
      emergent: withStatus('emergent'),
      vanished: withStatus('vanished'),
    },
    edges: { retained: edges.both, emergent: edges.onlySecond, vanished: edges.onlyFirst },
    effect: byLayer(
      base.importance.map((value, head) => effectSize(value, other.importance[head])),
      headsPerLayer,
    ),
  };
}

/**
 * Compares two or more circuits of one shape and the same settings; the first is the base.
 * Throws ERR_HEADSPARK_INVALID_ARGUMENT (fewer than two), ERR_HEADSPARK_SETTINGS_MISMATCH.
 */
export function diffCircuits(circuits: readonly NamedCircuit[]): CircuitDiff {
  checkObjects('diffCircuits', 'circuits', circuits);
  for (const named of circuits) {
    checkNamed('diffCircuits', named, 'circuit');
    checkCircuit('diffCircuits', named.circuit);
    checkTable('diffCircuits', named.circuit);
  }
  const [first, ...others] = circuits;
  if (!first || others.length === 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `a difference needs at least two circuits, got ${circuits.length}`,
    );
  }
  for (const { name, circuit } of others) {
    checkComparable(first.circuit, circuit, { base: first.name, other: name });
  }
  const { shape } = first.circuit;
  const measured = circuits.map(measure);
  const pairwise = (value: (a: Measured, b: Measured) => number): number[][] =>
    measured.map((a) => measured.map((b) => value(a, b)));
  return {
    shape,
    circuits: measured.map(({ name, fingerprint, nodes, edges, mask, ...of }) => ({
      name,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      nodes,
      edges: edges.length,
      heads: headsOf(mask, shape.heads),
      importance: byLayer(of.importance, shape.heads),
      scoreShares: byLayer(of.scoreShares, shape.heads),
    })),
    comparisons: measured.slice(1).map((other) => compare(measured[0], other, shape.heads)),
    jaccard: {
      heads: pairwise((a, b) => jaccard(overlapOfMasks(a.mask, b.mask))),
      edges: pairwise((a, b) => jaccard(overlapOfSorted(a.edges, b.edges))),
    },
  };
}
