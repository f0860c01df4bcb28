// The reference's JSON and .pt circuits: files that torch saved, round trips, and bad files.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildCircuit, countEdges, graphOf, type Circuit } from '../../../lib/circuit/index.js';
import {
  encodeReferencePt,
  parseReferenceJson,
  parseReferencePt,
  readReferenceJson,
  readReferencePt,
  referenceJsonChunks,
} from '../../../lib/formats/index.js';
import { encodeTorchArchive } from '../../../lib/formats/torch-archive.js';
import { pickle, type Picklable } from '../../../lib/formats/pickle-writer.js';
import { randomTable, SHAPES } from '../circuit/helpers.js';

const FOLDER = 'test/fixtures/circuit';
const CIRCUIT_FORMAT = (message: RegExp): unknown =>
  expect.objectContaining({
    code: 'ERR_HEADSPARK_CIRCUIT_FORMAT',
    message: expect.stringMatching(message),
  });
const jsonOf = (table: Circuit): string => [...referenceJsonChunks(table)].join('');

describe.each([
  ['sequential', { layers: 2, heads: 3, parallelBlock: false }],
  ['parallel', { layers: 2, heads: 2, parallelBlock: true }],
  // float64 scores in a transposed view with an offset: torch allows it, so it can come.
  ['strided', { layers: 2, heads: 2, parallelBlock: false }],
])('%s, saved by torch', (name, shape) => {
  let fromPt: Circuit;
  beforeAll(async () => void (fromPt = await readReferencePt(`${FOLDER}/${name}.pt`)));
  const text = readFileSync(`${FOLDER}/${name}.json`, 'utf8');

  test('.pt and .json hold the same circuit', async () => {
    const fromJson = await readReferenceJson(`${FOLDER}/${name}.json`);
    expect(fromPt).toEqual(fromJson);
    expect(fromPt.shape).toMatchObject(shape);
    expect(fromPt.meta.hiddenSize).toBe(24);
    const raw = JSON.parse(text) as { edges: Record<string, { in_graph: boolean }> };
    const inGraph = Object.values(raw.edges).filter((edge) => edge.in_graph).length;
    expect(countEdges(fromPt)).toBe(inGraph);
    expect(inGraph).toBeGreaterThan(0);
  });

  test('what is written again is the same, in the same order', async () => {
    const again = jsonOf(fromPt);
    expect(parseReferenceJson(again, 'again')).toEqual(fromPt);
    const keys = (json: string, field: 'nodes' | 'edges'): string[] =>
      Object.keys((JSON.parse(json) as Record<typeof field, object>)[field]);
    expect(keys(again, 'edges')).toEqual(keys(text, 'edges'));
    expect(keys(again, 'nodes')).toEqual(keys(text, 'nodes'));
    const bytes = encodeReferencePt(fromPt);
    expect(await parseReferencePt(Buffer.from(bytes), 'again')).toEqual(fromPt);
    expect(encodeReferencePt(fromPt)).toEqual(bytes);
  });
});

test.each(Object.entries(SHAPES))('%s circuits go through both formats', async (_, shape) => {
  const table = randomTable(shape, 4);
  const circuit = {
    ...buildCircuit(table, { rule: 'top-n', n: 20 }),
    meta: { method: 'eap-ig', igSteps: 5, model: 'a "quoted" näme', hiddenSize: 64 },
  };
  expect(parseReferenceJson(jsonOf(circuit), 'x')).toEqual(circuit);
  expect(await parseReferencePt(Buffer.from(encodeReferencePt(circuit)), 'x')).toEqual(circuit);
});

test('scores alone are written with nothing in the graph', async () => {
  const table = randomTable(SHAPES.sequential, 5);
  const read = parseReferenceJson([...referenceJsonChunks(table)].join(''), 'x');
  expect(read.scores).toEqual(table.scores);
  expect(read.inGraph.some(Boolean) || read.nodesInGraph.some(Boolean)).toBe(false);
  expect(await parseReferencePt(Buffer.from(encodeReferencePt(table)), 'x')).toEqual(read);
  const bad = { ...table, scores: table.scores.map(() => NaN) };
  expect(() => [...referenceJsonChunks(bad)]).toThrow(/finite numbers only/);
});

