// A checkpoint's tokenizer (tokenizer.json through @huggingface/tokenizers) with the special
// tokens and end-of-sequence ids that the folder's config files name.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkAnyText, checkIds, checkText } from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { hubTokenizer, type HubTokenizer } from './hub-tokenizer.js';
import { readJsonIfExists } from './json-file.js';
import { checkOptionNames, optionNames } from './option-checks.js';
import { readableTokenizer, specialTexts } from './tokenizer-file.js';

/** Ids stay below; the largest vocabularies have some 300,000. */
const idLimit = 2 ** 22;

export interface EncodeOptions {
  /** Add what the tokenizer's post-processor adds by default (bos for Llama). Default true. */
  addSpecialTokens?: boolean | undefined;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default true. */
  skipSpecialTokens?: boolean | undefined;
}

const encodeOptions = optionNames<EncodeOptions>({ addSpecialTokens: true });
const decodeOptions = optionNames<DecodeOptions>({ skipSpecialTokens: true });

/** The parsed files that a tokenizer is made of. */
export interface TokenizerFiles {
  /** Named in error messages. */
  folder: string;
  tokenizer: Record<string, unknown>;
  tokenizerConfig?: Record<string, unknown>;
  config?: Record<string, unknown>;
  generationConfig?: Record<string, unknown>;
}

export type SpecialTokenName = 'bos_token' | 'eos_token' | 'pad_token' | 'unk_token';

/**
 * Text to token ids and back, for one checkpoint: those that Python's tokenizers has for tokenizer.json.
 * AutoTokenizer of transformers 5 builds some classes anew from the vocabulary and passes over the rest of
 * the file: GPT2Tokenizer drops the Digits of SmolLM2, LlamaTokenizer the normalizer of Llama 2, which puts a
 * mark behind special tokens. `PreTrainedTokenizerFast.from_pretrained` reads the file there too.
 */
export class Tokenizer {
  readonly folder: string;
  /** One more than the largest token id (a model's vocabulary may be padded beyond it). */
  readonly vocabSize: number;
  /** Ids that end a generation: generation_config.json, else config.json, else the tokenizer's. */
  readonly eosIds: readonly number[];
  /** Special tokens by their name in tokenizer_config.json, as text. */
  readonly specialTokens: Readonly<Partial<Record<SpecialTokenName, string>>>;
  readonly bosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  readonly #inner: HubTokenizer;

  /** @throws ERR_HEADSPARK_TOKENIZER naming the folder when the files do not make a tokenizer. */
  constructor(files: TokenizerFiles) {
    this.folder = files.folder;
    const config = files.tokenizerConfig ?? {};
    this.specialTokens = specialTokensOf(config);
    const modelUnk = (files.tokenizer['model'] as Record<string, unknown> | null | undefined)?.[
      'unk_token'
    ];
    try {
      // The library takes a WordLevel model's unknown token from the config only, and from there also what
      // is for slow tokenizers.
      const unknown = this.specialTokens.unk_token ?? modelUnk;
      const readable = readableTokenizer(files.tokenizer, config);
      checkTokenIds(readable);
      this.#inner = hubTokenizer(readable, {
        additional_special_tokens: specialTexts(config),
        ...(typeof unknown === 'string' ? { unk_token: unknown } : {}),
      });
      let largest = -1;
      for (const id of this.#inner.get_vocab().values()) {
        if (id > largest) largest = id;
      }
      if (largest < 0) throw new Error('the vocabulary is empty');
      this.vocabSize = largest + 1;
    } catch (error) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_TOKENIZER',
        `${join(files.folder, 'tokenizer.json')} is not a usable tokenizer: ${(error as Error).message}.`,
        { cause: error },
      );
    }
    const idOf = (name: SpecialTokenName): number | undefined => {
      const token = this.specialTokens[name];
      return token === undefined ? undefined : this.tokenToId(token);
    };
    this.bosId = idOf('bos_token') ?? idList(files.config?.['bos_token_id'])[0];
    this.padId = idOf('pad_token');
    this.unkId =
      idOf('unk_token') ?? (typeof modelUnk === 'string' ? this.tokenToId(modelUnk) : undefined);
    this.eosIds =
      [
        eosList(files.generationConfig, join(files.folder, 'generation_config.json')),
        eosList(files.config, join(files.folder, 'config.json')),
        // Of models with a vision tower (Gemma 3).
        eosList(
          files.config?.['text_config'] as Record<string, unknown> | undefined,
          join(files.folder, 'config.json'),
        ),
        idList(idOf('eos_token')),
      ].find((ids) => ids.length > 0) ?? [];
  }

  /**
   * Token ids of a text. Special tokens written out in the text become their ids.
   * @throws ERR_HEADSPARK_TOKENIZER for a text that the vocabulary cannot spell, when it has no
   *   unknown token.
   */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    checkAnyText('encode', text);
    checkOptionNames('encode', options, encodeOptions);
    // Python's strings are encoded as UTF-8, which has no half of a pair; here it would become U+FFFD.
    if (/\p{Surrogate}/u.test(text)) {
      const message =
        'a text has half of a surrogate pair, which is no character; was it cut there?';
      throw new HeadsparkError('ERR_HEADSPARK_TOKENIZER', message);
    }
    const { addSpecialTokens = true } = options;
    const ids = this.#inner.encode(text, { add_special_tokens: addSpecialTokens }).ids;
    // The library leaves undefined where a piece has no id, which an Int32Array would turn into 0.
    if (!ids.every((id) => Number.isInteger(id))) {
      const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
      const message = `the tokenizer of ${this.folder} has no tokens for all of ${shown}.`;
      throw new HeadsparkError('ERR_HEADSPARK_TOKENIZER', message);
    }
    return Int32Array.from(ids);
  }

  /**
   * Text of some token ids. Ids that the tokenizer has no token for have no text: a model's
   * vocabulary may be padded beyond the tokenizer's, and such an id can be generated.
   */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    checkIds('decode', 'what it decodes', ids);
    checkOptionNames('decode', options, decodeOptions);
    const { skipSpecialTokens = true } = options;
    const known = Array.from(ids).filter((id) => this.idToToken(id) !== undefined);
    if (known.length === 0) return '';
    return this.#inner.decode(known, {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: false,
    });
  }

  /** The id of a vocabulary entry, spelled as in tokenizer.json (`Ġthe`, `▁the`). */
  tokenToId(token: string): number | undefined {
    return this.#inner.token_to_id(token) ?? undefined;
  }

  /** The vocabulary entry of an id. */
  idToToken(id: number): string | undefined {
    return this.#inner.id_to_token(id) ?? undefined;
  }

  /** True when encoding and decoding gives the text back (an unknown character does not). */
  represents(text: string): boolean {
    try {
      const ids = this.encode(text, { addSpecialTokens: false });
      return this.decode(ids, { skipSpecialTokens: false }).trim() === text.trim();
    } catch (error) {
      if (error instanceof HeadsparkError) return false;
      throw error;
    }
  }
}

