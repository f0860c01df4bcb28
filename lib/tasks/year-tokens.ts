// The answer tokens of the greater-than task. Where every two-digit string is one token (GPT-2,
// Llama 3) the answers are years; where digits are tokens of their own (Qwen, SmolLM) they are the
// first digit, and the digit equal to the start year's decides nothing and is in neither set.
import type { Tokenizer } from '../tokenizer.js';

/** How a tokenizer writes the last two digits of a year. */
export type YearForm = 'two-digit' | 'digit';

export interface YearTokens {
  form: YearForm;
  /** Ids of "00" to "99", or of "0" to "9". */
  ids: number[];
}

function plainToken(tokenizer: Tokenizer, text: string): number | undefined {
  const id = tokenizer.tokenToId(text);
  if (id !== undefined) return id;
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const same = ids.length === 1 && tokenizer.decode(ids, { skipSpecialTokens: false }) === text;
  return same ? ids[0] : undefined;
}

const cache = new WeakMap<Tokenizer, YearTokens | null>();

/** The year tokens of a tokenizer; undefined when it has neither all pairs nor all digits. */
export function yearTokens(tokenizer: Tokenizer): YearTokens | undefined {
  const known = cache.get(tokenizer);
  if (known !== undefined) return known ?? undefined;
  const collect = (size: number, width: number): number[] | undefined => {
    const ids = Array.from({ length: size }, (_, value) =>
      plainToken(tokenizer, String(value).padStart(width, '0')),
    );
    return ids.every((id) => id !== undefined) ? ids : undefined;
  };
  const pairs = collect(100, 2);
  const digits = pairs ? undefined : collect(10, 1);
  const found: YearTokens | null = pairs
    ? { form: 'two-digit', ids: pairs }
    : digits
      ? { form: 'digit', ids: digits }
      : null;
  cache.set(tokenizer, found);
  return found ?? undefined;
}

/**
 * Tokens above (`correct`) and not above (`incorrect`) a two-digit start year, as in Hanna et al.
 * 2023: the start year itself counts as wrong. Undefined when one of the sets would be empty.
 */
export function greaterThanAnswers(
  tokenizer: Tokenizer,
  year: number,
): { correct: number[]; incorrect: number[] } | undefined {
  const tokens = yearTokens(tokenizer);
  if (!tokens) return undefined;
  const pivot = tokens.form === 'two-digit' ? year : Math.floor(year / 10);
  const correct = tokens.ids.slice(pivot + 1);
  const incorrect = tokens.ids.slice(0, tokens.form === 'two-digit' ? pivot + 1 : pivot);
  return correct.length > 0 && incorrect.length > 0 ? { correct, incorrect } : undefined;
}
