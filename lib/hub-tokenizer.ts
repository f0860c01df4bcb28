// @huggingface/tokenizers 0.2.0 with the parts replaced in which it is not the Python library: where added
// tokens are found in a text, and what bytes and marks become in decoded text.
import * as tokenizersModule from '@huggingface/tokenizers';
import { wordCharacters } from './tokenizer-file.js';

/** What is used of the library's Tokenizer. */
export interface HubTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
}

interface AddedToken {
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** Cuts a text before and after every added token in it. */
interface Splitter {
  split(text: string): string[];
}

interface Model {
  config: Record<string, unknown>;
  tokens_to_ids: ReadonlyMap<string, number>;
  encode(pieces: readonly string[]): string[];
}

interface Decoder {
  config: Record<string, unknown>;
  decoders?: Decoder[];
  decode_chain(tokens: readonly string[]): string[];
}

/** What the library does not declare; its version is exact. */
interface Inner extends HubTokenizer {
  model: Model;
  decoder: Decoder | null;
  added_tokens_map: Map<string, AddedToken>;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

// The declarations of the library import without file extensions, so under NodeNext its class has no
// type; the package exports it under this name.
const { Tokenizer: LibraryTokenizer } = tokenizersModule as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => Inner;
};

const isSpace = /\p{White_Space}/u;
const endsInWord = new RegExp(`[${wordCharacters}]$`, 'u');
const beginsWithWord = new RegExp(`^[${wordCharacters}]`, 'u');

/**
 * Finds added tokens as the Python library does: one that is a word of its own only, one that takes
 * Unicode's white space before or behind it (JavaScript's trim takes U+FEFF and leaves U+0085), though
 * never from another token.
 */
function splitterWithFlags(inner: Splitter, flags: ReadonlyMap<string, AddedToken>): Splitter {
  return {
    split(text) {
      const pieces: string[] = [];
      let plain = '';
      let takesSpace = false;
      const endPlain = (takeEnd: boolean): void => {
        let [begin, end] = [0, plain.length];
        while (takesSpace && begin < end && isSpace.test(plain[begin])) begin++;
        while (takeEnd && end > begin && isSpace.test(plain[end - 1])) end--;
        if (begin < end) pieces.push(plain.slice(begin, end));
        plain = '';
      };
      let at = 0;
      for (const section of inner.split(text)) {
        const begin = at;
        at += section.length;
        const token = flags.get(section);
        const isPart =
          token?.single_word === true &&
          (endsInWord.test(text.slice(Math.max(0, begin - 2), begin)) ||
            beginsWithWord.test(text.slice(at, at + 2)));
        if (!token || isPart) {
          plain += section;
          continue;
        }
        endPlain(token.lstrip);
        pieces.push(section);
        takesSpace = token.rstrip;
      }
      endPlain(false);
      return pieces;
    },
  };
}

function setSplitters(inner: Inner): void {
  // A token that is looked for in normalized text is not one where its own spelling is left of a text.
  for (const [text, { content }] of [...inner.added_tokens_map]) {
    if (text !== content) inner.added_tokens_map.delete(content);
  }
  const flags = new Map([...inner.added_tokens_map].map(([text, token]) => [text, { ...token }]));
  if (![...flags.values()].some((one) => one.single_word || one.lstrip || one.rstrip)) return;
  for (const token of inner.added_tokens_map.values()) {
    token.lstrip = false;
    token.rstrip = false;
  }
  inner.splitter_unnormalized = splitterWithFlags(inner.splitter_unnormalized, flags);
  inner.splitter_normalized = splitterWithFlags(inner.splitter_normalized, flags);
}

/** A Unigram model's byte_fallback, which the library has for BPE only. */
function setByteFallback(model: Model): void {
  if (model.config['type'] !== 'Unigram' || model.config['byte_fallback'] !== true) return;
  const utf8 = new TextEncoder();
  const encode = model.encode.bind(model);
  model.encode = (pieces) =>
    encode(pieces).flatMap((token) => {
      if (model.tokens_to_ids.has(token)) return [token];
      const bytes = Array.from(utf8.encode(token), (byte) => byte.toString(16).toUpperCase());
      const tokens = bytes.map((hex) => `<0x${hex.padStart(2, '0')}>`);
      return tokens.every((one) => model.tokens_to_ids.has(one)) ? tokens : [token];
    });
}

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;

/** Bytes that are no UTF-8 become one U+FFFD each, with those beside them; a byte order mark stays. */
function textOfBytes(tokens: readonly string[]): string[] {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const out: string[] = [];
  let bytes: number[] = [];
  const endBytes = (): void => {
    if (bytes.length === 0) return;
    try {
      out.push(utf8.decode(Uint8Array.from(bytes)));
    } catch {
      out.push('\uFFFD'.repeat(bytes.length));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = byteToken.exec(token)?.[1];
    if (byte === undefined) {
      endBytes();
      out.push(token);
    } else {
      bytes.push(Number.parseInt(byte, 16));
    }
  }
  endBytes();
  return out;
}

/** The first token loses all of its marks, unless the scheme puts none in front. */
function textOfMarks(tokens: readonly string[], config: Record<string, unknown>): string[] {
  const mark = typeof config['replacement'] === 'string' ? config['replacement'] : '▁';
  const isNever =
    config['prepend_scheme'] === 'never' ||
    (config['prepend_scheme'] === undefined && config['add_prefix_space'] === false);
  return tokens.map((token, index) => token.replaceAll(mark, index === 0 && !isNever ? '' : ' '));
}

function setDecoders(decoder: Decoder): void {
  decoder.decoders?.forEach(setDecoders);
  const { config } = decoder;
  if (config['type'] === 'ByteFallback') decoder.decode_chain = textOfBytes;
  if (config['type'] === 'Metaspace') {
    decoder.decode_chain = (tokens) => textOfMarks(tokens, config);
  }
}

/** The library's tokenizer of a file in its words (`readableTokenizer`). @throws Error as the library. */
export function hubTokenizer(tokenizer: object, config: object): HubTokenizer {
  const inner = new LibraryTokenizer(tokenizer, config);
  setSplitters(inner);
  setByteFallback(inner.model);
  if (inner.decoder) setDecoders(inner.decoder);
  return inner;
}
