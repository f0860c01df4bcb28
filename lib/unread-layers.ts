// Layers whose weights a checkpoint has though its config.json counts fewer: they are not read.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { readJsonIfExists } from './json-file.js';

const headerLimit = 64 * 1024 * 1024;

async function headerOf(path: string): Promise<Record<string, unknown>> {
  const file = await open(path, 'r');
  try {
    const { buffer: size } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const bytes = Math.min(Number(size.readBigUInt64LE()), headerLimit);
    const { buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, 8);
    return JSON.parse(buffer.toString('utf8')) as Record<string, unknown>;
  } finally {
    await file.close();
  }
}

async function tensorNames(folder: string): Promise<string[]> {
  const index = await readJsonIfExists(join(folder, 'model.safetensors.index.json'));
  const names = index ? index['weight_map'] : await headerOf(join(folder, 'model.safetensors'));
  return Object.keys(names ?? {});
}

/** How many layers of a folder are beyond the first `layers`; 0 where its files do not say. */
export async function unreadLayers(folder: string, layers: number): Promise<number> {
  const names = await tensorNames(folder).catch(() => []);
  const found = new Set<number>();
  for (const name of names) {
    const [, layer] = /(?:^|\.)(?:layers|h)\.(\d+)\./.exec(name) ?? [];
    if (layer !== undefined && Number(layer) >= layers) found.add(Number(layer));
  }
  return found.size;
}
