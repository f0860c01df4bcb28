// The zip around a torch.save file. Entries are stored, never compressed (torch never does), so
// an entry is a slice of the file and cannot grow on reading.

import { zipSync } from 'fflate';
import { isHeadsparkError } from '../errors.js';
import { formatError } from './reference-config.js';

/** A circuit has at most eight tensors; torch adds a handful of small entries. */
const MAX_ENTRIES = 64;

/** The entries of a torch.save file by name, without the leading folder (`archive/`). */
export async function readTorchArchive(
  bytes: Buffer,
  file: string,
): Promise<ReadonlyMap<string, Buffer>> {
  const { fromBufferPromise } = await import('yauzl');
  const entries = new Map<string, Buffer>();
  try {
    const zip = await fromBufferPromise(bytes);
    if (zip.entryCount > MAX_ENTRIES) {
      throw formatError(file, `has ${zip.entryCount} zip entries, a circuit has a few`);
    }
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName.slice(entry.fileName.indexOf('/') + 1);
      if (entry.compressionMethod !== 0 || entry.isEncrypted() || entries.has(name)) {
        throw formatError(
          file,
          `zip entry '${name.slice(0, 60)}' is not one that torch.save writes`,
        );
      }
      const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      const end = fileDataStart + entry.compressedSize;
      if (entry.compressedSize !== entry.uncompressedSize || end > bytes.length) {
        throw formatError(file, `zip entry '${name.slice(0, 60)}' runs past the end of the file`);
      }
      entries.set(name, bytes.subarray(fileDataStart, end));
    }
  } catch (error) {
    if (isHeadsparkError(error)) throw error;
    const problem = error instanceof Error ? error.message.slice(0, 160) : 'unknown error';
    throw formatError(file, `is not a zip that torch.save writes (${problem})`, error);
  }
  return entries;
}

/** The bytes of a torch.save file that holds one pickle and its storages. */
export function encodeTorchArchive(pickle: Uint8Array, storages: Uint8Array[]): Uint8Array {
  const ascii = (value: string): Uint8Array => new TextEncoder().encode(value);
  const entries: Record<string, Uint8Array> = {
    'archive/data.pkl': pickle,
    'archive/byteorder': ascii('little'),
  };
  storages.forEach((storage, index) => (entries[`archive/data/${index}`] = storage));
  entries['archive/version'] = ascii('3\n');
  // A fixed date: the same circuit always gives the same bytes.
  return zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1) });
}
