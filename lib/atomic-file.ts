// Writing a result file so that a reader sees either the old file or the whole new one, whatever
// happens in between: a temporary file in the same folder, fsync, rename, fsync of the folder.
import { randomBytes } from 'node:crypto';
import { open, readdir, readlink, realpath, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
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
 * Removes what processes of this machine left in `folder` that were killed while they wrote, or only
 * where it was for the file `name`. Throws nothing: what cannot be removed does no harm.
 */
export async function clearTemporaryFiles(folder: string, name?: string): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [])) {
    const [, of, pid, host] = /^\.(.+)\.(\d+)\.[0-9a-f]{8}@(.+)\.tmp$/.exec(entry) ?? [];
    if (host !== hostname() || processExists(Number(pid))) continue;
    if (name === undefined || of === name) {
      await rm(join(folder, entry), { force: true }).catch(() => undefined);
    }
  }
}

/** Links that lead to each other are given up here; systems do so at 40. */
const MOST_LINKS = 40;

/** The file that a path leads to through links, whether it is there or not. */
export async function behindLinks(path: string): Promise<string> {
  let place = resolve(path);
  for (let links = 0; links < MOST_LINKS; links++) {
    const link = await readlink(place).catch(() => undefined); // no link, or nothing
    if (link === undefined) return place;
    // A link's own folder may be behind links, too.
    place = resolve(await realpath(dirname(place)), link);
  }
  return path;
}

/** Files whose folders this process has cleared of what others left of them. */
const cleared = new Set<string>();

/** Once a process: files are written again and again while a run goes on. */
async function clearOnce(file: string): Promise<void> {
  if (cleared.has(file)) return;
  cleared.add(file);
  await clearTemporaryFiles(dirname(file), basename(file));
}

/**
 * Writes `data`, whole or in chunks, to `path` atomically and durably; an existing file is replaced, of
 * a link the one that it leads to. What killed processes left of the same file is cleared away.
 * @throws ERR_HEADSPARK_FILE_WRITE, and what `data` throws.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | Iterable<string | Uint8Array>,
  about: WriteFailure = {},
): Promise<void> {
  const chunks = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  let temporary: string | undefined;
  try {
    const file = await behindLinks(path);
    await clearOnce(file);
    temporary = temporaryPath(file);
    const handle = await open(temporary, 'wx');
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (error) {
    if (temporary !== undefined) await rm(temporary, { force: true }).catch(() => undefined);
    throw writeError(path, error, about);
  }
}
