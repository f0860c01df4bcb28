// Score and circuit files by extension: .json and .pt in the reference's formats, .npy dense
// [n_forward, n_backward]. Per-pair scores lie beside them in `<file>.pairs.npy`.

import { basename, dirname, extname, join } from 'node:path';
import { checkTable, checkText } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import type { Circuit } from '../circuit/circuit.js';
import { graphOf } from '../circuit/graph.js';
import { checkScoreTable, pairCountOf, type ScoreTable } from '../circuit/score-table.js';
import { describeShape, type GraphShape } from '../circuit/shape.js';
import { systemCode } from '../file-errors.js';
import { checkOptionNames } from '../option-checks.js';
import { readNpyFloat32, writeNpy } from './npy.js';
import { readReferenceJson, writeReferenceJson } from './reference-json.js';
import { readReferencePt, writeReferencePt } from './reference-pt.js';

export const SCORE_EXTENSIONS = ['.json', '.pt', '.npy'] as const;

function unknownExtension(path: string): HeadsparkError {
  return new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${path}: the extension decides the format; use one of ${SCORE_EXTENSIONS.join(', ')}`,
  );
}

/** What was read: a score table, and the circuit where the file holds one (.json, .pt). */
export type ScoreFile = ScoreTable & Partial<Pick<Circuit, 'inGraph' | 'nodesInGraph'>>;

async function readDense(path: string, shape?: GraphShape): Promise<ScoreFile> {
  if (!shape) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${path}: a .npy file does not say which model it belongs to; give the model`,
    );
  }
  const graph = graphOf(shape);
  const { shape: size, data } = await readNpyFloat32(path);
  if (size.length !== 2 || size[0] !== graph.nForward || size[1] !== graph.nBackward) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `${path} has shape [${size.join()}], a graph of ${describeShape(shape)} has ` +
        `[${graph.nForward},${graph.nBackward}]`,
    );
  }
  return { shape, scores: graph.expand(graph.compact(data)), meta: {} };
}

/** The mean over pairs must be the score; a stale file beside a new one fails here. */
function checkPairScores(table: ScoreTable, path: string): void {
  const graph = graphOf(table.shape);
  const pairs = pairCountOf(table);
  const scores = graph.compact(table.scores);
  const largest = scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
  for (let edge = 0; edge < graph.edgeCount; edge++) {
    let sum = 0;
    for (let pair = 0; pair < pairs; pair++) {
      sum += table.pairScores![pair * graph.edgeCount + edge];
    }
    if (!(Math.abs(sum / pairs - scores[edge]) <= 1e-3 * largest)) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_SETTINGS_MISMATCH',
        `${path}: its mean over pairs is not the score of the file it belongs to; ` +
          `run the attribution again`,
      );
    }
  }
}

async function withPairScores(table: ScoreFile, path: string): Promise<ScoreFile> {
  const file = table.meta.pairScoresFile;
  if (file === undefined) return table;
  // Only a bare name: a score file must not point anywhere else on the disk.
  if (file !== basename(file) || !file.endsWith('.npy')) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_CIRCUIT_FORMAT',
      `${path}: pairScoresFile must name a .npy file in the same folder`,
    );
  }
  const pairPath = join(dirname(path), file);
  const { shape: size, data } = await readNpyFloat32(pairPath).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_NOT_FOUND',
      `${pairPath} does not exist: it holds the per-pair scores of ${path}; copy it along.`,
      { cause: error },
    );
  });
  const { edgeCount } = graphOf(table.shape);
  if (size.length !== 2 || size[1] !== edgeCount || size[0] === 0) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `${pairPath} has shape [${size.join()}], expected [pairs,${edgeCount}]`,
    );
  }
  const complete = { ...table, pairScores: data };
  checkPairScores(complete, pairPath);
  return complete;
}

export interface ReadScoreFileOptions {
  /** The model's graph; needed for .npy, ignored for the others. */
  readonly shape?: GraphShape;
}

/**
 * Reads scores (and the circuit, if the file has one) with per-pair scores where the file names
 * them. Throws ERR_HEADSPARK_FILE_NOT_FOUND, _FILE_CORRUPT, _CIRCUIT_FORMAT, _TENSOR_SHAPE,
 * _TENSOR_VALUE, _SETTINGS_MISMATCH.
 */
export async function readScoreFile(
  path: string,
  options: ReadScoreFileOptions = {},
): Promise<ScoreFile> {
  checkText('readScoreFile', 'a path', path);
  checkOptionNames('readScoreFile', options, ['shape']);
  const table = await readByExtension(path, options.shape);
  checkScoreTable(table, path);
  return withPairScores(table, path);
}

function readByExtension(path: string, shape?: GraphShape): Promise<ScoreFile> {
  switch (extname(path)) {
    case '.json':
      return readReferenceJson(path);
    case '.pt':
      return readReferencePt(path);
    case '.npy':
      return readDense(path, shape);
    default:
      throw unknownExtension(path);
  }
}

/** What `writeScoreFile` writes beside scores and circuit. */
export interface WriteScoreFileOptions {
  /**
   * What was measured of the circuit, any plain JSON: under `measured` of a .json, as JSON text in a
   * .pt. For people and other programs; `readScoreFile` leaves it out.
   */
  readonly measured?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Writes scores or a circuit; per-pair scores go to `<file>.pairs.npy` first, so that a file
 * that names them never exists without them. A .npy holds the dense scores alone.
 */
export async function writeScoreFile(
  path: string,
  table: ScoreFile,
  options: WriteScoreFileOptions = {},
): Promise<void> {
  checkText('writeScoreFile', 'a path', path);
  checkOptionNames('writeScoreFile', options, ['measured']);
  checkTable('writeScoreFile', table);
  checkScoreTable(table, path);
  const graph = graphOf(table.shape);
  const extension = extname(path);
  if (extension === '.npy') {
    await writeNpy(path, table.scores, [graph.nForward, graph.nBackward]);
    return;
  }
  const write = { '.json': writeReferenceJson, '.pt': writeReferencePt }[extension];
  if (!write) throw unknownExtension(path);
  // Without pair scores here, a name left over from where the table was read must not stay.
  let meta: ScoreTable['meta'] = { ...table.meta, pairScoresFile: undefined };
  if (table.pairScores) {
    const pairCount = pairCountOf(table);
    meta = { ...meta, pairCount, pairScoresFile: `${basename(path)}.pairs.npy` };
    await writeNpy(`${path}.pairs.npy`, table.pairScores, [pairCount, graph.edgeCount]);
  }
  await write(path, { ...table, meta }, options.measured);
}