/** Before the library reads them: it makes a list up to the largest. */
function checkTokenIds({ model, added_tokens: added }: Record<string, unknown>): void {
  const { vocab } = (model ?? {}) as { vocab?: unknown };
  const ids: unknown[] = [
    ...(typeof vocab === 'object' && vocab !== null && !Array.isArray(vocab)
      ? (Object.values(vocab) as unknown[])
      : []),
    ...(Array.isArray(added) ? (added as ({ id?: unknown } | null)[]) : []).map((one) => one?.id),
  ];
  for (const id of ids) {
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < idLimit) continue;
    throw new Error(`token id ${String(id)}, which is not from 0 to ${idLimit - 1}`);
  }
}

/** The ids of `eos_token_id`. A negative one means none, as in some configs. */
function eosList(config: Record<string, unknown> | undefined, path: string): number[] {
  const value = config?.['eos_token_id'] ?? [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((id) => Number.isInteger(id) && (id as number) < idLimit)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${path}: eos_token_id is ${JSON.stringify(value).slice(0, 60)}; it must be a token id or a list of them.`,
    );
  }
  return idList(value);
}

function idList(value: unknown): number[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0);
}

/** Special tokens as text; tokenizer_config.json writes them as a string or as {content}. */
export function specialTokensOf(
  config: Record<string, unknown>,
): Partial<Record<SpecialTokenName, string>> {
  const names: SpecialTokenName[] = ['bos_token', 'eos_token', 'pad_token', 'unk_token'];
  const tokens: Partial<Record<SpecialTokenName, string>> = {};
  for (const name of names) {
    const value = config[name];
    const content =
      typeof value === 'object' && value !== null
        ? (value as { content?: unknown }).content
        : value;
    if (typeof content === 'string') tokens[name] = content;
  }
  return tokens;
}

/**
 * tokenizer_config.json of a folder. As in transformers, an older one, without added_tokens_decoder, has its
 * special tokens from special_tokens_map.json, where there is one.
 */
export async function readTokenizerConfig(
  folder: string,
): Promise<Record<string, unknown> | undefined> {
  const code = 'ERR_HEADSPARK_TOKENIZER';
  const [config, map] = await Promise.all(
    ['tokenizer_config.json', 'special_tokens_map.json'].map((name) =>
      readJsonIfExists(join(folder, name), { code }),
    ),
  );
  return map && !('added_tokens_decoder' in (config ?? {})) ? { ...config, ...map } : config;
}

/**
 * Loads the tokenizer of a checkpoint folder.
 * @throws ERR_HEADSPARK_TOKENIZER when tokenizer.json is missing or damaged.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  checkText('loadTokenizer', 'a folder', folder);
  const code = 'ERR_HEADSPARK_TOKENIZER';
  const path = join(folder, 'tokenizer.json');
  const tokenizer = await readJsonIfExists(path, { code });
  if (!tokenizer) {
    const slow = await stat(join(folder, 'tokenizer.model')).catch(() => undefined);
    const hint = slow
      ? 'the folder has only a SentencePiece tokenizer.model; convert it with transformers ' +
        '(AutoTokenizer.from_pretrained(...).save_pretrained(...))'
      : 'copy it from the checkpoint this one was made from, or give pairs as token ids';
    throw new HeadsparkError(code, `${path} does not exist: ${hint}.`);
  }
  const tokenizerConfig = await readTokenizerConfig(folder);
  const [config, generationConfig] = await Promise.all(
    ['config.json', 'generation_config.json'].map((name) =>
      readJsonIfExists(join(folder, name), { code }),
    ),
  );
  return new Tokenizer({ folder, tokenizer, tokenizerConfig, config, generationConfig });
}
