// Preloaded into the bin: a disk with room for FULL_DISK_BYTES more bytes, the last of which are a
// part of a line, as far as FULL_DISK_CALL goes: appendFile (journals) or writeFile (results).
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const probe = join(tmpdir(), `full-disk-${process.pid}`);
const handle = await open(probe, 'w');
const handles = Object.getPrototypeOf(handle);
await handle.close();
await rm(probe);

const { FULL_DISK_BYTES, FULL_DISK_CALL } = process.env;
let room = Number(FULL_DISK_BYTES);
const write = handles[FULL_DISK_CALL];
handles[FULL_DISK_CALL] = async function (data) {
  const bytes = Buffer.from(data);
  const fits = bytes.subarray(0, room);
  room -= fits.length;
  await write.call(this, fits);
  if (fits.length === bytes.length) return;
  throw Object.assign(new Error('ENOSPC: raw'), { code: 'ENOSPC', errno: -28 });
};
