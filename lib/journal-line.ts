// One line of a journal: `{"crc":"xxxxxxxx",` and then the rest of a JSON object, whose bytes
// (from after the first comma to the closing brace) the CRC-32 covers. Each line is plain JSON.
import { crc32 } from 'node:zlib'; // IEEE 802.3, as in zip and gzip
import { canonicalJson } from './canonical-json.js';

/** How every line begins. */
export const linePrefix = '{"crc":"';
const bodyStart = linePrefix.length + '00000000",'.length;

/** The line of an object that has at least one key, with its newline. */
export function encodeLine(value: Record<string, unknown>): string {
  const body = canonicalJson(value).slice(1);
  const crc = crc32(body).toString(16).padStart(8, '0');
  return `${linePrefix}${crc}",${body}\n`;
}

/** The object of a line without its newline; undefined when the line is damaged. */
export function decodeLine(line: Buffer): Record<string, unknown> | undefined {
  if (line.length <= bodyStart) return undefined;
  const head = /^\{"crc":"([0-9a-f]{8})",$/.exec(line.subarray(0, bodyStart).toString('latin1'));
  if (!head || crc32(line.subarray(bodyStart)) !== parseInt(head[1], 16)) return undefined;
  try {
    return JSON.parse(line.toString('utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