describe('bad JSON', () => {
  type Document = Record<'cfg' | 'nodes' | 'edges' | 'headspark', Record<string, unknown>>;
  const text = readFileSync(`${FOLDER}/sequential.json`, 'utf8');
  const changed = (change: (document: Document) => void): string => {
    const document = JSON.parse(text) as Document;
    change(document);
    return JSON.stringify(document);
  };
  const edge = 'a0.h1->a1.h2<k>';

  test.each<[string, string, RegExp]>([
    ['not JSON', '{"cfg": ', /not valid JSON/],
    ['NaN, as Python writes it', text.replace(/"score": [-\d.]+/, '"score": NaN'), /valid JSON/],
    ['a list', '[]', /must be an object/],
    ['deep nesting', '['.repeat(1e6), /not valid JSON/],
    ['no cfg', changed((d) => delete (d as Partial<Document>).cfg), /'cfg' must be/],
    ['no edges', changed((d) => delete (d as Partial<Document>).edges), /'edges' must be/],
    ['null nodes', changed((d) => (d.nodes = null as never)), /'nodes' must be/],
    ['a missing edge', changed((d) => delete d.edges[edge]), /has \d+ edges, its cfg implies/],
    ['giant cfg', changed((d) => (d.cfg.n_layers = 1e9)), /layers must be/],
    ['wrong cfg', changed((d) => (d.cfg.n_heads = 2)), /its cfg implies/],
    ['fractional heads', changed((d) => (d.cfg.n_heads = 2.5)), /whole number/],
    ['no block kind', changed((d) => delete d.cfg.parallel_attn_mlp), /parallel_attn_mlp/],
    ['unknown kv', changed((d) => (d.cfg.kv_edges = 'some')), /kv_edges/],
    ['text score', changed((d) => (d.edges[edge] = { score: '1', in_graph: true })), /finite/],
    ['huge score', changed((d) => (d.edges[edge] = { score: 1e39, in_graph: true })), /finite/],
    ['no in_graph', changed((d) => (d.edges[edge] = { score: 1 })), /in_graph must be/],
    ['edge is a number', changed((d) => (d.edges[edge] = 3)), /must be an object/],
    [
      'unknown edge',
      changed((d) => {
        delete d.edges[edge];
        d.edges['m1->m0'] = { score: 1, in_graph: true };
      }),
      /no edge 'm1->m0'/,
    ],
    ['unknown node', changed((d) => (d.nodes['a9.h0'] = { in_graph: true })), /no node/],
    ['neurons', changed((d) => (d.nodes.m0 = { in_graph: true, neurons: [] })), /neuron-level/],
    ['nested meta', changed((d) => (d.headspark = { model: {} })), /headspark.model/],
    ['wrong meta', changed((d) => (d.headspark = { igSteps: '5' })), /igSteps must be number/],
  ])('%s', (_, document, message) => {
    expect(() => parseReferenceJson(document, 'c.json')).toThrowError(CIRCUIT_FORMAT(message));
    expect(() => parseReferenceJson(document, 'c.json')).toThrow(/^c\.json: /);
  });
});

