// Stage `circuit`: the edges that the selection takes from the scores, pruned, in the reference's
// .pt format, and a summary with heads, importance and the strongest edges.

import { join } from 'node:path';
import {
  buildCircuit,
  circuitEdgeList,
  countNodes,
  headImportance,
  headMask,
  headsOf,
  type BuildCircuitOptions,
  type Circuit,
} from '../../circuit/circuit.js';
import { graphOf } from '../../circuit/graph.js';
import { destinationName, sourceName } from '../../circuit/names.js';
import { edgeCount, type GraphShape } from '../../circuit/shape.js';
import { byLayer } from '../../diff/circuit-diff.js';
import { readScoreFile, writeScoreFile } from '../../formats/score-file.js';
import { formatHead } from '../../head-gate.js';
import { littleWork, placeId, places, type StageKind } from '../stage.js';
import { scoresFile } from './attribution.js';
import { writeResult } from './files.js';

export const circuitFile = 'circuit.pt';
export const circuitSummaryFile = 'summary.json';
export const circuitSummaryFormat = 'headspark-circuit-summary';

export interface CircuitEdge {
  readonly source: string;
  readonly destination: string;
  readonly score: number;
}

export interface CircuitSummaryFile {
  readonly format: typeof circuitSummaryFormat;
  readonly checkpoint: string;
  readonly shape: GraphShape;
  readonly selection: BuildCircuitOptions;
  readonly edges: number;
  readonly allEdges: number;
  readonly nodes: number;
  /** `a3.h1`, by layer, then head. */
  readonly heads: string[];
  /** Layers whose MLP is in the circuit. */
  readonly mlps: number[];
  /** [layers][heads], sums to 1. */
  readonly importance: number[][];
  /** The strongest edges, for drawing. */
  readonly strongest: CircuitEdge[];
}

const drawnEdges = 300;

/** The summary of a circuit. */
export function summarize(
  circuit: Circuit,
  of: { checkpoint: string; selection: BuildCircuitOptions },
): CircuitSummaryFile {
  const { shape, scores } = circuit;
  const graph = graphOf(shape);
  const list = circuitEdgeList(circuit);
  const edges = Array.from(list.edges, (_, index) => {
    const [source, destination] = [list.sources[index], list.destinations[index]];
    return { source, destination, score: scores[source * graph.nBackward + destination] };
  });
  edges.sort(
    (a, b) =>
      Math.abs(b.score) - Math.abs(a.score) || a.source - b.source || a.destination - b.destination,
  );
  const isMlp = (layer: number): boolean =>
    circuit.nodesInGraph[(layer + 1) * (shape.heads + 1)] === 1;
  return {
    format: circuitSummaryFormat,
    checkpoint: of.checkpoint,
    shape,
    selection: of.selection,
    edges: edges.length,
    allEdges: graph.edgeCount,
    nodes: countNodes(circuit),
    heads: headsOf(headMask(graph, list), shape.heads).map(formatHead),
    mlps: Array.from({ length: shape.layers }, (_, layer) => layer).filter(isMlp),
    importance: byLayer(headImportance(graph, list, graph.compact(scores)), shape.heads),
    strongest: edges.slice(0, drawnEdges).map(({ source, destination, score }) => ({
      source: sourceName(graph, source),
      destination: destinationName(graph, destination),
      score,
    })),
  };
}

export const circuitStage: StageKind = {
  kind: 'circuit',
  title: 'circuits: edges selected and pruned',
  revision: 1,
  instances: (study, facts) =>
    places(study).map((place) => {
      const { checkpoint } = place;
      const edges = edgeCount(facts.checkpoints.get(checkpoint.name)!.shape);
      return {
        kind: 'circuit',
        id: placeId(place),
        settings: { selection: study.selection, checkpoint: checkpoint.name },
        needs: { scores: { kind: 'attribution', id: placeId(place) } },
        weights: [],
        checkpoint: checkpoint.name,
        work: { ...littleWork, memoryBytes: 16 * edges, diskBytes: 6 * edges + 30_000 },
      };
    }),
  async run({ settings }, context) {
    const { checkpoint } = settings as { checkpoint: string };
    const { selection } = context.study;
    const { shape, scores, meta } = await readScoreFile(context.needed('scores', scoresFile));
    const circuit = buildCircuit({ shape, scores, meta }, selection);
    await writeScoreFile(join(context.folder, circuitFile), circuit);
    await writeResult(
      context.folder,
      circuitSummaryFile,
      summarize(circuit, { checkpoint, selection }),
    );
  },
};
