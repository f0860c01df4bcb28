// Values of circuits on a model, in chunks of circuits that bound memory and, with a journal, in parts of
// pairs, of which the finished ones are kept.
import { createHash } from 'node:crypto';
import { shortFloat32 } from './ablation/run.js';
import type { CallbackResult } from './callbacks.js';
import { graphOf } from './circuit/graph.js';
import type { GraphShape } from './circuit/shape.js';
import { HeadsparkError } from './errors.js';
import { Journal, readJournal, writeJournal, type JournalOptions } from './journal.js';
import type { Model } from './model.js';
import { runJob, type JobOptions, type JobProgress, type PackedPairs } from './native.js';
import { packPairs } from './packed.js';
import { inPairParts, pairSettings } from './pair-parts.js';
import type { PairMetric, TokenizedPair } from './pairs.js';

export interface CircuitRequest {
  model: Model;
  pairs: readonly TokenizedPair[];
  metric: PairMetric;
  excluded: string;
  shape: GraphShape;
  chunkBytes: number;
  journal: string | undefined;
  onRemark: JournalOptions['onRemark'];
  job: JobOptions;
}

/** The mask of a circuit; undefined: the circuit without edges. */
export type CircuitMask = Uint8Array | undefined;

/** Masks of 0 and 1, [circuits, nForward, nBackward]; what lies off the real edges stays 0. */
function packMasks(circuits: readonly CircuitMask[], shape: GraphShape): Uint8Array {
  const graph = graphOf(shape);
  const dense = graph.nForward * graph.nBackward;
  const masks = new Uint8Array(circuits.length * dense);
  circuits.forEach((inGraph, index) => {
    if (!inGraph) return;
    for (let source = 0; source < graph.nForward; source++) {
      const row = source * graph.nBackward;
      for (let edge = row + graph.firstColumn[source]; edge < row + graph.nBackward; edge++) {
        masks[index * dense + edge] = inGraph[edge] ? 1 : 0;
      }
    }
  });
  return masks;
}

export interface CircuitValues {
  clean: Float32Array;
  corrupted: Float32Array;
  /** One [pairs] array a circuit. */
  values: Float32Array[];
}

/** Pairs [begin, end) of all `pairs`. */
interface Part {
  readonly begin: number;
  readonly end: number;
  readonly pairs: number;
}

/** Progress of a chunk of circuits on a part of the pairs as that of the whole call, in circuits. */
function chunkProgress(
  onProgress: JobOptions['onProgress'],
  chunk: { begin: number; size: number; total: number },
  { begin, end, pairs }: Part,
): JobOptions['onProgress'] {
  if (!onProgress) return undefined;
  return ({ done, total, phase }: JobProgress): CallbackResult => {
    // Preparatory phases (means) have totals of their own and would make the count run backwards.
    const share = phase === 'circuits' && total > 0 ? done / total : 0;
    const ofPart = (chunk.begin + share * chunk.size) / chunk.total;
    return onProgress({
      done: Math.floor(((begin + ofPart * (end - begin)) / pairs) * chunk.total + 1e-9),
      total: chunk.total,
      phase: 'circuits',
    });
  };
}

/** Evaluates masks in chunks. */
async function valuesOf(
  request: CircuitRequest,
  circuits: readonly CircuitMask[],
  { packed, part }: { packed: PackedPairs; part: Part },
): Promise<CircuitValues> {
  const { model, metric, excluded, shape, job } = request;
  const { begin, end } = part;
  const { nForward, nBackward } = graphOf(shape);
  const bytesEach = nForward * nBackward + (end - begin) * 4;
  const perChunk = Math.max(1, Math.floor(request.chunkBytes / bytesEach));
  const values: Float32Array[] = [];
  let ends: Pick<CircuitValues, 'clean' | 'corrupted'> | undefined;
  for (let first = 0; first < circuits.length; first += perChunk) {
    const chunk = circuits.slice(first, first + perChunk);
    const place = { begin: first, size: chunk.length, total: circuits.length };
    const handle = model.handle();
    const result = await runJob(
      (addon, onProgress) => {
        const masks = packMasks(chunk, shape);
        const { kvEdges } = shape;
        const options = { pairs: packed, begin, end, metric, excluded, kvEdges, circuits: masks };
        return addon.evaluateCircuits(handle, options, onProgress);
      },
      { signal: job.signal, onProgress: chunkProgress(job.onProgress, place, part) },
    );
    ends ??= { clean: result.clean, corrupted: result.corrupted };
    const count = end - begin;
    for (let index = 0; index < chunk.length; index++) {
      values.push(result.values.slice(index * count, (index + 1) * count));
    }
  }
  return { clean: ends!.clean, corrupted: ends!.corrupted, values };
}