describe('bad .pt', () => {
  const { shape } = randomTable(SHAPES.sequential, 1);
  const graph = graphOf(shape);
  const good = Buffer.from(encodeReferencePt(randomTable(shape, 1)));
  const size = [graph.nForward, graph.nBackward];
  const cells = size[0] * size[1];
  const cfg = { n_layers: 3, n_heads: 4, parallel_attn_mlp: false };

  const archiveOf = (value: { [key: string]: Picklable }): Buffer => {
    const { pickle: bytes, storages } = pickle(value);
    return Buffer.from(encodeTorchArchive(bytes, storages));
  };
  /** A file whose pickle is these bytes. */
  const pickled = (...parts: (string | number[])[]): Buffer =>
    Buffer.from(
      encodeTorchArchive(
        Buffer.concat(
          parts.map((p) => (typeof p === 'string' ? Buffer.from(p, 'latin1') : Buffer.from(p))),
        ),
        [],
      ),
    );
  const nodes = {
    src_nodes: ['input'],
    dst_nodes: ['logits'],
  };

  test.each<[string, Buffer, RegExp]>([
    ['empty', Buffer.alloc(0), /not a zip/],
    ['not a zip', Buffer.from('\x80\x02}q\x00.'), /not a zip/],
    ['cut off', good.subarray(0, good.length - 30), /not a zip|zip/],
    ['no pickle', Buffer.from(encodeTorchArchive(Buffer.alloc(0), [])), /ends in the middle/],
    ['os.system', pickled([0x80, 2], 'cos\nsystem\n(X', [2, 0, 0, 0], 'lstR.'), /'os.system'/],
    ['builtins.eval', pickled([0x80, 2], 'cbuiltins\neval\n.'), /'builtins.eval' is refused/],
    ['protocol 4', pickled([0x80, 4], '}.'), /protocol 4/],
    ['opcode BUILD', pickled([0x80, 2], '}b.'), /opcode 0x62 is refused/],
    ['opcode INST', pickled([0x80, 2], '(ios\nsystem\n.'), /opcode 0x69 is refused/],
    ['stack underflow', pickled([0x80, 2], 'R.'), /a value is missing/],
    ['lying text length', pickled([0x80, 2], 'X', [255, 255, 255, 255], 'ab.'), /in the middle/],
    ['empty memo', pickled([0x80, 2], 'h', [7], '.'), /memo 7 is empty/],
    ['mark missing', pickled([0x80, 2], '}u.'), /mark is missing/],
    ['not a dict', pickled([0x80, 2], '].'), /no 'cfg' dict/],
    ['no cfg', archiveOf({ a: 1 }), /no 'cfg' dict/],
    ['giant cfg', archiveOf({ cfg: { ...cfg, n_layers: 2 ** 30 } }), /layers must be/],
    ['neurons', archiveOf({ cfg, neurons_in_graph: 1 }), /neuron-level/],
    ['other nodes', archiveOf({ cfg, ...nodes }), /'src_nodes' does not list/],
    [
      'no tensors',
      archiveOf({
        cfg: { n_layers: 1, n_heads: 1, parallel_attn_mlp: false },
        src_nodes: ['input', 'a0.h0', 'm0'],
        dst_nodes: ['a0.h0<q>', 'a0.h0<k>', 'a0.h0<v>', 'm0', 'logits'],
      }),
      /must be a tensor/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expect(parseReferencePt(bytes, 'c.pt')).rejects.toThrowError(CIRCUIT_FORMAT(message));
  });

  const withTensors = (tensors: { [key: string]: Picklable }): Buffer => {
    const sources = Array.from({ length: graph.nForward }, (_, i) => i);
    const { src_nodes, dst_nodes } = namesOf();
    expect(sources.length).toBe(src_nodes.length);
    return archiveOf({
      cfg,
      src_nodes,
      dst_nodes,
      edges_scores: { data: new Float32Array(cells), size },
      edges_in_graph: { data: new Uint8Array(cells), size },
      nodes_in_graph: { data: new Uint8Array(graph.nForward), size: [graph.nForward] },
      ...tensors,
    });
  };
  const namesOf = () => {
    const src_nodes = ['input'];
    const dst_nodes: string[] = [];
    for (let layer = 0; layer < 3; layer++) {
      for (let head = 0; head < 4; head++) src_nodes.push(`a${layer}.h${head}`);
      src_nodes.push(`m${layer}`);
      for (const letter of 'qkv') {
        for (let head = 0; head < 4; head++) dst_nodes.push(`a${layer}.h${head}<${letter}>`);
      }
      dst_nodes.push(`m${layer}`);
    }
    return { src_nodes, dst_nodes: [...dst_nodes, 'logits'] };
  };

  test('the untouched version of these files is read', async () => {
    const read = await parseReferencePt(withTensors({}), 'c.pt');
    expect(read.scores.length).toBe(cells);
  });

  test.each<[string, { [key: string]: Picklable }, RegExp]>([
    ['wrong shape', { edges_scores: { data: new Float32Array(6), size: [2, 3] } }, /has shape/],
    ['short data', { edges_scores: { data: new Float32Array(6), size } }, /outside its data/],
    ['NaN', { edges_scores: { data: new Float32Array(cells).fill(NaN), size } }, /not a finite/],
    ['bad meta', { headspark: '{' }, /not valid JSON/],
    ['a number for a tensor', { nodes_in_graph: 3 }, /must be a tensor/],
  ])('%s', async (_, tensors, message) => {
    await expect(parseReferencePt(withTensors(tensors), 'c.pt')).rejects.toThrowError(
      CIRCUIT_FORMAT(message),
    );
  });

  test('values off the real edges are dropped', async () => {
    const dirty = new Float32Array(cells).fill(3);
    const read = await parseReferencePt(
      withTensors({
        edges_scores: { data: dirty, size },
        edges_in_graph: { data: new Uint8Array(cells).fill(1), size },
      }),
      'c.pt',
    );
    expect(countEdges(read)).toBe(graph.edgeCount);
    expect(read.inGraph).toEqual(graph.realEdgeMask());
    expect(read.scores.filter((score) => score === 3).length).toBe(graph.edgeCount);
  });

  test('a module that torch saved is refused by name', async () => {
    await expect(readReferencePt(`${FOLDER}/with-module.pt`)).rejects.toThrowError(
      CIRCUIT_FORMAT(/'torch.nn.modules.linear.Linear' is refused/),
    );
  });
});
