// Score files by extension, and the per-pair scores beside them.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCircuit, graphOf } from '../../../lib/circuit/index.js';
import { readScoreFile, writeNpy, writeScoreFile } from '../../../lib/formats/index.js';
import { randomTable, shapeOf, tableWithPairs } from '../circuit/helpers.js';

const shape = shapeOf({ layers: 2, heads: 3 });
const graph = graphOf(shape);
const plain = randomTable(shape, 1);
const table = tableWithPairs(shape, graph.compact(plain.scores), { pairs: 5, noise: 0.5, seed: 2 });

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'headspark-scores-'))));
afterAll(() => rm(folder, { recursive: true }));

describe.each(['.json', '.pt'])('%s', (extension) => {
  test('keeps scores, circuit, settings and per-pair scores', async () => {
    const path = join(folder, `all${extension}`);
    const circuit = {
      ...buildCircuit(table, { rule: 'top-n', n: 20 }),
      meta: { method: 'eap-ig', metric: 'kl' },
    };
    await writeScoreFile(path, circuit);
    const read = await readScoreFile(path);
    expect(read).toMatchObject({
      shape,
      scores: circuit.scores,
      inGraph: circuit.inGraph,
      nodesInGraph: circuit.nodesInGraph,
      meta: { ...circuit.meta, pairCount: 5, pairScoresFile: `all${extension}.pairs.npy` },
    });
    expect(read.pairScores).toEqual(table.pairScores);
  });

  test('without per-pair scores, a name from before does not stay', async () => {
    const path = join(folder, `plain${extension}`);
    await writeScoreFile(path, { ...plain, meta: { pairScoresFile: 'gone.npy' } });
    const read = await readScoreFile(path);
    expect(read.pairScores).toBeUndefined();
    expect(read.meta.pairScoresFile).toBeUndefined();
  });

  test('per-pair scores of another run, of another shape, or missing, are refused', async () => {
    const path = join(folder, `stale${extension}`);
    await writeScoreFile(path, table);
    const pairs = `${path}.pairs.npy`;
    const other = table.pairScores!.map((score) => score + 0.1);
    await writeNpy(pairs, other, [5, graph.edgeCount]);
    await expect(readScoreFile(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_SETTINGS_MISMATCH',
    });
    await writeNpy(pairs, other, [graph.edgeCount, 5]);
    await expect(readScoreFile(path)).rejects.toMatchObject({ code: 'ERR_HEADSPARK_TENSOR_SHAPE' });
    await rm(pairs);
    await expect(readScoreFile(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message: `${pairs} does not exist: it holds the per-pair scores of ${path}; copy it along.`,
    });
  });
});

test('what was measured stands in the file, and readers pass over it', async () => {
  const circuit = buildCircuit(plain, { rule: 'top-n', n: 20 });
  const measured = { model: 'm', evaluation: { faithfulness: 0.75, interval: { low: NaN } } };
  const json = join(folder, 'measured.json');
  await writeScoreFile(json, circuit, { measured });
  const { measured: held, cfg, edges } = JSON.parse(await readFile(json, 'utf8'));
  expect(held).toEqual({ model: 'm', evaluation: { faithfulness: 0.75, interval: { low: null } } });
  expect(cfg).toMatchObject({ n_layers: 2 });
  expect(Object.keys(edges)).toHaveLength(graph.edgeCount);
  const pt = join(folder, 'measured.pt');
  await writeScoreFile(pt, circuit, { measured });
  expect((await readFile(pt)).includes(JSON.stringify(measured))).toBe(true);
  for (const path of [json, pt]) {
    const read = await readScoreFile(path);
    expect(read).toMatchObject({ inGraph: circuit.inGraph, scores: circuit.scores });
    expect(read).not.toHaveProperty('measured');
    // Of another circuit it would say nothing.
    await writeScoreFile(path, buildCircuit(read, { rule: 'top-n', n: 5 }));
    expect((await readFile(path)).includes('"faithfulness"')).toBe(false);
  }
});

test('a file cannot send the reader elsewhere', async () => {
  const path = join(folder, 'escape.json');
  await writeScoreFile(path, table);
  const text = await readFile(path, 'utf8');
  for (const name of ['../secret.npy', '/etc/passwd', '..', '']) {
    await writeFile(path, text.replace('escape.json.pairs.npy', name));
    await expect(readScoreFile(path)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CIRCUIT_FORMAT',
    });
  }
});

test('.npy is dense float32 and needs the shape', async () => {
  const path = join(folder, 'dense.npy');
  await writeScoreFile(path, plain);
  expect(await readScoreFile(path, { shape })).toEqual({ shape, scores: plain.scores, meta: {} });
  await expect(readScoreFile(path)).rejects.toThrow(/give the model/);
  await expect(
    readScoreFile(path, { shape: shapeOf({ layers: 3, heads: 3 }) }),
  ).rejects.toMatchObject({ code: 'ERR_HEADSPARK_TENSOR_SHAPE' });
  const bad = plain.scores.slice();
  bad[0] = Infinity;
  await writeNpy(path, bad, [graph.nForward, graph.nBackward]);
  await expect(readScoreFile(path, { shape })).rejects.toMatchObject({
    code: 'ERR_HEADSPARK_TENSOR_VALUE',
  });
});

test('an unknown extension is an error that lists the known ones', async () => {
  await expect(readScoreFile('x.csv')).rejects.toThrow(/\.json, \.pt, \.npy/);
  await expect(writeScoreFile(join(folder, 'x'), plain)).rejects.toThrow(/\.json, \.pt, \.npy/);
});