function masksHash(circuits: readonly CircuitMask[], shape: GraphShape): string {
  const hash = createHash('sha256');
  for (const mask of circuits) hash.update(packMasks([mask], shape));
  return hash.digest('hex');
}

/** What must be equal for stored values to be this call's. */
function journalSettings(
  { model, pairs, metric, excluded, shape }: CircuitRequest,
  circuits: readonly CircuitMask[],
): Record<string, unknown> {
  return {
    verb: 'evaluateCircuits',
    ...pairSettings(model, pairs),
    metric,
    excluded,
    kvEdges: shape.kvEdges,
    circuits: circuits.length,
    circuitsHash: masksHash(circuits, shape),
  };
}

const numbersOf = (values: Float32Array): number[] => Array.from(values, shortFloat32);

const areValues = (values: unknown, count: number): values is number[] =>
  Array.isArray(values) && values.length === count && values.every(Number.isFinite);

/** A record: rows of clean, corrupted and every circuit. */
function rowsOf(record: unknown, count: number, rows: number): number[][] | undefined {
  const fits =
    Array.isArray(record) && record.length === rows && record.every((row) => areValues(row, count));
  return fits ? record : undefined;
}

/** The pairs that a journal holds, from the first one on. */
function readParts(journal: Journal, rows: number, pairs: number): number[][] {
  const all = Array.from({ length: rows }, (): number[] => []);
  for (const [key, record] of journal.entries()) {
    const [begin, end] = key.split('-').map(Number);
    const count = end - begin;
    const whole = begin === all[0].length && count > 0 && end <= pairs;
    const found = whole ? rowsOf(record, count, rows) : undefined;
    if (!found) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_FILE_CORRUPT',
        `${journal.path}: the record "${key}" is none of these circuits; remove the journal to start over.`,
      );
    }
    found.forEach((row, index) => row.forEach((value) => all[index].push(value)));
  }
  return all;
}

async function valuesInParts(
  request: CircuitRequest,
  circuits: readonly CircuitMask[],
  place: { journal: Journal; packed: PackedPairs },
): Promise<CircuitValues> {
  const { journal, packed } = place;
  const { pairs, excluded, job } = request;
  const all = readParts(journal, 2 + circuits.length, pairs.length);
  job.onProgress?.({ done: all[0].length, total: pairs.length, phase: 'pairs' });
  // Means are of all pairs, and would be computed for every part.
  const first = excluded === 'mean' ? pairs.length : undefined;
  await inPairParts({ begin: all[0].length, pairs: pairs.length, first }, async (begin, end) => {
    const part = { begin, end, pairs: pairs.length };
    const { clean, corrupted, values } = await valuesOf(request, circuits, { packed, part });
    const record = [clean, corrupted, ...values].map(numbersOf);
    await journal.append(`${begin}-${end}`, record);
    record.forEach((row, index) => row.forEach((value) => all[index].push(value)));
  });
  const [clean, corrupted, ...values] = all.map((row) => Float32Array.from(row));
  return { clean, corrupted, values };
}

/**
 * Writes a finished journal with one record of all pairs: the same bytes, however often the run was
 * killed. A run with the same settings takes it as its own.
 */
export async function writeWholeJournal(journal: string, path: string): Promise<void> {
  const { settings, records } = await readJournal(journal);
  const all: number[][] = [];
  for (const record of records.values()) {
    (record as number[][]).forEach((row, index) => {
      all[index] = [...(all[index] ?? []), ...row];
    });
  }
  await writeJournal(path, settings, [[`0-${all[0].length}`, all]]);
}

/** The values of masks on all pairs. */
export async function circuitValues(
  request: CircuitRequest,
  circuits: readonly CircuitMask[],
): Promise<CircuitValues> {
  const packed = packPairs(request.pairs, request.metric);
  if (request.journal === undefined) {
    const { length } = request.pairs;
    const part = { begin: 0, end: length, pairs: length };
    return valuesOf(request, circuits, { packed, part });
  }
  const { journal: path, onRemark } = request;
  const settings = journalSettings(request, circuits);
  const journal = await Journal.open({ path, settings, inOrder: true, onRemark });
  try {
    return await valuesInParts(request, circuits, { journal, packed });
  } finally {
    await journal.close();
  }
}
