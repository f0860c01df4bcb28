// One line of a journal: `{"crc":"xxxxxxxx",` and then the rest of a JSON object, whose bytes
// (from after the first comma to the closing brace) the CRC-32 covers. Each line is plain JSON.
import { canonicalJson } from './canonical-json.js';

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 (IEEE 802.3, as in zip and gzip) of some bytes. */
export function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = table[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** How every line begins. */
export const linePrefix = '{"crc":"';
const bodyStart = linePrefix.length + '00000000",'.length;

/** The line of an object that has at least one key, with its newline. */
export function encodeLine(value: Record<string, unknown>): string {
  const body = canonicalJson(value).slice(1);
  const crc = crc32(Buffer.from(body)).toString(16).padStart(8, '0');
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
