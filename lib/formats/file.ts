// Reading a file under a size limit, and writing one so that no reader ever sees half of it.

import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { HeadsparkError } from '../errors.js';

/**
 * The bytes of a file. Throws ERR_HEADSPARK_FILE_NOT_FOUND, or ERR_HEADSPARK_FILE_CORRUPT when
 * it is larger than `limitBytes` or cannot be read.
 */
export async function readFileBytes(path: string, limitBytes: number): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > limitBytes) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_FILE_CORRUPT',
        `${path} has ${size} bytes, more than the ${limitBytes} that this format may have`,
      );
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof HeadsparkError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new HeadsparkError(
      missing ? 'ERR_HEADSPARK_FILE_NOT_FOUND' : 'ERR_HEADSPARK_FILE_CORRUPT',
      missing ? `${path} does not exist` : `${path} cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Writes chunks to a temporary file beside `path`, then renames it into place. */
export async function writeFileAtomic(
  path: string,
  chunks: Iterable<string | Uint8Array>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.part`;
  try {
    const handle = await open(temporary, 'w');
    try {
      for (const chunk of chunks) {
        if (typeof chunk === 'string') await handle.writeFile(chunk);
        else await handle.writeFile(chunk);
      }
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof HeadsparkError) throw error;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${path} cannot be written: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
