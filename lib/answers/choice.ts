// Multiple choice: the letter that an answer names, or the option whose content it repeats.

/** Letters of options in order; a problem has at most ten. */
export const choiceLetters = 'ABCDEFGHIJ';

/** The letter of an answer such as `B`, `(b)`, `\text{(C)}`, `option D`, `B) 12 m`; else undefined. */
export function choiceLetter(answer: string, count: number): string | undefined {
  const plain = answer
    .replace(/\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}/g, '$1')
    .replace(/[$*]/g, '')
    .trim();
  const match =
    /^(?:(?:option|choice|answer)\s*:?\s*)?\(?([A-Ja-j])\)?\s*[.:]?$/i.exec(plain) ??
    /^(?:(?:option|choice)\s*)?(?:\(([A-J])\)|([A-J])[).:])(?=\s|$)/.exec(plain) ??
    /^(?:option|choice)\s+([A-J])\b/i.exec(plain);
  const letter = (match?.[1] ?? match?.[2])?.toUpperCase();
  const place = letter === undefined ? -1 : choiceLetters.indexOf(letter);
  return place >= 0 && place < count ? letter : undefined;
}
