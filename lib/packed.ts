// How pairs, prompts and gated heads cross to the C++ core: ragged rows as one typed array and its
// offsets. The core checks offsets and lengths again.
import { HeadsparkError } from './errors.js';
import {
  checkHeads,
  factorError,
  formatHead,
  formatHeads,
  isFactor,
  uniqueHeads,
} from './head-gate.js';
import type { HeadRef, HeadShape } from './head-gate.js';
import type { PackedHeads, PackedPairs, PackedRows } from './native-types.js';
import type { PairMetric, TokenizedPair } from './pairs.js';

/** One head scaled by `factor` (0 removes it, 1 leaves it). */
export interface GatedHead extends HeadRef {
  factor: number;
}

/** A prompt, and which of its heads are gated. */
export interface PromptRow {
  prompt: Int32Array | readonly number[];
  /** Heads whose z is multiplied by `factor` (0: zero ablation) at all positions of this row. */
  heads?: readonly GatedHead[] | undefined;
}

/** Rows of token ids as one array. @throws ERR_HEADSPARK_INVALID_ARGUMENT for an id that is none. */
export function packRows(rows: readonly ArrayLike<number>[], what: string): PackedRows {
  const offsets = new Int32Array(rows.length + 1);
  let total = 0;
  rows.forEach((row, index) => {
    total += row.length;
    if (total > 0x7fffffff) {
      const message = `${what} have more than 2^31 tokens together; give them in parts.`;
      throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
    }
    offsets[index + 1] = total;
  });
  const values = new Int32Array(total);
  rows.forEach((row, index) => {
    for (let place = 0; place < row.length; place++) {
      const id = row[place];
      if (!Number.isInteger(id) || id < 0 || id > 0x7fffffff) {
        const message = `${what}: ${String(id)} (row ${index}, place ${place}) is not a token id.`;
        throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
      }
      values[offsets[index] + place] = id;
    }
  });
  return { values, offsets };
}

/** Pairs for the core. A continuation is left out when the metric does not read it. */
export function packPairs(pairs: readonly TokenizedPair[], metric: PairMetric): PackedPairs {
  const nll = metric === 'nll';
  const pack = (name: string, rows: (pair: TokenizedPair) => ArrayLike<number>): PackedRows =>
    packRows(pairs.map(rows), `the pairs' ${name} tokens`);
  return {
    clean: pack('clean', (pair) => pair.clean),
    corrupted: pack('corrupted', (pair) => pair.corrupted),
    correct: pack('correct', (pair) => (nll ? [] : pair.correct)),
    incorrect: pack('incorrect', (pair) => (nll ? [] : pair.incorrect)),
    continuation: pack('continuation', (pair) => (nll ? (pair.continuation ?? []) : [])),
  };
}

function checkGated(row: readonly GatedHead[], shape: HeadShape): void {
  checkHeads(row, shape);
  if (uniqueHeads(row).length !== row.length) {
    const message = `the head set ${formatHeads(row)} names a head twice.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  const bad = row.find(({ factor }) => !isFactor(factor));
  if (bad) throw factorError(`the factor of head ${formatHead(bad)}`, bad.factor);
}

/** Gated heads for the core, each row checked against the model. */
export function packHeads(rows: readonly (readonly GatedHead[])[], shape: HeadShape): PackedHeads {
  for (const row of rows) checkGated(row, shape);
  const flat = rows.flat();
  const offsets = new Int32Array(rows.length + 1);
  rows.forEach((row, index) => (offsets[index + 1] = offsets[index] + row.length));
  return {
    layers: Int32Array.from(flat, ({ layer }) => layer),
    heads: Int32Array.from(flat, ({ head }) => head),
    factors: Float32Array.from(flat, ({ factor }) => factor),
    offsets,
  };
}
