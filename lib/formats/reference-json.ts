// Circuits as hannamw/EAP-IG writes them in JSON (Graph.to_json, Graph.from_json): cfg, nodes with
// `in_graph`, edges with `score` and `in_graph`. Written in the reference's own edge order.

import { constants } from 'node:buffer';
import { writeFileAtomic } from '../atomic-file.js';
import { HeadsparkError } from '../errors.js';
import type { Circuit } from '../circuit/circuit.js';
import { CircuitGraph, graphOf } from '../circuit/graph.js';
import { destinationNames, parseEdge, parseSource, sourceNames } from '../circuit/names.js';
import type { ScoreTable } from '../circuit/score-table.js';
import { readFileBytes } from './file.js';
import {
  configOf,
  formatError,
  MEASURED_KEY,
  META_KEY,
  parseMeta,
  shapeOfConfig,
} from './reference-config.js';

type JsonObject = Record<string, unknown>;

function objectField(parent: JsonObject, key: string, file: string): JsonObject {
  const value = Object.hasOwn(parent, key) ? parent[key] : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw formatError(file, `'${key}' must be an object`);
  }
  return value as JsonObject;
}

function parseObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw formatError(file, `is not valid JSON (${(error as Error).message.slice(0, 120)})`, error);
  }
  return objectField({ top: value }, 'top', file);
}

function flag(entry: JsonObject, where: string, file: string): number {
  if (typeof entry.in_graph !== 'boolean') {
    throw formatError(file, `${where}: in_graph must be true or false`);
  }
  return entry.in_graph ? 1 : 0;
}

function readEdges(graph: CircuitGraph, edges: JsonObject, file: string) {
  const names = Object.keys(edges);
  if (names.length !== graph.edgeCount) {
    throw formatError(file, `has ${names.length} edges, its cfg implies ${graph.edgeCount}`);
  }
  const scores = new Float32Array(graph.nForward * graph.nBackward);
  const inGraph = new Uint8Array(scores.length);
  for (const name of names) {
    let ends: { source: number; destination: number };
    try {
      ends = parseEdge(graph, name);
    } catch (error) {
      throw formatError(file, (error as Error).message, error);
    }
    const entry = objectField(edges, name, file);
    const place = ends.source * graph.nBackward + ends.destination;
    const score = typeof entry.score === 'number' ? Math.fround(entry.score) : NaN;
    if (!Number.isFinite(score)) {
      throw formatError(file, `edge ${name}: score must be a finite number`);
    }
    scores[place] = score;
    inGraph[place] = flag(entry, `edge ${name}`, file);
  }
  return { scores, inGraph };
}

function readNodes(graph: CircuitGraph, nodes: JsonObject, file: string): Uint8Array {
  const nodesInGraph = new Uint8Array(graph.nForward);
  for (const name of Object.keys(nodes)) {
    const entry = objectField(nodes, name, file);
    if ('neurons' in entry || 'neurons_scores' in entry) {
      throw formatError(file, 'is a neuron-level circuit; only edge-level circuits are read');
    }
    if (name === 'logits') continue;
    const source = parseSource(graph, name);
    if (source < 0) throw formatError(file, `no node '${name.slice(0, 60)}' in this graph`);
    nodesInGraph[source] = flag(entry, `node ${name}`, file);
  }
  return nodesInGraph;
}

/**
 * Parses a circuit in the reference's JSON. `file` is only used in messages.
 * Throws ERR_HEADSPARK_CIRCUIT_FORMAT.
 */
export function parseReferenceJson(text: string, file: string): Circuit {
  const top = parseObject(text, file);
  const config = objectField(top, 'cfg', file);
  const { shape, hiddenSize } = shapeOfConfig((key) => config[key], file);
  const nodes = objectField(top, 'nodes', file);
  const edges = objectField(top, 'edges', file);
  const graph = graphOf(shape);
  const meta = parseMeta(top[META_KEY], file);
  return {
    shape,
    ...readEdges(graph, edges, file),
    nodesInGraph: readNodes(graph, nodes, file),
    meta: hiddenSize === undefined ? meta : { ...meta, hiddenSize },
  };
}

