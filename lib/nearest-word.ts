// "Did you mean": the nearest known word by edit distance.

/** Levenshtein distance of two short words. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}

/** The nearest of `known`, or undefined when none is near enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = word.toLowerCase().slice(0, 60);
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    // A word that was cut short or ran on is nearer than its letters say.
    const other = name.toLowerCase();
    const extends_ = plain.length >= 3 && (other.startsWith(plain) || plain.startsWith(other));
    const distance = extends_ ? 1 : editDistance(plain, other);
    if (!best || distance < best.distance) best = { name, distance };
  }
  const limit = Math.max(1, Math.floor(plain.length / 3));
  return best && best.distance <= limit ? best.name : undefined;
}

/** ` Did you mean --x?`, or nothing. */
export function didYouMean(word: string, known: readonly string[], prefix = ''): string {
  const name = nearest(word, known);
  return name === undefined ? '' : ` Did you mean ${prefix}${name}?`;
}
