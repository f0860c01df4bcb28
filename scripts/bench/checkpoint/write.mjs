// Writes a checkpoint folder of random weights: config.json and one model.safetensors, streamed in
// small pieces so that no shape needs memory. The file appears under its name only when it is whole.
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../user-error.mjs';
import { randomFiller, toBf16, toF32 } from './random.mjs';
import { DTYPES, makeConfig } from './shapes.mjs';
import { listTensors } from './tensors.mjs';

const pieceValues = 1 << 18;
const formats = {
  bf16: { name: 'BF16', bytes: 2, encode: toBf16 },
  f32: { name: 'F32', bytes: 4, encode: toF32 },
};

const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** The header (length, JSON, spaces up to a multiple of 8), and the bytes of data behind it. */
export function safetensorsHeader(tensors, format) {
  const entries = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const { name, shape } of tensors) {
    const begin = end;
    end += count(shape) * format.bytes;
    entries[name] = { dtype: format.name, shape, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(entries));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return { header: Buffer.concat([length, padded]), dataBytes: end };
}

async function writeTensors(file, tensors, { seed, format, onProgress }) {
  const { header, dataBytes } = safetensorsHeader(tensors, format);
  await file.write(header);
  const values = new Float32Array(pieceValues);
  const bytes = Buffer.alloc(pieceValues * format.bytes);
  let written = 0;
  for (const tensor of tensors) {
    const fill = randomFiller(seed, tensor.name, tensor);
    const total = count(tensor.shape);
    for (let at = 0; at < total; at += pieceValues) {
      const piece = values.subarray(0, Math.min(pieceValues, total - at));
      const encoded = bytes.subarray(0, piece.length * format.bytes);
      format.encode(fill(piece), encoded);
      await file.writev([encoded]);
      written += encoded.length;
      onProgress(written, dataBytes);
    }
  }
}

/**
 * Writes `folder`/config.json and model.safetensors.
 * @param shape  from resolveShape
 * @param options  dtype `bf16` or `f32`; seed; onProgress(bytes written, bytes in all)
 * @throws UserError when the dtype or seed is none or the folder holds a checkpoint or cannot be written.
 */
export async function writeCheckpoint(folder, shape, options) {
  const { dtype = 'bf16', seed = 0, onProgress = () => {} } = options;
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new UserError(
      `--dtype ${dtype} is unknown; these are: ${Object.keys(DTYPES).join(', ')}.`,
    );
  }
  if (!Number.isSafeInteger(seed)) throw new UserError('--seed must be a whole number.');
  const target = path.join(folder, 'model.safetensors');
  if (existsSync(target)) {
    throw new UserError(`${target} exists already; name another folder or remove it first.`);
  }
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const message = `The folder ${folder} cannot be made (${error.message}); name another one.`;
    throw new UserError(message, 'ERR_HEADSPARK_FILE_NOT_FOUND');
  }
  const temporary = path.join(folder, `.model.safetensors.${process.pid}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeTensors(file, listTensors(shape), { seed, format: formats[dtype], onProgress });
    } finally {
      await file.close();
    }
    const config = `${JSON.stringify(makeConfig(shape, dtype), null, 2)}\n`;
    await writeFile(path.join(folder, 'config.json'), config);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}
