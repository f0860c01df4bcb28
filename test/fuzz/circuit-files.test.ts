// Fuzzer of everything that reads a circuit file: .pt (zip and pickle), JSON, .npy. Whatever comes
// in, only a HeadsparkError may come out, and what is accepted must be a sound circuit.
// 3 s per format by default; FUZZ_SECONDS=60 FUZZ_SEED=7 npx vitest run test/fuzz for more.

import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkScoreTable, graphOf, type Circuit } from '../../lib/circuit/index.js';
import { HeadsparkError } from '../../lib/errors.js';
import {
  decodeNpy,
  encodeNpy,
  encodeReferencePt,
  parseReferenceJson,
  parseReferencePt,
} from '../../lib/formats/index.js';
import { unpickle } from '../../lib/formats/pickle-reader.js';
import { encodeTorchArchive, readTorchArchive } from '../../lib/formats/torch-archive.js';
import { Random } from '../../lib/stats/index.js';

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 3);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
/** No small file may keep the reader busy for longer. */
const SLOWEST_MS = 5000;
const FOLDER = 'test/fixtures/circuit';
const NASTY_BYTES = [0, 1, 0x28, 0x2e, 0x51, 0x52, 0x63, 0x74, 0x7d, 0x7f, 0x80, 0x8a, 0xfe, 0xff];

/** Replaces, removes, repeats or swaps a few bytes. */
function mutateBytes(random: Random, original: Buffer): Buffer {
  let bytes = Buffer.from(original);
  const rounds = 1 + random.below(4);
  for (let round = 0; round < rounds; round++) {
    if (bytes.length === 0) return bytes;
    const at = random.below(bytes.length);
    const length = random.below(Math.min(64, bytes.length - at)) + 1;
    const part = bytes.subarray(at, at + length);
    switch (random.below(7)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = NASTY_BYTES[random.below(NASTY_BYTES.length)]!;
        break;
      case 2:
        bytes[at] ^= 1 << random.below(8);
        break;
      case 3:
        bytes = bytes.subarray(0, at);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at + length), part, bytes.subarray(at + length)]);
        break;
      default:
        part.fill(random.below(2) ? 0xff : 0);
    }
  }
  return bytes;
}

const NASTY_VALUES: unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  '',
  'a0.h0',
  '__proto__',
  [],
  {},
  [[]],
  { score: 1 },
];

/** Changes, removes, adds or renames one field somewhere in a JSON document. */
function mutateDocument(random: Random, node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  const record = node as Record<string, unknown>;
  const keys = Object.keys(record);
  const key = keys[random.below(Math.max(1, keys.length))];
  if (key === undefined) return;
  const nasty = NASTY_VALUES[random.below(NASTY_VALUES.length)];
  switch (random.below(6)) {
    case 0:
      record[key] = nasty;
      break;
    case 1:
      delete record[key];
      break;
    case 2:
      record[`${key}${random.below(10)}`] = record[key];
      break;
    default:
      mutateDocument(random, record[key]);
  }
}

function checkCircuit(circuit: Circuit): void {
  const graph = graphOf(circuit.shape);
  checkScoreTable(circuit, 'accepted');
  expect(circuit.inGraph.length).toBe(circuit.scores.length);
  expect(circuit.nodesInGraph.length).toBe(graph.nForward);
  expect(Math.max(...circuit.nodesInGraph)).toBeLessThanOrEqual(1);
}

interface Target {
  readonly name: string;
  readonly next: (random: Random) => Buffer;
  readonly read: (bytes: Buffer) => unknown;
}

/** Feeds mutated files until the time is over; a finding is saved and named. */
async function fuzz({ name, next, read }: Target): Promise<{ accepted: number; refused: number }> {
  const counts = { accepted: 0, refused: 0 };
  const end = performance.now() + SECONDS * 1000;
  for (let round = 0; performance.now() < end; round++) {
    const bytes = next(new Random(SEED, round));
    const start = performance.now();
    try {
      await read(bytes);
      counts.accepted++;
    } catch (error) {
      if (!(error instanceof HeadsparkError)) {
        const path = join(tmpdir(), `headspark-fuzz-${name}-${SEED}-${round}.bin`);
        writeFileSync(path, bytes);
        throw new Error(`${name}, seed ${SEED}, round ${round}: see ${path}`, { cause: error });
      }
      counts.refused++;
    }
    expect(performance.now() - start, `${name}, round ${round} was slow`).toBeLessThan(SLOWEST_MS);
  }
  return counts;
}

