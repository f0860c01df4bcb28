// The thread that writes some tensors of random weights to their places in a file. A tensor's bytes
// depend on the seed and its name, so threads share nothing.
import { open } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { formats } from './formats.mjs';
import { randomFiller } from './random.mjs';

const pieceValues = 1 << 18;

const { path, tensors, seed, dtype } = workerData;
const format = formats[dtype];
const values = new Float32Array(pieceValues);
const bytes = Buffer.alloc(pieceValues * format.bytes);
const file = await open(path, 'r+');
try {
  for (const tensor of tensors) {
    const fill = randomFiller(seed, tensor.name, tensor);
    for (let at = 0; at < tensor.values; at += pieceValues) {
      const piece = values.subarray(0, Math.min(pieceValues, tensor.values - at));
      const encoded = bytes.subarray(0, piece.length * format.bytes);
      format.encode(fill(piece), encoded);
      await file.write(encoded, 0, encoded.length, tensor.begin + at * format.bytes);
      parentPort.postMessage(encoded.length);
    }
  }
} finally {
  await file.close();
}
