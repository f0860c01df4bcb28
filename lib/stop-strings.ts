// Finds stop strings in a text that grows token by token, exactly: also when a string spreads over
// several tokens, starts in the middle of one, or ends before bytes of an unfinished character.
import type { Tokenizer } from './tokenizer.js';

/** What is needed of a tokenizer; special tokens must come out as text. */
export type TokenDecoder = Pick<Tokenizer, 'decode'>;

const unfinished = '\uFFFD';

/** The text that each new token adds. A character whose bytes are not all there yet waits. */
export class TextStream {
  readonly #decoder: TokenDecoder;
  readonly #skipSpecialTokens: boolean;
  // Tokens from the last two cuts on: decoding [prefix, read) again gives what [prefix, end) has
  // in common with it, whatever the decoder does at the start of a text.
  #tokens: number[] = [];
  #read = 0;
  #pending = '';

  constructor(decoder: TokenDecoder, options: { skipSpecialTokens: boolean }) {
    this.#decoder = decoder;
    this.#skipSpecialTokens = options.skipSpecialTokens;
  }

  /** Text of whole characters that `token` finished; empty while a character is unfinished. */
  push(token: number): string {
    this.#tokens.push(token);
    const before = this.#decode(this.#tokens.slice(0, this.#read));
    const fresh = this.#decode(this.#tokens).slice(before.length);
    if (fresh === '' || fresh.endsWith(unfinished)) {
      this.#pending = fresh;
      // A byte that never becomes a character must not hold up the text for ever.
      if (this.#tokens.length - this.#read < 8) return '';
    }
    this.#tokens = this.#tokens.slice(this.#read);
    this.#read = this.#tokens.length;
    this.#pending = '';
    return fresh;
  }

  /** Whole characters before the unfinished one. */
  get pending(): string {
    return this.#pending.replace(/\uFFFD+$/, '');
  }

  /** What is left when no more tokens come. */
  flush(): string {
    const rest = this.#pending;
    this.#pending = '';
    return rest;
  }

  #decode(tokens: readonly number[]): string {
    return this.#decoder.decode(tokens, { skipSpecialTokens: this.#skipSpecialTokens });
  }
}

/** Says for each new token whether one of the strings has appeared in the text. */
export class StopStringMatcher {
  readonly #stream: TextStream;
  readonly #strings: readonly string[];
  readonly #longest: number;
  #tail = '';

  constructor(decoder: TokenDecoder, strings: readonly string[]) {
    this.#stream = new TextStream(decoder, { skipSpecialTokens: false });
    this.#strings = strings;
    this.#longest = Math.max(...strings.map((text) => text.length));
  }

  /** True when the text up to and with `token` contains a stop string. */
  push(token: number): boolean {
    this.#tail += this.#stream.push(token);
    const text = this.#tail + this.#stream.pending;
    if (this.#strings.some((stop) => text.includes(stop))) return true;
    // What is left can only be the beginning of one.
    this.#tail = this.#tail.slice(Math.max(0, this.#tail.length - this.#longest + 1));
    return false;
  }
}
