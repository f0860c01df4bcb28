// Layers that a checkpoint has beyond those of its config.json.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { unreadLayers } from '../../lib/unread-layers.js';

const base = fileURLToPath(new URL('../../lib/demo/models/base', import.meta.url));

it('are counted in a file of weights and in an index of several', async () => {
  expect(await unreadLayers(base, 4)).toBe(0);
  expect(await unreadLayers(base, 3)).toBe(1);
  const folder = await mkdtemp(join(tmpdir(), 'headspark-layers-'));
  const names = ['model.embed_tokens.weight', 'h.0.attn.weight', 'transformer.h.12.mlp.weight'];
  const weight_map = Object.fromEntries(names.map((name) => [name, 'a.safetensors']));
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  expect(await unreadLayers(folder, 12)).toBe(1);
  expect(await unreadLayers(folder, 13)).toBe(0);
  await rm(folder, { recursive: true });
  expect(await unreadLayers(folder, 1)).toBe(0);
});
