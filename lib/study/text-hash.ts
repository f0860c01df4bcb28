// What turns text into tokens and back beside the weights: tokenizer, chat template, end tokens. A
// checkpoint whose template changes is asked other prompts, so its answers are computed again.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Every file of a checkpoint folder that the tokenizer or the chat template is read from. */
export const textFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'config.json',
  'generation_config.json',
  'chat_template.jinja',
  'special_tokens_map.json',
] as const;

/** Where there is none, which is so in most folders, the hash does not know of it. */
const olderFile = 'special_tokens_map.json';

/** 16 digits of SHA-256 over the text files of a model; an adapter may bring its own. */
export async function textHash(info: { folder: string; adapterFolder?: string }): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of [info.folder, ...(info.adapterFolder ? [info.adapterFolder] : [])]) {
    for (const file of textFiles) {
      const bytes = await readFile(join(folder, file)).catch(() => undefined);
      if (file === olderFile && !bytes) continue;
      hash.update(`${file} ${bytes?.length ?? -1}\n`);
      if (bytes) hash.update(bytes);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
