// Reading a file under a size limit.

import { readFile, stat } from 'node:fs/promises';
import { HeadsparkError } from '../errors.js';
import { checkRegularFile, readError } from '../file-errors.js';

/**
 * The bytes of a file. Throws ERR_HEADSPARK_FILE_NOT_FOUND when it cannot be read, or
 * ERR_HEADSPARK_FILE_CORRUPT when it is larger than `limitBytes`.
 */
export async function readFileBytes(path: string, limitBytes: number): Promise<Buffer> {
  try {
    const found = await stat(path);
    checkRegularFile(path, found);
    const { size } = found;
    if (size > limitBytes) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_FILE_CORRUPT',
        `${path} has ${size} bytes, more than the ${limitBytes} that this format may have`,
      );
    }
    return await readFile(path);
  } catch (error) {
    throw readError(path, error);
  }
}
