// Sizes of memory as they are written on a command line: `8GiB`, `512M` or a plain number.

import type { DeviceInfo } from '../native-types.js';
import { formatBytes } from '../progress.js';

const units = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const;

/** Bytes of a size; NaN for what is none. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return NaN;
  return Math.floor(Number(match[1]) * units[match[2].toLowerCase() as keyof typeof units]);
}

/** What is wrong with a size, to stand after the name of its option; undefined where nothing is. */
export function sizeProblem(text: string): string | undefined {
  const bytes = parseBytes(text);
  const example = 'write for instance 8GiB or 512M';
  const shown = text.slice(0, 60);
  if (Number.isNaN(bytes)) return `"${shown}" is not a size; ${example}`;
  if (bytes > Number.MAX_SAFE_INTEGER) return `"${shown}" is more than any machine has; ${example}`;
  if (bytes > 0 && bytes < 2 ** 20)
    return `"${shown}" is ${bytes} bytes, less than any run needs; ${example}`;
  return undefined;
}

/** A remark where the workspace is more than this process can get; undefined where it is not. */
export function memoryRemark(
  bytes: number,
  {
    cgroupMemoryBytes,
    memoryTotalBytes,
  }: Pick<DeviceInfo, 'cgroupMemoryBytes' | 'memoryTotalBytes'>,
): string | undefined {
  const limit = Math.min(cgroupMemoryBytes ?? Infinity, memoryTotalBytes);
  if (bytes <= limit) return undefined;
  const whose =
    limit === cgroupMemoryBytes ? 'the control group of this process may use' : 'this machine has';
  return (
    `--memory ${formatBytes(bytes)} is more than the ${formatBytes(limit)} that ${whose}: the system ` +
    'may kill the run without a word. Lower it.'
  );
}