const ptFiles = ['sequential.pt', 'parallel.pt', 'strided.pt', 'with-module.pt'].map((file) =>
  readFileSync(join(FOLDER, file)),
);
const jsonFiles = ['sequential.json', 'parallel.json'].map((file) =>
  readFileSync(join(FOLDER, file)),
);
const own = Buffer.from(
  encodeReferencePt({
    ...parseReferenceJson(jsonFiles[0].toString(), 'own'),
    meta: { method: 'eap-ig', igSteps: 5 },
  }),
);

/** A torch archive whose zip is sound and whose pickle is mutated: reaches the unpickler. */
async function mutatedPickles(): Promise<(random: Random) => Buffer> {
  const archives = await Promise.all([...ptFiles, own].map((file) => readTorchArchive(file, 'x')));
  return (random) => {
    const archive = archives[random.below(archives.length)];
    const storages = [0, 1, 2]
      .map((index) => archive.get(`data/${index}`))
      .filter((storage) => storage !== undefined);
    return Buffer.from(encodeTorchArchive(mutateBytes(random, archive.get('data.pkl')!), storages));
  };
}

describe('only HeadsparkErrors come out', { timeout: (SECONDS + 60) * 1000 }, () => {
  test('.pt, the whole file mutated', async () => {
    const counts = await fuzz({
      name: 'pt',
      next: (random) => mutateBytes(random, [...ptFiles, own][random.below(5)]),
      read: async (bytes) => checkCircuit(await parseReferencePt(bytes, 'f.pt')),
    });
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted).toBeGreaterThan(0);
  });

  test('.pt, the pickle mutated inside a sound zip', async () => {
    const counts = await fuzz({
      name: 'pickle',
      next: await mutatedPickles(),
      read: async (bytes) => checkCircuit(await parseReferencePt(bytes, 'f.pt')),
    });
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted).toBeGreaterThan(0);
  });

  test('random opcodes', async () => {
    const opcodes = Buffer.from('(}])N\x88\x89KMJGX\x8att\x85\x86\x87qhsuaecQR.', 'latin1');
    const counts = await fuzz({
      name: 'opcodes',
      next: (random) =>
        Buffer.from(Array.from({ length: 40 }, () => opcodes[random.below(opcodes.length)])),
      read: (bytes) => unpickle(bytes, 'f.pt'),
    });
    expect(counts.refused).toBeGreaterThan(0);
  });

  test('JSON, bytes mutated', async () => {
    const counts = await fuzz({
      name: 'json-bytes',
      next: (random) => mutateBytes(random, jsonFiles[random.below(2)]),
      read: (bytes) => checkCircuit(parseReferenceJson(bytes.toString('utf8'), 'f.json')),
    });
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted).toBeGreaterThan(0);
  });

  test('JSON, fields mutated', async () => {
    const counts = await fuzz({
      name: 'json-fields',
      next: (random) => {
        const document: unknown = JSON.parse(jsonFiles[random.below(2)].toString());
        for (let n = random.below(3); n >= 0; n--) mutateDocument(random, document);
        return Buffer.from(JSON.stringify(document));
      },
      read: (bytes) => checkCircuit(parseReferenceJson(bytes.toString('utf8'), 'f.json')),
    });
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted).toBeGreaterThan(0);
  });

  test('.npy', async () => {
    const good = Buffer.concat(encodeNpy(new Float32Array(20), [4, 5]));
    const counts = await fuzz({
      name: 'npy',
      next: (random) => mutateBytes(random, good),
      read: (bytes) => {
        const { shape, data } = decodeNpy(bytes, 'f.npy');
        expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
      },
    });
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted).toBeGreaterThan(0);
  });
});
