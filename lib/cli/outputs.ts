// The files and folders that a command will write, tried before it computes: no long run ends at a
// place that cannot be written.

import { open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { behindLinks, temporaryPath } from '../atomic-file.js';
import { makeFolder, systemCode, writingTo } from '../file-errors.js';
import { usageError, type Arguments } from './arguments.js';
import { checkClashes } from './clashes.js';
import type { OptionName } from './vocabulary.js';

export interface Output {
  /** As the user knows it: `--out`. */
  readonly option: string;
  /** Undefined where nothing is written. */
  readonly path: string | undefined;
  /** A folder is made where it is not there; the folder of a file must be. */
  readonly kind: 'file' | 'folder';
  /** Of a file; default: any. */
  readonly extensions?: readonly string[];
}

/** The file that an option names. */
export const fileOutput = (
  args: Arguments,
  name: OptionName,
  extensions: readonly string[],
): Output => ({ option: `--${name}`, path: args.text(name), kind: 'file', extensions });

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === 'ENOENT') return false;
      throw error;
    },
  );

async function tryNewFile(path: string): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    // Not empty: those are made on a full disk, too.
    await writeFile(temporary, ' '.repeat(4096), { flag: 'wx' });
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

async function tryFile(path: string): Promise<void> {
  if (await exists(path)) await (await open(path, 'r+')).close();
  await tryNewFile(await behindLinks(path));
}

/** Makes none: a run that is refused later leaves nothing behind. */
async function tryFolder(path: string): Promise<void> {
  if (!(await exists(path))) return tryFolder(dirname(path));
  await makeFolder(path);
  await tryNewFile(join(path, 'output'));
}

const isNamed = (output: Output): output is Output & { readonly path: string } =>
  output.path !== undefined;

/**
 * Throws before a long run when one of its outputs could not be written, or would overwrite what the
 * run reads or writes itself.
 * @throws ERR_HEADSPARK_FILE_WRITE, ERR_HEADSPARK_INVALID_ARGUMENT for another kind of file and for
 *   one that is named twice.
 */
export async function checkOutputs(args: Arguments, outputs: readonly Output[]): Promise<void> {
  const named = outputs.filter(isNamed);
  await checkClashes(args, named);
  for (const { option, path, kind, extensions } of named) {
    if (extensions && !extensions.includes(extname(path))) {
      throw usageError(`${option} ${path}: the file name must end in ${extensions.join(' or ')}.`);
    }
    const attempt = kind === 'file' ? tryFile : tryFolder;
    await writingTo(path, () => attempt(path), { label: `${option} ` });
  }
}
