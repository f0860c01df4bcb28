// Circuits as hannamw/EAP-IG writes them with torch (Graph.to_pt, Graph.from_pt): a torch.save of
// {cfg, src_nodes, dst_nodes, edges_scores, edges_in_graph, nodes_in_graph}.

import { writeFileAtomic } from '../atomic-file.js';
import type { Circuit } from '../circuit/circuit.js';
import { graphOf, type CircuitGraph } from '../circuit/graph.js';
import { destinationNames, sourceNames } from '../circuit/names.js';
import type { ScoreMeta, ScoreTable } from '../circuit/score-table.js';
import { readFileBytes } from './file.js';
import { PickledTensor, unpickle, type PickleValue } from './pickle-reader.js';
import { pickle } from './pickle-writer.js';
import {
  configOf,
  formatError,
  MEASURED_KEY,
  META_KEY,
  parseMeta,
  shapeOfConfig,
} from './reference-config.js';
import { encodeTorchArchive, readTorchArchive } from './torch-archive.js';

const MAX_FILE_BYTES = 2 ** 32;
const ITEM_BYTES: Record<string, number> = { FloatStorage: 4, DoubleStorage: 8, BoolStorage: 1 };

type Archive = ReadonlyMap<string, Buffer>;
type Dict = Map<PickleValue, PickleValue>;

/** Where a named tensor of the file comes from. */
interface TensorSource {
  readonly dict: Dict;
  readonly archive: Archive;
  readonly file: string;
}

/** Row-major values of a tensor whose size must be `size`; bools become 0 and 1. */
function tensorValues(source: TensorSource, key: string, size: readonly number[]): Float64Array {
  const { dict, archive, file } = source;
  const tensor = dict.get(key);
  if (!(tensor instanceof PickledTensor)) throw formatError(file, `'${key}' must be a tensor`);
  if (tensor.size.join() !== size.join()) {
    throw formatError(
      file,
      `'${key}' has shape [${tensor.size.join()}], cfg implies [${size.join()}]`,
    );
  }
  const bytes = archive.get(`data/${tensor.storage.key}`);
  const itemBytes = ITEM_BYTES[tensor.storage.type];
  const [rows, columns] = size.length === 2 ? [size[0], size[1]] : [1, size[0]];
  const [rowStride, columnStride] =
    size.length === 2 ? [tensor.stride[0], tensor.stride[1]] : [0, tensor.stride[0]];
  const last = tensor.offset + (rows - 1) * rowStride + (columns - 1) * columnStride;
  // The second bound stops an expanded tensor (stride 0) from claiming more than the file holds.
  const needed = Math.max(last + 1, rows * columns);
  if (!bytes || needed > tensor.storage.elements || bytes.length < needed * itemBytes) {
    throw formatError(file, `'${key}' lies outside its data; the file is cut off or lies`);
  }
  const read = itemReader(bytes, tensor.storage.type);
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const start = tensor.offset + row * rowStride;
    for (let column = 0; column < columns; column++) {
      values[row * columns + column] = read(start + column * columnStride);
    }
  }
  return values;
}

function itemReader(bytes: Buffer, type: string): (index: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === 'FloatStorage') return (index) => view.getFloat32(index * 4, true);
  if (type === 'DoubleStorage') return (index) => view.getFloat64(index * 8, true);
  return (index) => (view.getUint8(index) ? 1 : 0);
}

function checkNames(source: TensorSource, key: string, expected: readonly string[]): void {
  const names = source.dict.get(key);
  const wrong = Array.isArray(names)
    ? expected.findIndex((name, index) => names[index] !== name)
    : 0;
  if (!Array.isArray(names) || names.length !== expected.length || wrong >= 0) {
    throw formatError(source.file, `'${key}' does not list the nodes that cfg implies, in order`);
  }
}

/** Zeroes what lies off the real edges (the reference may leave values there). */
function onRealEdges<T extends Float32Array | Uint8Array>(graph: CircuitGraph, dense: T): T {
  for (let source = 0; source < graph.nForward; source++) {
    const row = source * graph.nBackward;
    dense.fill(0, row, row + graph.firstColumn[source]);
  }
  return dense;
}

