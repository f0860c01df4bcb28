// Reading small JSON files of a checkpoint folder (configs, tokenizers), which are hostile input:
// size-limited, and every failure names the file.
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { HeadsparkError, type ErrorCode } from './errors.js';
import { checkRegularFile, readError, systemCode } from './file-errors.js';

const megabyte = 1024 * 1024;

export interface ReadOptions {
  /** Largest accepted size in bytes. Default 64 MiB (the largest tokenizer.json is near 35 MB). */
  maxBytes?: number;
  /** Whether a pipe is read to its end. Default: it is refused. */
  pipes?: boolean;
  /** Code of the error for a file that is damaged. Default FILE_CORRUPT. */
  code?: ErrorCode;
}

async function readPipe(path: string, maxBytes: number, code: ErrorCode): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > maxBytes) {
      throw new HeadsparkError(code, `${path} is over ${maxBytes} bytes, the most accepted.`);
    }
  }
  return Buffer.concat(parts);
}

/** The text of a file; undefined when it does not exist. */
export async function readTextIfExists(
  path: string,
  options: ReadOptions = {},
): Promise<string | undefined> {
  const { maxBytes = 64 * megabyte, pipes = false, code = 'ERR_HEADSPARK_FILE_CORRUPT' } = options;
  let bytes: Buffer;
  try {
    const found = await stat(path);
    const { size } = found;
    if (!pipes) checkRegularFile(path, found);
    if (size > maxBytes) {
      throw new HeadsparkError(code, `${path} is ${size} bytes; at most ${maxBytes} are accepted.`);
    }
    bytes = await (pipes ? readPipe(path, maxBytes, code) : readFile(path));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw readError(path, error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new HeadsparkError(code, `${path} is not UTF-8 text.`, { cause: error });
  }
}

/** Where the string of a JSON text ends that begins at `start`. A regular expression runs out of stack. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/** A key that stands twice in one object of a JSON text, which `JSON.parse` reads by its last value. */
export function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let last = '';
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === '"') {
      const end = endOfString(text, at);
      last = text.slice(at + 1, end);
      at = end;
    } else if (sign === '{') open.push(new Set());
    else if (sign === '[') open.push(undefined);
    else if (sign === '}' || sign === ']') open.pop();
    else if (sign === ':') {
      if (open.at(-1)?.has(last)) return last;
      open.at(-1)?.add(last);
    }
  }
  return undefined;
}

/** The object in a JSON file; undefined when the file does not exist. */
export async function readJsonIfExists(
  path: string,
  options: ReadOptions = {},
): Promise<Record<string, unknown> | undefined> {
  const { code = 'ERR_HEADSPARK_FILE_CORRUPT' } = options;
  const text = await readTextIfExists(path, options);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = `${path} is not valid JSON: ${(error as Error).message}.`;
    throw new HeadsparkError(code, message, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HeadsparkError(code, `${path} must hold a JSON object.`);
  }
  return value as Record<string, unknown>;
}
