// What makes tokens of a checkpoint's texts, without its weights: tokenizer, chat template, and the
// sizes that config.json gives. A folder that has a tokenizer alone is enough.
import { join } from 'node:path';
import { checkText } from './argument-checks.js';
import { loadChatTemplate, type ChatTemplate } from './chat-template.js';
import { resolveCheckpoint, type HubOptions } from './checkpoint-source.js';
import { readJsonIfExists } from './json-file.js';
import { checkOptionNames, optionNames } from './option-checks.js';
import { loadTokenizer, type Tokenizer } from './tokenizer.js';
import { pathExists } from './path-kinds.js';

/** The text side of a checkpoint. */
export interface CheckpointText {
  /** Short name for tables. */
  readonly label: string;
  /** Absolute folder of the tokenizer. */
  readonly folder: string;
  /** Undefined when the checkpoint has no tokenizer.json. */
  readonly tokenizer: Tokenizer | undefined;
  /** Undefined when the checkpoint has none. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** The model's vocabulary, by config.json; undefined where there is none. */
  readonly vocabSize: number | undefined;
  /** The model's positions, by config.json; undefined where there is none. */
  readonly maxPositions: number | undefined;
}

/** How `loadCheckpointText` finds a checkpoint; as in `LoadModelOptions`. */
export interface LoadTextOptions {
  adapter?: string | undefined;
  base?: string | undefined;
  hub?: HubOptions | undefined;
  signal?: AbortSignal | undefined;
}

const textOptions = optionNames<LoadTextOptions>({
  adapter: true,
  base: true,
  hub: true,
  signal: true,
});

/** Tokenizer and chat template of a folder, as far as it has them. */
export async function textParts(
  folder: string,
): Promise<Pick<CheckpointText, 'tokenizer' | 'chatTemplate'>> {
  const hasTokenizer = await pathExists(join(folder, 'tokenizer.json'));
  return {
    tokenizer: hasTokenizer ? await loadTokenizer(folder) : undefined,
    chatTemplate: await loadChatTemplate(folder),
  };
}

type Fields = Record<string, unknown>;

const size = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : undefined;

/** As the core reads them: LongRoPE ends where the long factors would begin. */
function sizesOf(file: Fields): Pick<CheckpointText, 'vocabSize' | 'maxPositions'> {
  const config = (file['text_config'] ?? file) as Fields; // of models with a vision tower (Gemma 3)
  const positions = size(config['max_position_embeddings']) ?? size(config['n_positions']);
  const rope = (config['rope_parameters'] ?? config['rope_scaling'] ?? {}) as Fields;
  const type = String(rope['rope_type'] ?? rope['type']);
  const isLong =
    type === 'longrope' || (config['model_type'] === 'phi3' && ['su', 'yarn'].includes(type));
  const short = isLong
    ? (size(config['original_max_position_embeddings']) ??
      size(rope['original_max_position_embeddings']))
    : undefined;
  return {
    vocabSize: size(config['vocab_size']),
    maxPositions:
      positions === undefined ? undefined : Math.min(positions, short ?? Number.POSITIVE_INFINITY),
  };
}

/**
 * Loads what makes tokens of texts; weights are neither read nor downloaded.
 * @param model Folder of a checkpoint, of an adapter or of a tokenizer alone, or `ORG/NAME` or
 *   `ORG/NAME@REVISION` on the Hugging Face Hub.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, _FILE_CORRUPT, _TOKENIZER, _NETWORK, _CANCELLED, naming the
 *   file or option.
 */
export async function loadCheckpointText(
  model: string,
  options: LoadTextOptions = {},
): Promise<CheckpointText> {
  checkText('loadCheckpointText', 'a folder or hub id', model);
  checkOptionNames('loadCheckpointText', options, textOptions);
  const { adapter, base, hub, signal } = options;
  const places = await resolveCheckpoint({
    model,
    ...(adapter === undefined ? {} : { adapter }),
    ...(base === undefined ? {} : { base }),
    hub: { ...(signal ? { signal } : {}), ...hub },
    textOnly: true,
  });
  const config = (await readJsonIfExists(join(places.folder, 'config.json'))) ?? {};
  const { label, tokenizerFolder: folder } = places;
  return { label, folder, ...(await textParts(folder)), ...sizesOf(config) };
}
