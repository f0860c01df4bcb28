// .npy files: round trips, what NumPy itself wrote, and headers that lie.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeNpy,
  encodeNpy,
  readNpy,
  readNpyFloat32,
  writeNpy,
} from '../../../lib/formats/index.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'headspark-npy-'))));
afterAll(() => rm(folder, { recursive: true }));

/** A .npy file with any header text. */
function npyOf(header: string, data: Uint8Array, version = 1): Buffer {
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Buffer.concat([
    Buffer.from('\x93NUMPY', 'latin1'),
    Buffer.from([version, 0]),
    length,
    Buffer.from(header, 'latin1'),
    data,
  ]);
}

const headerOf = (descr: string, shape: string, fortran = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape}), }\n`;

describe('round trips', () => {
  test.each([
    ['float32', new Float32Array([1.5, -0, NaN, Infinity, 2e-45, 7]), [2, 3]],
    ['float64', new Float64Array([Math.PI, -1e300]), [2]],
    ['int32', new Int32Array([-5, 7, 2 ** 31 - 1]), [3, 1]],
    ['uint32', new Uint32Array([4_000_000_000]), [1]],
    ['int64', new BigInt64Array([-(2n ** 60n), 3n]), [1, 2]],
    ['int8', new Int8Array([-1]), [1]],
    ['uint8', new Uint8Array([1, 0, 255, 4]), [2, 2]],
    ['empty', new Float32Array(0), [0, 4]],
    ['scalar', new Float32Array([3]), []],
  ])('%s', async (name, data, shape) => {
    const path = join(folder, `${name}.npy`);
    await writeNpy(path, data, shape);
    const read = await readNpy(path);
    expect(read.shape).toEqual(shape);
    expect(read.data).toEqual(data);
  });

  test('data starts at a multiple of 64 bytes, and a view keeps its own part', () => {
    const whole = new Float32Array([9, 1, 2, 9]);
    const [header, bytes] = encodeNpy(whole.subarray(1, 3), [2]);
    expect(header.length % 64).toBe(0);
    const read = decodeNpy(Buffer.concat([header, bytes]), 'view');
    expect(Array.from(read.data as Float32Array)).toEqual([1, 2]);
  });

  test('no temporary file stays, also when the folder is missing', async () => {
    await writeNpy(join(folder, 'clean.npy'), new Float32Array(1), [1]);
    await expect(writeNpy(join(folder, 'no', 'x.npy'), new Float32Array(1), [1])).rejects.toThrow(
      /cannot be written/,
    );
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('reads what NumPy wrote', async () => {
  const { shape, data } = await readNpyFloat32('test/fixtures/circuit/qwen2-eap-ig.npy');
  expect(shape).toEqual([29, 77]);
  expect(data.length).toBe(29 * 77);
  expect(data.every(Number.isFinite)).toBe(true);
});

test('float64 is rounded to float32, integers are refused as scores', async () => {
  const path = join(folder, 'wide.npy');
  await writeNpy(path, new Float64Array([0.1]), [1]);
  expect((await readNpyFloat32(path)).data[0]).toBe(Math.fround(0.1));
  await writeNpy(path, new Int32Array([1]), [1]);
  await expect(readNpyFloat32(path)).rejects.toMatchObject({ code: 'ERR_HEADSPARK_TENSOR_DTYPE' });
});

describe('header versions and layouts', () => {
  const four = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);

  test.each([1, 2, 3])('version %i', (version) => {
    expect(decodeNpy(npyOf(headerOf('<f4', '2, 2'), four, version), 'x').shape).toEqual([2, 2]);
  });

  test('Fortran order matters only from two axes on', () => {
    expect(decodeNpy(npyOf(headerOf('<f4', '4,', 'True'), four), 'x').shape).toEqual([4]);
    expect(() => decodeNpy(npyOf(headerOf('<f4', '2, 2', 'True'), four), 'x')).toThrow(
      /Fortran order/,
    );
  });

  test.each([
    ['empty file', Buffer.alloc(0), /not a .npy file/],
    ['another file', Buffer.from('PK\x03\x04 and then some more'), /not a .npy file/],
    ['version 9', npyOf(headerOf('<f4', '4,'), four, 9), /version 9/],
    ['cut header', npyOf(headerOf('<f4', '4,'), four).subarray(0, 30), /header claims/],
    ['cut length', npyOf('', new Uint8Array(0), 2).subarray(0, 11), /cut off/],
    ['huge header', Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff', 'latin1'), /header claims/],
    ['too little data', npyOf(headerOf('<f4', '5,'), four), /needs 20 bytes/],
    ['too much data', npyOf(headerOf('<f4', '3,'), four), /needs 12 bytes/],
    ['overflowing shape', npyOf(headerOf('<f4', '4294967296, 4294967296'), four), /needs/],
    ['negative shape', npyOf(headerOf('<f4', '-4,'), four), /not the dict/],
    ['bad shape', npyOf(headerOf('<f4', '2,,2'), four), /bad shape/],
    ['code in the header', npyOf("{'descr': __import__('os')}", four), /not the dict/],
  ])('refuses: %s', (_, bytes, message) => {
    expect(() => decodeNpy(bytes, 'x.npy')).toThrowError(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_FILE_CORRUPT',
        message: expect.stringMatching(message),
      }),
    );
  });

  test.each(['>f4', '<f2', '|O', '<U8', '<c8', 'toString'])('refuses the type %s', (descr) => {
    expect(() => decodeNpy(npyOf(headerOf(descr, '4,'), four), 'x.npy')).toThrowError(
      expect.objectContaining({ code: 'ERR_HEADSPARK_TENSOR_DTYPE' }),
    );
  });
});

test('a missing file and a shape that does not fit', async () => {
  await expect(readNpy(join(folder, 'none.npy'))).rejects.toMatchObject({
    code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
  });
  await writeFile(join(folder, 'text.npy'), 'hello there, general');
  await expect(readNpy(join(folder, 'text.npy'))).rejects.toThrow(/text\.npy: not a .npy file/);
  expect(() => encodeNpy(new Float32Array(3), [2])).toThrow(/do not fill/);
});
