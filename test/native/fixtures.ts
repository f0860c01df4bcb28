// Models, pairs and answers of the reference implementations that the native tests compare with,
// and the few comparisons that they share.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readNpyFloat32 } from '../../lib/formats/index.js';
import { graphOf, type ScoreTable } from '../../lib/circuit/index.js';
import { readPairs, type TokenizedPair } from '../../lib/pairs.js';

const here = path.dirname(fileURLToPath(import.meta.url));
export const referenceFolder = path.resolve(here, '../fixtures/reference');

/** The folder with larger models; undefined where it is absent (its tests then skip). */
export const sharedFolder: string | undefined = [
  process.env['HEADSPARK_SHARED'] ?? path.resolve(here, '../../../shared'),
].find((folder) => existsSync(path.join(folder, 'models')));

export interface GoldenFolder {
  name: string;
  model: string;
  pairs: string;
}

export const goldenFolders: GoldenFolder[] = ['qwen2', 'neox'].map((name) => ({
  name,
  model: path.join(referenceFolder, name),
  pairs: path.join(referenceFolder, 'pairs.jsonl'),
}));

export const storiesFolder: GoldenFolder | undefined = sharedFolder
  ? {
      name: 'stories260K',
      model: path.join(sharedFolder, 'models/stories260K'),
      pairs: path.join(sharedFolder, 'models/stories260K/pairs.jsonl'),
    }
  : undefined;

export interface GoldenSettings {
  batch: number;
  steps: number;
  pairs: number;
  edges: number;
  baseline_logit_diff: number;
  circuits: { topn: number; edges_after_prune: number; logit_diff: number }[];
}

export const goldenFile = (folder: GoldenFolder, name: string): string =>
  path.join(folder.model, 'golden', name);

export const goldenJson = (folder: GoldenFolder, name: string): any =>
  JSON.parse(readFileSync(goldenFile(folder, name), 'utf8'));

export const goldenSettings = (folder: GoldenFolder): GoldenSettings =>
  goldenJson(folder, 'golden.json');

export const goldenArray = (folder: GoldenFolder, name: string) =>
  readNpyFloat32(goldenFile(folder, `${name}.npy`));

export const referencePairs = (limit?: number): Promise<TokenizedPair[]> =>
  readPairs(path.join(referenceFolder, 'pairs.jsonl'), limit === undefined ? {} : { limit });

/** Largest |a - b|; infinity for NaN or unequal lengths, so that a check of it fails. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let index = 0; index < a.length; index++) {
    const difference = Math.abs(a[index] - b[index]);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

export const largestMagnitude = (values: ArrayLike<number>): number =>
  largestDifference(values, new Float32Array(values.length));

/**
 * How the reference weighs the pairs of its batches (the last may be short): the mean over pairs,
 * the sum of batch means over the number of pairs, or the mean of batch means.
 */
export type BatchScale = 'none' | 'over-pairs' | 'over-batches';

/** Our per-pair scores as the reference would average them: dense [nForward, nBackward]. */
export function referenceScale(table: ScoreTable, scale: BatchScale, batch: number): Float32Array {
  if (scale === 'none') return table.scores;
  const graph = graphOf(table.shape);
  const pairScores = table.pairScores!;
  const count = pairScores.length / graph.edgeCount;
  const divisor = scale === 'over-pairs' ? count : Math.ceil(count / batch);
  const sums = new Float64Array(graph.edgeCount);
  for (let pair = 0; pair < count; pair++) {
    const size = Math.min(batch, count - Math.floor(pair / batch) * batch);
    for (let edge = 0; edge < graph.edgeCount; edge++) {
      sums[edge] += pairScores[pair * graph.edgeCount + edge] / size / divisor;
    }
  }
  return graph.expand(Float32Array.from(sums));
}

/** The same bytes: distinguishes 0 from -0 and one NaN from another. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;
}
