// The text side of a checkpoint says the same of it as the loaded model.
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCheckpointText, loadModel } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

const architectures = join(packageRoot, 'test/fixtures/architectures');
const folders = [
  join(packageRoot, 'lib/demo/models/base'),
  ...readdirSync(architectures).map((name) => join(architectures, name)),
];

describe.each(folders)('%s', (folder) => {
  it('has the sizes of the model, and its tokenizer', async () => {
    const [text, model] = [await loadCheckpointText(folder), await loadModel(folder)];
    const { vocab, maxPositions, label } = model.info;
    expect(text).toMatchObject({ label, folder, vocabSize: vocab, maxPositions });
    expect(text.tokenizer?.vocabSize).toBe(model.tokenizer?.vocabSize);
    expect(text.chatTemplate?.source).toBe(model.chatTemplate?.source);
    model.dispose();
  });
});

it('reads the sizes and the end of text of the decoder of a model with a vision tower', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'headspark-text-'));
  copyFileSync(join(folders[0], 'tokenizer.json'), join(folder, 'tokenizer.json'));
  const decoder = { vocab_size: 307, max_position_embeddings: 64, eos_token_id: [3, 5] };
  const config = { model_type: 'gemma3', text_config: decoder };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const text = await loadCheckpointText(folder);
  expect(text).toMatchObject({ vocabSize: 307, maxPositions: 64 });
  expect(text.tokenizer?.eosIds).toEqual([3, 5]);
  rmSync(folder, { recursive: true });
});

it('refuses wrong arguments', async () => {
  await expect(loadCheckpointText('')).rejects.toThrow('a folder or hub id as a text');
  const wrong = { adaptor: 'x' } as object;
  await expect(loadCheckpointText(folders[0], wrong)).rejects.toThrow('Did you mean adapter?');
});
