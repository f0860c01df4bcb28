// Outputs of a command that are its own inputs, or each other. Results replace what lies at their
// place, so this is refused before anything is written, by the real paths.

import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { behindLinks } from '../atomic-file.js';
import { isWantedFile } from '../checkpoint-files.js';
import { systemCode } from '../file-errors.js';
import { usageError, type Arguments } from './arguments.js';

/** A path as the user knows it: `--pairs p.jsonl`, `<scores> s.json`. */
interface NamedPath {
  readonly name: string;
  readonly real: string;
}

/** The path without links; of what is not there yet, that of the folder it will be in. */
async function realPath(path: string): Promise<string> {
  const full = resolve(path);
  try {
    return await realpath(full);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(full) === full) return full;
    const linked = await behindLinks(full);
    if (linked !== full) return realPath(linked);
    return join(await realPath(dirname(full)), basename(full));
  }
}

async function inputsOf(args: Arguments): Promise<NamedPath[]> {
  const found: NamedPath[] = [];
  for (const { option, text } of args.inputs()) {
    const name = `${option} ${text}`;
    if (option !== '--benchmark') found.push({ name, real: await realPath(text) });
    else {
      const { benchmarkPaths } = await import('../benchmarks/read.js');
      for (const path of benchmarkPaths(text, args.text('data'))) {
        found.push({ name, real: await realPath(path) });
      }
    }
  }
  return found;
}

/** Whether the file is the input, or in a folder of a checkpoint one of its own files. */
function isOf(input: NamedPath, file: string): boolean {
  if (input.real === file) return true;
  return dirname(file) === input.real && isWantedFile(basename(file));
}

/**
 * Throws where a file to be written is one that the command reads, and where two outputs have one
 * place.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT naming both.
 */
export async function checkClashes(
  args: Arguments,
  outputs: readonly { option: string; path: string; kind: 'file' | 'folder' }[],
): Promise<void> {
  const inputs = await inputsOf(args);
  const before: NamedPath[] = [];
  for (const { option, path, kind } of outputs) {
    const output = { name: `${option} ${path}`, real: await realPath(path) };
    const read = kind === 'file' && inputs.find((input) => isOf(input, output.real));
    if (read) {
      throw usageError(
        `${output.name} would overwrite ${read.name}, which is read; name another file.`,
      );
    }
    const other = before.find(({ real }) => real === output.real);
    if (other) {
      throw usageError(`${other.name} and ${output.name} are one place; name another for one.`);
    }
    before.push(output);
  }
}
