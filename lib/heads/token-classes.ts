// What kind of token a head looks at, from the decoded texts of a prompt's tokens: digits, operators,
// delimiters, and the markers between which a model thinks.

/** In the order of their bits. */
export const tokenClasses = ['digits', 'operators', 'delimiters', 'think'] as const;

/**
 * - `digits`: numbers, with signs of grouping and fractions between digits (`12`, ` 1,000`, `3.5`).
 * - `operators`: nothing but signs of arithmetic and comparison, or a LaTeX command for one
 *   (`+`, `**`, `≤`, `\times`). A hyphen cannot be told from a minus.
 * - `delimiters`: nothing but punctuation, brackets, quotes, `$`, `|`, `&`, `\`, `#` or white space
 *   with a line break, and the special tokens of the tokenizer; not at the first position, which heads
 *   look at for want of anything else (property `first`).
 * - `think`: tokens of a marker (`<think>`, `</think>`, …), one token or several.
 */
export type TokenClass = (typeof tokenClasses)[number];

/** Markers between which models think. */
export const thinkMarkers: readonly string[] = [
  '<think>',
  '</think>',
  '<thinking>',
  '</thinking>',
  '<thought>',
  '</thought>',
  '<reasoning>',
  '</reasoning>',
  '<|begin_of_thought|>',
  '<|end_of_thought|>',
  '[THINK]',
  '[/THINK]',
  '◁think▷',
  '◁/think▷',
];

/** One token as it is seen. */
export interface SeenToken {
  /** Decoded by itself; a part of a character is U+FFFD. */
  readonly text: string;
  /** A special token of the tokenizer. */
  readonly special: boolean;
}

const digits = /^\p{Nd}(?:[\p{Nd}.,]*\p{Nd})?$/u;
const operators =
  /^(?:[-+*/^=<>%~×·⋅÷±∓∗−–≤≥≠≈≡∝√∑∏∫→⇒↦]+|\\(?:times|cdot|div|pm|mp|ast|frac|dfrac|tfrac|sqrt|sum|prod|int|leq?|geq?|neq?|lt|gt|approx|equiv|bmod|pmod|mod|to))$/u;
const delimiters = /^[()[\]{}⟨⟩⌊⌋⌈⌉,;:.…!?"'`“”‘’«»|$\\&#_]+$/u;

/** The class of a token's own text; markers are not looked at. */
export function classOfText({ text, special }: SeenToken): TokenClass | undefined {
  if (special) return 'delimiters';
  const trimmed = text.trim();
  if (trimmed === '') return /[\n\r]/.test(text) ? 'delimiters' : undefined;
  if (digits.test(trimmed)) return 'digits';
  if (operators.test(trimmed)) return 'operators';
  return delimiters.test(trimmed) ? 'delimiters' : undefined;
}

/** Whether each token has a part in a marker, which may be spelled by several tokens. */
function inMarker(tokens: readonly SeenToken[], markers: readonly string[]): boolean[] {
  const ends: number[] = [];
  let whole = '';
  for (const { text } of tokens) {
    whole += text;
    ends.push(whole.length);
  }
  const found = tokens.map(() => false);
  for (const marker of markers) {
    for (let at = whole.indexOf(marker); at >= 0; at = whole.indexOf(marker, at + 1)) {
      ends.forEach((end, index) => {
        const begin = index === 0 ? 0 : ends[index - 1];
        if (begin < at + marker.length && end > at) found[index] = true;
      });
    }
  }
  return found;
}

export const classBit = (name: TokenClass): number => 1 << tokenClasses.indexOf(name);

/** Per token the bits of its class: one or none. Tokens of a marker are `think` and nothing else. */
export function classifyTokens(
  tokens: readonly SeenToken[],
  markers: readonly string[] = thinkMarkers,
): number[] {
  const marked = inMarker(
    tokens,
    markers.filter((marker) => marker !== ''),
  );
  return tokens.map((token, index) => {
    if (marked[index]) return classBit('think');
    const name = classOfText(token);
    const isSink = name === 'delimiters' && index === 0;
    return name === undefined || isSink ? 0 : classBit(name);
  });
}
