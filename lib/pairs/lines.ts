// Streams a UTF-8 text file line by line with a limit on the length of a line, so that a hostile
// file without newlines cannot fill the memory.
import { createReadStream } from 'node:fs';
import { readError } from '../file-errors.js';
import { pairError } from './pair-error.js';

export interface TextLine {
  /** From 1. */
  number: number;
  text: string;
}

const maxLineBytes = 32 * 1024 * 1024;

function decode(file: string, number: number, bytes: Buffer): TextLine {
  try {
    // A byte order mark is dropped by the decoder; a carriage return before the newline here.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r$/, '');
    return { number, text };
  } catch (cause) {
    throw pairError({ file, line: number }, 'the line is not UTF-8 text.', { cause });
  }
}

/**
 * The lines of a file.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND when it cannot be read, ERR_HEADSPARK_PAIR_FORMAT for a
 *   line that is too long or not UTF-8.
 */
export async function* readLines(file: string): AsyncGenerator<TextLine> {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let number = 1;
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end; (end = chunk.indexOf(0x0a, start)) >= 0; start = end + 1) {
        yield decode(file, number++, Buffer.concat([...parts, chunk.subarray(start, end)]));
        parts = [];
        partBytes = 0;
      }
      const rest = chunk.subarray(start);
      partBytes += rest.length;
      if (partBytes > maxLineBytes) {
        throw pairError({ file, line: number }, `the line is over ${maxLineBytes} bytes long.`);
      }
      if (rest.length > 0) parts.push(rest);
    }
  } catch (error) {
    throw readError(file, error);
  }
  if (partBytes > 0) yield decode(file, number, Buffer.concat(parts));
}
