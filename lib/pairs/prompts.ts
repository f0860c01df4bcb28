// The prompt side of a pair: token ids, plain text, or chat messages through the template, with
// optional openings of the answer that are cut to one length (as the paper pairs two models).
import type { ChatMessage } from '../chat-template.js';
import type { Tokenizer } from '../tokenizer.js';
import { checkId } from './answer-token.js';
import { pairError } from './pair-error.js';
import type { PairOptions, PairPlace, RawPair } from './types.js';

/** Longest accepted prompt in tokens; a longer one is a broken file. */
const maxTokens = 1_048_576;

/** Both prompts, and the next tokens that the openings give when they decide the answers. */
export interface PromptSides {
  clean: Int32Array;
  corrupted: Int32Array;
  text?: string;
  corruptedText?: string;
  /** The tokens after the cut of the two openings, which differ. */
  next?: { correct: number; incorrect: number };
}

function needTokenizer(key: string, place: PairPlace, options: PairOptions): Tokenizer {
  if (options.tokenizer) return options.tokenizer;
  throw pairError(place, `"${key}" is text, but the checkpoint has no tokenizer; give token ids.`);
}

/** Ids of a value that is a list of ids or a text. */
export function tokensOf(
  value: unknown,
  key: string,
  place: PairPlace,
  options: PairOptions & { special: boolean },
): Int32Array {
  if (Array.isArray(value)) {
    if (value.length > maxTokens) throw pairError(place, `"${key}" has over ${maxTokens} tokens.`);
    return Int32Array.from(value, (id) => checkId(id, key, place, options.vocabSize));
  }
  if (typeof value !== 'string') {
    throw pairError(place, `"${key}" must be a text or a list of token ids.`);
  }
  const tokenizer = needTokenizer(key, place, options);
  let ids: Int32Array;
  try {
    ids = tokenizer.encode(value, { addSpecialTokens: options.special });
  } catch (error) {
    throw pairError(place, (error as Error).message, { cause: error });
  }
  if (ids.length > maxTokens) throw pairError(place, `"${key}" has over ${maxTokens} tokens.`);
  for (const id of ids) checkId(id, key, place, options.vocabSize);
  return ids;
}

function messagesOf(value: unknown, key: string, place: PairPlace): ChatMessage[] {
  const list: unknown[] = Array.isArray(value) ? value : [];
  const good = list.every(
    (item): item is ChatMessage =>
      typeof item === 'object' &&
      item !== null &&
      typeof (item as ChatMessage).role === 'string' &&
      typeof (item as ChatMessage).content === 'string',
  );
  if (list.length === 0 || !good) {
    throw pairError(place, `"${key}" must be a list of {"role": ..., "content": ...} with texts.`);
  }
  return list;
}

function renderSide(value: unknown, key: string, raw: RawPair, context: SideContext): string {
  const { place, options } = context;
  const messages = messagesOf(value, key, place);
  if (!options.chatTemplate) {
    throw pairError(place, `"${key}" needs a chat template, and the checkpoint has none.`);
  }
  const thinking = raw['enable_thinking'] ?? options.enableThinking;
  if (thinking !== undefined && typeof thinking !== 'boolean') {
    throw pairError(place, '"enable_thinking" must be true or false.');
  }
  options.onMessages?.();
  try {
    return options.chatTemplate.render(messages, {
      enableThinking: thinking,
      ...(options.now ? { now: options.now } : {}),
    });
  } catch (error) {
    throw pairError(place, (error as Error).message, { cause: error });
  }
}

interface SideContext {
  place: PairPlace;
  options: PairOptions;
}

function concat(a: Int32Array, b: Int32Array): Int32Array {
  const out = new Int32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

const equal = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((id, index) => id === b[index]);

/**
 * Cuts two openings to one length: the longest, within the limit, after which the next tokens
 * differ (they become the answers), so that the two prompts are not the same either.
 */
function cutLength(
  openings: [Int32Array, Int32Array],
  sameprompt: boolean,
  context: SideContext,
): number {
  const [a, b] = openings;
  const limit = Math.min(context.options.openingLength ?? 16, a.length - 1, b.length - 1);
  for (let length = limit; length >= 1; length--) {
    const differs = !sameprompt || !equal(a.subarray(0, length), b.subarray(0, length));
    if (differs && a[length] !== b[length]) return length;
  }
  throw pairError(
    context.place,
    'the openings have no cut after which their next tokens differ; give longer openings, or ' +
      '"correct" and "incorrect".',
  );
}

function withOpenings(sides: PromptSides, raw: RawPair, context: SideContext): PromptSides {
  const { place, options } = context;
  if (raw['opening'] === undefined && raw['corrupted_opening'] === undefined) return sides;
  if (raw['opening'] === undefined || raw['corrupted_opening'] === undefined) {
    throw pairError(place, '"opening" and "corrupted_opening" are given together or not at all.');
  }
  const read = (key: string): Int32Array =>
    tokensOf(raw[key], key, place, { ...options, special: false });
  const openings: [Int32Array, Int32Array] = [read('opening'), read('corrupted_opening')];
  const given = raw['correct'] !== undefined || raw['continuation'] !== undefined;
  const length = given
    ? Math.min(options.openingLength ?? 16, openings[0].length, openings[1].length)
    : cutLength(openings, equal(sides.clean, sides.corrupted), context);
  const next = { correct: openings[0][length], incorrect: openings[1][length] };
  const tokenizer = options.tokenizer;
  const text = (ids: Int32Array): string =>
    tokenizer ? tokenizer.decode(ids, { skipSpecialTokens: false }) : '';
  const clean = concat(sides.clean, openings[0].subarray(0, length));
  const corrupted = concat(sides.corrupted, openings[1].subarray(0, length));
  return {
    clean,
    corrupted,
    text: text(clean),
    corruptedText: text(corrupted),
    ...(given ? {} : { next }),
  };
}

/** Both prompts of a raw pair. Token ids win over a descriptive `text` beside them. */
export function promptSides(raw: RawPair, context: SideContext): PromptSides {
  const { place, options } = context;
  const chat = raw['messages'] !== undefined;
  if (chat && (raw['clean'] !== undefined || raw['corrupted'] !== undefined)) {
    throw pairError(place, 'a pair has either "messages" or "clean" and "corrupted", not both.');
  }
  const special = chat ? false : (options.addSpecialTokens ?? true);
  const [cleanKey, corruptedKey] = chat
    ? ['messages', 'corrupted_messages']
    : ['clean', 'corrupted'];
  const side = (key: string): unknown => {
    // Two openings of one conversation need no second conversation.
    const value = raw[key] ?? (chat && raw['opening'] !== undefined ? raw['messages'] : undefined);
    if (value === undefined) throw pairError(place, `the key "${key}" is missing.`);
    return chat ? renderSide(value, key, raw, context) : value;
  };
  const values = [side(cleanKey), side(corruptedKey)] as const;
  const sides: PromptSides = {
    clean: tokensOf(values[0], cleanKey, place, { ...options, special }),
    corrupted: tokensOf(values[1], corruptedKey, place, { ...options, special }),
  };
  const describe = (value: unknown, key: string): string | undefined =>
    typeof value === 'string' ? value : typeof raw[key] === 'string' ? raw[key] : undefined;
  const text = describe(values[0], 'text');
  const corruptedText = describe(values[1], 'corrupted_text');
  if (text !== undefined) sides.text = text;
  if (corruptedText !== undefined) sides.corruptedText = corruptedText;
  return withOpenings(sides, raw, context);
}
