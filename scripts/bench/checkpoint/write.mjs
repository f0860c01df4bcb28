// Writes a checkpoint folder of random weights, config.json and one model.safetensors, or an adapter of
// one, in small pieces so that no shape needs memory, on all processors. The file appears under its name only when
// it is whole.
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../user-error.mjs';
import { formats } from './formats.mjs';
import { DTYPES, makeAdapterConfig, makeConfig } from './shapes.mjs';
import { listAdapterTensors, listTensors, targetModules } from './tensors.mjs';

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

/** One list of tensors for each thread, the largest first to the one that has least. */
function shares(tensors, threads) {
  const lists = Array.from({ length: threads }, () => ({ values: 0, tensors: [] }));
  for (const tensor of tensors.toSorted((a, b) => b.values - a.values)) {
    const least = lists.reduce((a, b) => (b.values < a.values ? b : a));
    least.tensors.push(tensor);
    least.values += tensor.values;
  }
  return lists.map((list) => list.tensors).filter((list) => list.length > 0);
}

/** Runs a thread for each of `jobs` to its end; the first error ends them all. */
async function runWriters(jobs, onWritten) {
  const workers = jobs.map(
    (workerData) => new Worker(new URL('./tensor-writer.mjs', import.meta.url), { workerData }),
  );
  let failure;
  const fail = (error) => {
    failure ??= error;
    for (const worker of workers) void worker.terminate();
  };
  const ends = workers.map((worker) => {
    worker.on('message', (bytes) => {
      if (failure !== undefined) return;
      try {
        onWritten(bytes);
      } catch (error) {
        fail(error);
      }
    });
    worker.on('error', fail);
    return new Promise((resolve) => worker.on('exit', resolve));
  });
  await Promise.all(ends);
  if (failure !== undefined) throw failure;
}

async function writeTensors(file, target, tensors, { seed, dtype, onProgress }) {
  const format = formats[dtype];
  const { header, dataBytes } = safetensorsHeader(tensors, format);
  await file.write(header);
  await file.truncate(header.length + dataBytes);
  let begin = header.length;
  const placed = tensors.map((tensor) => {
    const values = count(tensor.shape);
    const own = begin;
    begin += values * format.bytes;
    return { ...tensor, values, begin: own };
  });
  let written = 0;
  const lists = shares(placed, availableParallelism());
  await runWriters(
    lists.map((list) => ({ path: target, tensors: list, seed, dtype })),
    (bytes) => onProgress((written += bytes), dataBytes),
  );
}

/** Writes tensors and a JSON file beside them into a folder. Options and errors: writeCheckpoint. */
async function writeFolder(folder, { file: name, tensors, json, value }, options) {
  const { dtype = 'bf16', seed = 0, onProgress = () => {} } = options;
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new UserError(
      `--dtype ${dtype} is unknown; these are: ${Object.keys(DTYPES).join(', ')}.`,
    );
  }
  if (!Number.isSafeInteger(seed)) throw new UserError('--seed must be a whole number.');
  const target = path.join(folder, name);
  if (existsSync(target)) {
    throw new UserError(`${target} exists already; name another folder or remove it first.`);
  }
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const message = `The folder ${folder} cannot be made (${error.message}); name another one.`;
    throw new UserError(message, 'ERR_HEADSPARK_FILE_NOT_FOUND');
  }
  const temporary = path.join(folder, `.${name}.${process.pid}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeTensors(file, temporary, tensors, { seed, dtype, onProgress });
    } finally {
      await file.close();
    }
    await writeFile(path.join(folder, json), `${JSON.stringify(value(dtype), null, 2)}\n`);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Writes `folder`/config.json and model.safetensors.
 * @param shape  from resolveShape
 * @param options  dtype `bf16` or `f32`; seed; onProgress(bytes written, bytes in all)
 * @throws UserError when the dtype or seed is none or the folder holds a checkpoint or cannot be written.
 */
export async function writeCheckpoint(folder, shape, options) {
  const value = (dtype) => makeConfig(shape, dtype);
  const tensors = listTensors(shape);
  await writeFolder(
    folder,
    { file: 'model.safetensors', tensors, json: 'config.json', value },
    options,
  );
}

/**
 * Writes `folder`/adapter_config.json and adapter_model.safetensors: a LoRA adapter of this rank for
 * every linear layer of a checkpoint of this shape. Options and errors: writeCheckpoint.
 */
export async function writeAdapter(folder, shape, rank, options) {
  if (!Number.isSafeInteger(rank) || rank < 1 || rank > 4096) {
    throw new UserError('--adapter-rank must be a whole number from 1 to 4096.');
  }
  const value = () => makeAdapterConfig(shape, rank, targetModules(shape));
  const tensors = listAdapterTensors(shape, rank);
  await writeFolder(
    folder,
    { file: 'adapter_model.safetensors', tensors, json: 'adapter_config.json', value },
    options,
  );
}
