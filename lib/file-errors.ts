// What the system says when a file cannot be read or written, in words. The only place that turns
// its codes into sentences, so that none of them names a temporary file.
import { existsSync, type Stats } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { HeadsparkError } from './errors.js';
import { isFolder } from './path-kinds.js';

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'read-only file system',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'disk quota exceeded',
  EFBIG: 'larger than a file may be here, see ulimit -f',
  ENOTDIR: 'a part of its path is a file, not a folder',
  ENAMETOOLONG: 'the name is too long',
};

/** Whether it is an error of the system about a file, and not for instance about a connection. */
export function isFileError(error: unknown): error is NodeJS.ErrnoException {
  const { code = '', errno } = (error ?? {}) as NodeJS.ErrnoException;
  return errno !== undefined && (code in reasons || ['ENOENT', 'EISDIR', 'EEXIST'].includes(code));
}

/** The error of the system itself, or the one that a sentence of ours was made from. */
function systemError(error: unknown): NodeJS.ErrnoException | undefined {
  const one = error instanceof HeadsparkError ? error.cause : error;
  const { errno } = (one ?? {}) as NodeJS.ErrnoException;
  return errno === undefined ? undefined : (one as NodeJS.ErrnoException);
}

/** `ENOENT` and the like, of an error of the system or of one made from it; else undefined. */
export const systemCode = (error: unknown): string | undefined => systemError(error)?.code;

/** The system's own words where there are none of ours. */
function reasonOf({ code = '', errno = 0 }: NodeJS.ErrnoException): string {
  return reasons[code] ?? getSystemErrorMap().get(errno)?.[1] ?? code;
}

/** Whether it, or what it was made from, is the system's word for a full disk. */
export const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '');

function adviceOf(system: NodeJS.ErrnoException, resumes: boolean): string {
  if (isDiskFull(system)) {
    return `free some space and run again${resumes ? ' to go on' : ''}`;
  }
  if (system.code === 'EFBIG') return 'raise the limit and run again';
  return system.code === 'ENAMETOOLONG' ? 'give a shorter one' : 'name another place';
}

/** What an error of writing says beside its path. */
export interface WriteFailure {
  /** Stands before the path: `--out `. */
  readonly label?: string;
  /** Whether a second run goes on where this one stopped. */
  readonly resumes?: boolean;
}

/**
 * The error for a file or folder that could not be written. An error that is not about files stays
 * as it is.
 */
export function writeError(path: string, cause: unknown, about: WriteFailure = {}): Error {
  const { label = '', resumes = false } = about;
  const system = systemError(cause);
  const other = cause instanceof HeadsparkError && cause.code !== 'ERR_HEADSPARK_FILE_WRITE';
  if (!system || other) return cause as Error;
  const { code = '' } = system;
  const folder = dirname(path);
  const text =
    code === 'EISDIR'
      ? 'is a folder; name a file'
      : code === 'EEXIST'
        ? 'is a file; name a folder'
        : code === 'ENOENT' && !existsSync(folder)
          ? `cannot be written: the folder ${folder} does not exist`
          : `cannot be written (${reasonOf(system)}); ${adviceOf(system, resumes)}`;
  return new HeadsparkError('ERR_HEADSPARK_FILE_WRITE', `${label}${path} ${text}.`, { cause });
}

/** The error for a file that could not be read. An error that is not about files stays as it is. */
export function readError(path: string, cause: unknown): Error {
  const system = systemError(cause);
  if (!system || cause instanceof HeadsparkError) return cause as Error;
  const { code = '' } = system;
  const text =
    code === 'ENOENT'
      ? 'does not exist'
      : code === 'EISDIR'
        ? 'is a folder; name a file'
        : `cannot be read (${reasonOf(system)})`;
  return new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', `${path} ${text}.`, { cause });
}

/**
 * Refuses a pipe or a device, which has no size and may never end. A folder has an error of its own.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND.
 */
export function checkRegularFile(path: string, found: Stats): void {
  if (found.isFile() || found.isDirectory()) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_NOT_FOUND',
    `${path} is a pipe or a device; give a regular file.`,
  );
}

/**
 * Does work that writes to `path`, or into it.
 * @throws ERR_HEADSPARK_FILE_WRITE where the system does not let it, and what the work throws.
 */
export async function writingTo<T>(
  path: string,
  work: () => Promise<T>,
  about: WriteFailure = {},
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw writeError(path, error, about);
  }
}

/** One by one: where Node makes them at once, it says ENOENT for a read-only file system. */
async function makeFolders(folder: string): Promise<void> {
  const parent = dirname(folder);
  if (parent !== folder && !(await isFolder(parent))) await makeFolders(parent);
  try {
    await mkdir(folder);
  } catch (error) {
    if (!(await isFolder(folder))) throw error;
  }
}

/**
 * Makes a folder and those above it, where they are not there.
 * @throws ERR_HEADSPARK_FILE_WRITE.
 */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
  } catch (error) {
    throw writeError((error as NodeJS.ErrnoException).path ?? folder, error);
  }
}
