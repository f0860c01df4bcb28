// The JSON files of results: written as one line, read back with a check that they are what the
// reader expects. Numbers that are not finite become null.

import { join } from 'node:path';
import { writeFileAtomic } from '../../atomic-file.js';
import { HeadsparkError } from '../../errors.js';
import { readJsonIfExists } from '../../json-file.js';

export async function writeResult(folder: string, name: string, value: unknown): Promise<void> {
  await writeFileAtomic(join(folder, name), `${JSON.stringify(value)}\n`);
}

const limitBytes = 2 ** 30;

/** The content of a result's JSON file, which must have this format. */
export async function readResult<T>(path: string, format: string): Promise<T> {
  const value = await readJsonIfExists(path, { maxBytes: limitBytes });
  if (!value || value['format'] !== format) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_CORRUPT',
      `${path} is not a ${format}; remove its folder and run the study again.`,
    );
  }
  return value as T;
}
