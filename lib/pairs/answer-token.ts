// From an answer as a file gives it (token id, token text, or a list of either) to token ids.
// A text must be exactly one token; which spellings are tried is the one thing to know here.
import { checkAnyText, checkTokenizer } from '../argument-checks.js';
import type { Tokenizer } from '../tokenizer.js';
import { pairError, quote } from './pair-error.js';
import type { PairPlace } from './types.js';

/** The vocabulary an id must be in, and the tokenizer if there is one. */
export interface AnswerContext {
  tokenizer?: Tokenizer | undefined;
  vocabSize?: number | undefined;
}

/**
 * The id of a text that is exactly one token, or undefined. Tried in order: the text as it is; a
 * vocabulary entry spelled so (a digit in a SentencePiece vocabulary); with a leading space (byte
 * level tokenizers, where `Mary` is two tokens and ` Mary` is one); without one (SentencePiece,
 * which adds its own).
 */
export function singleToken(tokenizer: Tokenizer, text: string): number | undefined {
  checkTokenizer('singleToken', tokenizer);
  checkAnyText('singleToken', text);
  if (text === '') return undefined;
  const tryText = (spelling: string): number | undefined => {
    if (!tokenizer.represents(spelling)) return undefined;
    const ids = tokenizer.encode(spelling, { addSpecialTokens: false });
    return ids.length === 1 ? ids[0] : undefined;
  };
  return (
    tryText(text) ??
    tokenizer.tokenToId(text) ??
    tryText(` ${text}`) ??
    (text.startsWith(' ') && text.trim() !== '' ? tryText(text.trimStart()) : undefined)
  );
}

/** Throws PAIR_FORMAT unless `id` is a token id of the vocabulary. */
export function checkId(
  id: unknown,
  key: string,
  place: PairPlace,
  vocabSize: number | undefined,
): number {
  const limit = vocabSize ?? 2 ** 31;
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= limit) {
    const range = vocabSize === undefined ? '' : ` of the vocabulary (0 to ${vocabSize - 1})`;
    throw pairError(place, `"${key}" has ${JSON.stringify(id)}, which is not a token id${range}.`);
  }
  return id as number;
}

function resolveOne(value: unknown, key: string, place: PairPlace, context: AnswerContext): number {
  if (typeof value === 'number') return checkId(value, key, place, context.vocabSize);
  if (typeof value !== 'string') {
    throw pairError(
      place,
      `"${key}" must be a token's text, a token id or a list of them, not ${JSON.stringify(value)}.`,
    );
  }
  if (!context.tokenizer) {
    throw pairError(
      place,
      `"${key}" is the text ${quote(value)}, but there is no tokenizer; give ids.`,
    );
  }
  const id = singleToken(context.tokenizer, value);
  if (id !== undefined) return checkId(id, key, place, context.vocabSize);
  if (!context.tokenizer.represents(value)) {
    throw pairError(place, `"${key}" ${quote(value)} cannot be spelled by the tokenizer.`);
  }
  const ids = Array.from(context.tokenizer.encode(value, { addSpecialTokens: false }));
  const pieces = ids.map((piece) => quote(context.tokenizer!.idToToken(piece) ?? '?')).join(' ');
  throw pairError(
    place,
    `"${key}" ${quote(value)} is ${ids.length} tokens (${pieces.slice(0, 200)}), not one; ` +
      'give its first token or a token id.',
  );
}

/** Distinct token ids of `correct` or `incorrect`, in the order given. */
export function resolveAnswers(
  value: unknown,
  key: string,
  place: PairPlace,
  context: AnswerContext,
): number[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw pairError(place, `"${key}" is an empty list.`);
  return [...new Set(list.map((item) => resolveOne(item, key, place, context)))];
}
