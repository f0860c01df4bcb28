// Loops: a stretch of tokens that repeats the same block again and again.

export interface TokenLoop {
  /** First token of the first block. */
  readonly start: number;
  /** Tokens of one block. */
  readonly period: number;
  /** Times the block stands there, the last one perhaps cut off. */
  readonly repeats: number;
}

/** Longest block that is looked for; sentences and short paragraphs fit. */
const maxPeriod = 256;
/** Fewest tokens of a loop, so that "1 1 1" or a row of dashes is none. */
const minTokens = 24;
const minRepeats = 3;

/**
 * The longest stretch of at least 24 tokens in which one block of at most 256 tokens stands three
 * times or more, back to back; of equal lengths the one with the shortest block. Undefined: none.
 */
export function findLoop(tokens: ArrayLike<number>): TokenLoop | undefined {
  let best: TokenLoop | undefined;
  let bestLength = 0;
  const consider = (start: number, end: number, period: number): void => {
    const length = end - start;
    if (length < Math.max(minTokens, minRepeats * period) || length <= bestLength) return;
    best = { start, period, repeats: Math.floor(length / period) };
    bestLength = length;
  };
  for (let period = 1; period <= maxPeriod && period * minRepeats <= tokens.length; period++) {
    let matched = 0;
    for (let place = period; place < tokens.length; place++) {
      if (tokens[place] === tokens[place - period]) matched++;
      else {
        if (matched > 0) consider(place - matched - period, place, period);
        matched = 0;
      }
    }
    if (matched > 0) consider(tokens.length - matched - period, tokens.length, period);
  }
  return best;
}
