// Balanced brackets in LaTeX and plain text: reading one group, and splitting at the top level.

/** Longest group that is read: a text of many unclosed braces must not take quadratic time. */
const maxGroup = 2_000;

const closers: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']' };

/** True where the character at `at` is escaped by a backslash (`\{`, but not `\\{`). */
export function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === '\\') slashes++;
  return slashes % 2 === 1;
}

/**
 * The group that opens with the brace at `start`: its content and the place after its end.
 * Escaped braces do not count. Undefined when it is not closed
 * within 2,000 characters.
 */
export function readGroup(
  text: string,
  start: number,
): { content: string; end: number } | undefined {
  if (text[start] !== '{' || !text.includes('}', start)) return undefined;
  let depth = 0;
  const limit = Math.min(text.length, start + maxGroup);
  for (let at = start; at < limit; at++) {
    const char = text[at];
    if ((char !== '{' && char !== '}') || isEscaped(text, at)) continue;
    depth += char === '{' ? 1 : -1;
    if (depth === 0) return { content: text.slice(start + 1, at), end: at + 1 };
  }
  return undefined;
}

/** Parts between separators that stand outside all brackets. Interval brackets may be mixed: (1,2]. */
export function splitTopLevel(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char in closers) depth++;
    else if (char === '}' || char === ')' || char === ']') depth--;
    else if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(start, at));
      at += separator.length - 1;
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

/** True when the bracket at 0 closes at the very end: `(a)(b)` is not one group, `((a))` is. */
export function isOneGroup(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] in closers) depth++;
    else if ('})]'.includes(text[at])) depth--;
    if (depth === 0 && at < text.length - 1) return false;
  }
  return depth === 0 && text.length > 1;
}