function scoresOf(source: TensorSource, graph: CircuitGraph): Float32Array {
  const size = [graph.nForward, graph.nBackward];
  const scores = onRealEdges(graph, Float32Array.from(tensorValues(source, 'edges_scores', size)));
  if (!scores.every(Number.isFinite)) {
    throw formatError(source.file, "'edges_scores' has a value that is not a finite float32");
  }
  return scores;
}

function metaOf(source: TensorSource, hiddenSize: number | undefined): ScoreMeta {
  const text = source.dict.get(META_KEY);
  let value: unknown;
  try {
    value = typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch (error) {
    throw formatError(source.file, `'${META_KEY}' is not valid JSON`, error);
  }
  const meta = parseMeta(value, source.file);
  return hiddenSize === undefined ? meta : { ...meta, hiddenSize };
}

/** Parses a .pt circuit. `file` is only used in messages. Throws ERR_HEADSPARK_CIRCUIT_FORMAT. */
export async function parseReferencePt(bytes: Buffer, file: string): Promise<Circuit> {
  const archive = await readTorchArchive(bytes, file);
  const pickled = archive.get('data.pkl');
  if (!pickled) throw formatError(file, 'has no data.pkl; it was not written by torch.save');
  const order = archive.get('byteorder')?.toString('latin1') ?? 'little';
  if (order !== 'little') throw formatError(file, `byte order '${order.slice(0, 20)}' is not read`);
  const dict = unpickle(pickled, file);
  const config = dict instanceof Map ? dict.get('cfg') : undefined;
  if (!(dict instanceof Map) || !(config instanceof Map)) {
    throw formatError(file, "has no 'cfg' dict; it is not a circuit of Graph.to_pt");
  }
  if (dict.has('neurons_in_graph')) {
    throw formatError(file, 'is a neuron-level circuit; only edge-level circuits are read');
  }
  const source: TensorSource = { dict, archive, file };
  const { shape, hiddenSize } = shapeOfConfig((key) => config.get(key), file);
  const graph = graphOf(shape);
  checkNames(source, 'src_nodes', sourceNames(graph));
  checkNames(source, 'dst_nodes', destinationNames(graph));
  const inGraph = tensorValues(source, 'edges_in_graph', [graph.nForward, graph.nBackward]);
  return {
    shape,
    scores: scoresOf(source, graph),
    inGraph: onRealEdges(
      graph,
      Uint8Array.from(inGraph, (value) => (value ? 1 : 0)),
    ),
    nodesInGraph: Uint8Array.from(
      tensorValues(source, 'nodes_in_graph', [graph.nForward]),
      (value) => (value ? 1 : 0),
    ),
    meta: metaOf(source, hiddenSize),
  };
}

/** Reads a .pt circuit. Errors: see parseReferencePt and readFileBytes. */
export async function readReferencePt(path: string): Promise<Circuit> {
  return parseReferencePt(await readFileBytes(path, MAX_FILE_BYTES), path);
}

/**
 * The bytes of a .pt circuit, or of scores alone (nothing in the circuit). `measured` stands under a
 * key of its own as JSON text, which readers pass over.
 */
export function encodeReferencePt(
  table: ScoreTable & Partial<Circuit>,
  measured?: Readonly<Record<string, unknown>>,
): Uint8Array {
  const graph = graphOf(table.shape);
  const size = [graph.nForward, graph.nBackward];
  const { pickle: bytes, storages } = pickle({
    cfg: configOf(table.shape, table.meta),
    src_nodes: sourceNames(graph),
    dst_nodes: destinationNames(graph),
    edges_scores: { data: table.scores, size },
    edges_in_graph: { data: table.inGraph ?? new Uint8Array(table.scores.length), size },
    nodes_in_graph: {
      data: table.nodesInGraph ?? new Uint8Array(graph.nForward),
      size: [graph.nForward],
    },
    [META_KEY]: JSON.stringify(table.meta),
    ...(measured ? { [MEASURED_KEY]: JSON.stringify(measured) } : {}),
  });
  return encodeTorchArchive(bytes, storages);
}

/** Writes a circuit, or scores alone, as .pt; `measured` as in encodeReferencePt. */
export async function writeReferencePt(
  path: string,
  table: ScoreTable & Partial<Circuit>,
  measured?: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeFileAtomic(path, [encodeReferencePt(table, measured)]);
}
