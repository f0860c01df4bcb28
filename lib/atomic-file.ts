// Writing a result file so that a reader sees either the old file or the whole new one, whatever
// happens in between: a temporary file in the same folder, fsync, rename, fsync of the folder.
import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { writeError, type WriteFailure } from './file-errors.js';
import { processExists } from './process-exists.js';

/** Makes a rename or a new file in `folder` durable, where the platform can open folders. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    // Windows and some network file systems cannot open or sync a folder; the data is synced.
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(code)) throw error;
  }
}

/**
 * Where to write what is renamed to `path` then: in the same folder, so named that
 * `clearTemporaryFiles` can tell whose it is before a byte of it is written. Names the machine, so
 * that nobody takes another one's process for dead.
 */
export function temporaryPath(path: string): string {
  const suffix = `${process.pid}.${randomBytes(4).toString('hex')}@${hostname()}.tmp`;
  return join(dirname(path), `.${basename(path)}.${suffix}`);
}

/**
 * Removes what processes of this machine left in `folder` that were killed while they wrote. Throws
 * nothing: what cannot be removed does no harm.
 */
export async function clearTemporaryFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, pid, host] = /^\..+\.(\d+)\.[0-9a-f]{8}@(.+)\.tmp$/.exec(name) ?? [];
    if (host !== hostname() || processExists(Number(pid))) continue;
    await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}

/**
 * Writes `data`, whole or in chunks, to `path` atomically and durably; an existing file is replaced.
 * @throws ERR_HEADSPARK_FILE_WRITE, and what `data` throws.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | Iterable<string | Uint8Array>,
  about: WriteFailure = {},
): Promise<void> {
  const folder = dirname(path);
  const temporary = temporaryPath(path);
  const chunks = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  try {
    const handle = await open(temporary, 'wx');
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeError(path, error, about);
  }
}
