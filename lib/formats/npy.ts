// NumPy's .npy arrays: little-endian, C order, one array per file.
// The header is a Python dict literal; only the three known keys and plain values are accepted.

import { checkSizes, checkText } from '../argument-checks.js';
import { writeFileAtomic } from '../atomic-file.js';
import { HeadsparkError } from '../errors.js';
import { shown } from '../option-checks.js';
import { readFileBytes } from './file.js';

/** Element types that are read; each maps to one typed array. */
const READERS = {
  '<f4': (bytes: ArrayBuffer) => new Float32Array(bytes),
  '<f8': (bytes: ArrayBuffer) => new Float64Array(bytes),
  '<i4': (bytes: ArrayBuffer) => new Int32Array(bytes),
  '<u4': (bytes: ArrayBuffer) => new Uint32Array(bytes),
  '<i8': (bytes: ArrayBuffer) => new BigInt64Array(bytes),
  '|i1': (bytes: ArrayBuffer) => new Int8Array(bytes),
  '|u1': (bytes: ArrayBuffer) => new Uint8Array(bytes),
  '|b1': (bytes: ArrayBuffer) => new Uint8Array(bytes),
} as const;

export type NpyType = keyof typeof READERS;
export type NpyData =
  Float32Array | Float64Array | Int32Array | Uint32Array | BigInt64Array | Int8Array | Uint8Array;

export interface NpyArray {
  readonly type: NpyType;
  readonly shape: readonly number[];
  /** Row-major elements; their number is the product of `shape`. */
  readonly data: NpyData;
}

const MAGIC = '\x93NUMPY';
const MAX_HEADER_BYTES = 64 * 1024;
const MAX_FILE_BYTES = 2 ** 32;
const HEADER_PATTERN =
  /^\{\s*'descr'\s*:\s*'([^']{1,16})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,\s*'shape'\s*:\s*\(([\d\s,]*)\)\s*,?\s*\}\s*$/;

function corrupt(name: string, problem: string): HeadsparkError {
  return new HeadsparkError('ERR_HEADSPARK_FILE_CORRUPT', `${name}: ${problem}`);
}

function headerOf(bytes: Buffer, name: string): { text: string; dataStart: number } {
  if (bytes.length < 10 || bytes.toString('latin1', 0, 6) !== MAGIC) {
    throw corrupt(name, 'not a .npy file (it does not start with the NumPy magic)');
  }
  const version = bytes[6];
  if (version < 1 || version > 3) throw corrupt(name, `unknown .npy version ${version}`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw corrupt(name, 'the .npy header is cut off');
  const length = version === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (length > MAX_HEADER_BYTES || start + length > bytes.length) {
    throw corrupt(name, `the .npy header claims ${length} bytes, more than there are`);
  }
  return { text: bytes.toString('latin1', start, start + length), dataStart: start + length };
}

function parseShape(text: string, name: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.at(-1) === '') parts.pop();
  return parts.map((part) => {
    const size = Number(part);
    if (part === '' || !Number.isSafeInteger(size)) throw corrupt(name, `bad shape (${text})`);
    return size;
  });
}

/** Decodes a .npy file. Throws ERR_HEADSPARK_FILE_CORRUPT or ERR_HEADSPARK_TENSOR_DTYPE. */
export function decodeNpy(bytes: Buffer, name: string): NpyArray {
  const { text, dataStart } = headerOf(bytes, name);
  const match = HEADER_PATTERN.exec(text);
  if (!match) throw corrupt(name, 'the .npy header is not the dict that NumPy writes');
  const type = match[1];
  if (!Object.hasOwn(READERS, type)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_DTYPE',
      `${name}: element type '${type}' is not read; save as float32 (little-endian)`,
    );
  }
  const shape = parseShape(match[3], name);
  if (match[2] === 'True' && shape.length > 1) {
    throw corrupt(name, 'is in Fortran order; save numpy.ascontiguousarray(x) instead');
  }
  const itemBytes = Number(type[2]);
  const count = shape.reduce((product, size) => product * size, 1);
  if (count * itemBytes !== bytes.length - dataStart) {
    throw corrupt(
      name,
      `shape (${shape.join(', ')}) of ${type} needs ${count * itemBytes} bytes, ` +
        `the file has ${bytes.length - dataStart}`,
    );
  }
  const data = new Uint8Array(bytes.subarray(dataStart)).buffer;
  return { type: type as NpyType, shape, data: READERS[type as NpyType](data) };
}

const arrayTypes = [
  Float32Array,
  Float64Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  Int8Array,
  Uint8Array,
];

function checkNpy(call: string, data: unknown, shape: unknown): void {
  if (!arrayTypes.some((type) => data instanceof type)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${call} takes its values as one of ${arrayTypes.map(({ name }) => name).join(', ')}, not ${shown(data)}.`,
    );
  }
  checkSizes(call, 'the shape', shape);
}

function typeOf(data: NpyData): NpyType {
  if (data instanceof Float32Array) return '<f4';
  if (data instanceof Float64Array) return '<f8';
  if (data instanceof Int32Array) return '<i4';
  if (data instanceof Uint32Array) return '<u4';
  if (data instanceof BigInt64Array) return '<i8';
  return data instanceof Int8Array ? '|i1' : '|u1';
}

/** Header and data of a .npy file (version 1.0, data aligned to 64 bytes). */
export function encodeNpy(data: NpyData, shape: readonly number[]): [Buffer, Uint8Array] {
  checkNpy('encodeNpy', data, shape);
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== data.length) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `npy: ${data.length} values do not fill shape (${shape.join(', ')})`,
    );
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dict = `{'descr': '${typeOf(data)}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const padded = dict + ' '.repeat(63 - ((10 + dict.length) % 64)) + '\n';
  const header = Buffer.alloc(10 + padded.length);
  header.write(MAGIC, 'latin1');
  header.writeUInt8(1, 6);
  header.writeUInt16LE(padded.length, 8);
  header.write(padded, 10, 'latin1');
  return [header, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

/** Reads a .npy file. Errors: see decodeNpy; ERR_HEADSPARK_FILE_NOT_FOUND. */
export async function readNpy(path: string): Promise<NpyArray> {
  return decodeNpy(await readFileBytes(path, MAX_FILE_BYTES), path);
}

/** Reads a .npy file of floats as float32 (float64 is rounded). */
export async function readNpyFloat32(
  path: string,
): Promise<{ shape: readonly number[]; data: Float32Array }> {
  const { type, shape, data } = await readNpy(path);
  if (data instanceof Float32Array) return { shape, data };
  if (data instanceof Float64Array) return { shape, data: Float32Array.from(data) };
  throw new HeadsparkError(
    'ERR_HEADSPARK_TENSOR_DTYPE',
    `${path}: expected floats, found element type '${type}'`,
  );
}

/** Writes a .npy file. */
export async function writeNpy(
  path: string,
  data: NpyData,
  shape: readonly number[],
): Promise<void> {
  checkText('writeNpy', 'a path', path);
  checkNpy('writeNpy', data, shape);
  await writeFileAtomic(path, encodeNpy(data, shape));
}