/** Reads a JSON circuit. Errors: see parseReferenceJson and readFileBytes. */
export async function readReferenceJson(path: string): Promise<Circuit> {
  const bytes = await readFileBytes(path, constants.MAX_STRING_LENGTH);
  return parseReferenceJson(bytes.toString('utf8'), path);
}

/** Node names in the reference's order: input, then per layer the heads and the MLP, logits. */
function nodeLines(graph: CircuitGraph, nodesInGraph?: Uint8Array): string {
  const lines = sourceNames(graph).map((name, source) => {
    return `"${name}": {"in_graph": ${nodesInGraph?.[source] ? 'true' : 'false'}}`;
  });
  return [...lines, '"logits": {"in_graph": true}'].join(', ');
}

/** (source, destination) pairs in the order in which the reference builds its edges. */
function* referenceOrder(graph: CircuitGraph): Generator<[number, number]> {
  const { layers, heads, parallelBlock, kvEdges } = graph.shape;
  const mlpWithHeads = parallelBlock;
  const attention = graph.columnsPerLayer - 1;
  // Per query head the reference goes head by head (q, k, v); grouped has only the column order.
  const column = (slot: number): number =>
    kvEdges === 'grouped' ? slot : (slot % 3) * heads + Math.floor(slot / 3);
  for (let layer = 0; layer < layers; layer++) {
    const start = layer * graph.columnsPerLayer;
    const mlp = graph.mlpDestination(layer);
    const sources = graph.headSource(layer, 0);
    for (let source = 0; source < sources; source++) {
      for (let slot = 0; slot < attention; slot++) yield [source, start + column(slot)];
      if (mlpWithHeads) yield [source, mlp];
    }
    for (let source = 0; !mlpWithHeads && source < sources + heads; source++) yield [source, mlp];
  }
  for (let source = 0; source < graph.nForward; source++) yield [source, graph.logitsDestination];
}

const CHUNK_CHARACTERS = 1 << 16;

/**
 * The reference's JSON of a circuit, or of scores alone (every in_graph false), in chunks. `measured`
 * stands under a key of its own, which readers pass over.
 */
export function* referenceJsonChunks(
  table: ScoreTable & Partial<Circuit>,
  measured?: Readonly<Record<string, unknown>>,
): Generator<string> {
  const graph = graphOf(table.shape);
  const sources = sourceNames(graph);
  const destinations = destinationNames(graph);
  yield `{"cfg": ${JSON.stringify(configOf(table.shape, table.meta))}, `;
  yield `"${META_KEY}": ${JSON.stringify(table.meta)}, `;
  if (measured) yield `"${MEASURED_KEY}": ${JSON.stringify(measured)}, `;
  yield `"nodes": {${nodeLines(graph, table.nodesInGraph)}}, "edges": {`;
  let chunk = '';
  let separator = '';
  for (const [source, destination] of referenceOrder(graph)) {
    const place = source * graph.nBackward + destination;
    const score = table.scores[place];
    if (!Number.isFinite(score)) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_TENSOR_VALUE',
        `the score of ${sources[source]}->${destinations[destination]} is ${score}; ` +
          `JSON holds finite numbers only`,
      );
    }
    chunk +=
      `${separator}"${sources[source]}->${destinations[destination]}": ` +
      `{"score": ${score}, "in_graph": ${table.inGraph?.[place] ? 'true' : 'false'}}`;
    separator = ', ';
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  yield `${chunk}}}\n`;
}

/** Writes a circuit, or scores alone, in the reference's JSON; `measured` as in referenceJsonChunks. */
export async function writeReferenceJson(
  path: string,
  table: ScoreTable & Partial<Circuit>,
  measured?: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeFileAtomic(path, referenceJsonChunks(table, measured));
}
