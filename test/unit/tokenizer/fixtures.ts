// The tokenizers that the unit tests use, and where the optional shared checkpoints are.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
export const tinyArith = join(fixtures, 'tokenizer', 'tiny-arith');
export const stories = join(fixtures, 'tokenizer', 'stories260K');
export const qwenLike = join(fixtures, 'tokenizer', 'qwen3-template');

const root = fileURLToPath(new URL('../../../', import.meta.url));
const shared = resolve(root, process.env['HEADSPARK_SHARED'] ?? '../shared');

/** A path in the shared folder, or undefined (with a notice) when it is not on this machine. */
export function sharedPath(...parts: string[]): string | undefined {
  const path = join(shared, ...parts);
  if (existsSync(path)) return path;
  console.warn(`skipped: ${path} is not here (set HEADSPARK_SHARED)`);
  return undefined;
}
