// Possessive quantifiers and atomic groups of a tokenizer's pattern, which JavaScript's expressions do not
// have, by what they have: a lookahead never gives back what it matched.
const escape = /^\\(?:[pPxuk]\{[^}]*\}|k<[^>]*>|[^])/;
const braces = /^\{(?:\d+(?:,\d*)?|,\d+)\}/;

/** Where a character class ends that begins at `start`; classes nest. */
function classEnd(pattern: string, start: number): number {
  let at = start + 1;
  if (pattern[at] === '^') at++;
  if (pattern[at] === ']') at++;
  while (at < pattern.length && pattern[at] !== ']') {
    if (pattern[at] === '\\') at += 2;
    else at = pattern[at] === '[' ? classEnd(pattern, at) : at + 1;
  }
  return at + 1;
}

interface Group {
  begin: number;
  isAtomic: boolean;
}

/** The same pattern without `a++`, `a*+`, `a?+` and `(?>a)`. */
export function atomicPattern(pattern: string): string {
  if (!/[?*+]\+|\(\?>/.test(pattern)) return pattern;
  const groups: Group[] = [];
  let out = '';
  let atom = 0;
  let count = 0;
  // A name of letters would not survive (?i: ) in the library.
  const seal = (): void => {
    const name = `_${count++}`;
    out = `${out.slice(0, atom)}(?:(?=(?<${name}>${out.slice(atom)}))\\k<${name}>)`;
  };
  for (let at = 0; at < pattern.length;) {
    const rest = pattern.slice(at);
    const character = pattern[at];
    let piece = escape.exec(rest)?.[0] ?? String.fromCodePoint(pattern.codePointAt(at)!);
    if (character === '[') piece = pattern.slice(at, classEnd(pattern, at));
    if (character === '{') piece = braces.exec(rest)?.[0] ?? piece;
    at += piece.length;
    if (character === '(') {
      groups.push({ begin: out.length, isAtomic: rest.startsWith('(?>') });
      if (rest.startsWith('(?')) {
        // What follows says what the group is, not what is repeated.
        const kind = /^\(\?(?:<?[=!:>]|<\w+>|[a-z]*:|[a-z]+)?/.exec(rest)![0];
        at += kind.length - 1;
        piece = kind === '(?>' ? '(?:' : kind;
      }
      out += piece;
    } else if (character === ')') {
      const group = groups.pop() ?? { begin: 0, isAtomic: false };
      out += piece;
      atom = group.begin;
      if (group.isAtomic) seal();
    } else if ('?*+'.includes(character) || (character === '{' && piece.length > 1)) {
      out += piece;
      const isPossessive = character !== '{' && pattern[at] === '+';
      if (isPossessive) seal();
      else if (pattern[at] === '?') out += '?';
      if (isPossessive || pattern[at] === '?') at++;
    } else {
      atom = out.length;
      out += piece;
    }
  }
  return out;
}
