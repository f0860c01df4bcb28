// The outer shape of a normalised answer: a set, a tuple or interval, a union of intervals, a list,
// a matrix, an equation, or a single value.
import { isOneGroup, splitTopLevel } from './braces.js';
import { withoutThousands } from './rational.js';

export type Structure =
  | { readonly kind: 'scalar'; readonly text: string }
  /** Also intervals, whose brackets may differ. */
  | {
      readonly kind: 'tuple';
      readonly open: string;
      readonly close: string;
      readonly items: Structure[];
    }
  | { readonly kind: 'set'; readonly items: Structure[] }
  /** Values between commas or "and", in no order. */
  | { readonly kind: 'list'; readonly items: Structure[] }
  | { readonly kind: 'union'; readonly items: Structure[] }
  | { readonly kind: 'matrix'; readonly rows: Structure[][] }
  | { readonly kind: 'equation'; readonly left: string; readonly right: string };

const scalar = (text: string): Structure => ({ kind: 'scalar', text: text.trim() });

/** Nesting that is followed; deeper brackets are compared as one formula. */
const maxDepth = 6;

function matrix(whole: string, depth: number): Structure | undefined {
  // An array has its brackets outside.
  const text = whole.replace(/^[[(]\s*(\\begin\{array\}.*\\end\{array\})\s*[\])]$/s, '$1');
  const match = /^\\begin\{([pbvB]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}$/s.exec(text);
  if (!match) return undefined;
  const rows = match[2]
    .split(/\\\\(?:\[[^\]]*\])?/)
    .filter((row) => row.trim() !== '')
    .map((row) => row.split('&').map((cell) => parse(cell.trim(), depth + 1)));
  return { kind: 'matrix', rows };
}

function tuple(text: string, depth: number): Structure | undefined {
  const [open, close] = [text[0], text.at(-1)!];
  if (!'(['.includes(open) || !')]'.includes(close) || !isOneGroup(text)) return undefined;
  const items = splitTopLevel(text.slice(1, -1), ',');
  if (items.length < 2 || items.some((item) => item.trim() === '')) return undefined;
  return { kind: 'tuple', open, close, items: items.map((item) => parse(item.trim(), depth + 1)) };
}

function set(text: string, depth: number): Structure | undefined {
  if (/^(?:\\emptyset|\\\{\s*\\\})$/.test(text)) return { kind: 'set', items: [] };
  const match = /^\\\{(.*)\\\}$/s.exec(text) ?? /^\{(.*)\}$/s.exec(text);
  if (!match || /\\[{}]/.test(match[1])) return undefined;
  // \{x | x > 3\}: what follows says which.
  const builder = /^\s*[a-zA-Z](?:\s*\\in[^|:]*)?\s*(?:\||\\mid(?![a-z])|:)\s*(.+)$/s.exec(
    match[1],
  );
  if (builder) return parse(builder[1].trim(), depth + 1);
  const items = splitTopLevel(match[1], ',').flatMap((item) => plusMinus(item.trim()));
  return { kind: 'set', items: items.map((item) => parse(item, depth + 1)) };
}

/** `1 \pm \sqrt{2}` stands for two values. */
function plusMinus(text: string): string[] {
  const parts = text.split(/\\pm(?![a-z])/);
  if (parts.length !== 2) return [text];
  return [`${parts[0]}+${parts[1]}`, `${parts[0]}-${parts[1]}`].map((part) =>
    part.trim().replace(/^\+\s*/, ''),
  );
}

const infinity = '\\infty';

function interval(parts: { open: string; low: string; high: string; close: string }): Structure {
  const { open, low, high, close } = parts;
  return { kind: 'tuple', open, close, items: [scalar(low), scalar(high)] };
}

/** `x > 2`, `-2 \le x < 7`: as an interval of one letter. */
function inequality(text: string): Structure | undefined {
  const relation = String.raw`(<|>|\\(?:le|ge|lt|gt)(?![a-z]))`;
  const double = new RegExp(`^([^<>]+?)\\s*${relation}\\s*([a-zA-Z])\\s*${relation}\\s*([^<>]+)$`);
  const closed = (sign: string): boolean => sign === '\\le' || sign === '\\ge';
  const isLess = (sign: string): boolean => sign === '<' || sign === '\\le' || sign === '\\lt';
  const both = double.exec(text);
  if (both) {
    const [, first, one, , two, last] = both;
    if (isLess(one) !== isLess(two)) return undefined;
    const [low, high] = isLess(one) ? [first, last] : [last, first];
    const [left, right] = isLess(one) ? [one, two] : [two, one];
    return interval({
      open: closed(left) ? '[' : '(',
      low,
      high,
      close: closed(right) ? ']' : ')',
    });
  }
  const single = new RegExp(`^([^<>]+?)\\s*${relation}\\s*([^<>]+)$`).exec(text);
  if (!single || /\\[lg]e(?![a-z])/.test(single[3])) return undefined;
  const [, left, sign, right] = single;
  const letterFirst = /^[a-zA-Z]$/.test(left.trim());
  if (!letterFirst && !/^[a-zA-Z]$/.test(right.trim())) return undefined;
  const value = letterFirst ? right : left;
  return isLess(sign) === letterFirst
    ? interval({ open: '(', low: `-${infinity}`, high: value, close: closed(sign) ? ']' : ')' })
    : interval({ open: closed(sign) ? '[' : '(', low: value, high: infinity, close: ')' });
}

/** `x < -1 or x > 3`: a union of intervals of one letter. */
function alternatives(text: string): Structure | undefined {
  const parts = text.split(/\s+or\s+|\s*\\(?:lor|vee)(?![a-z])\s*/);
  if (parts.length < 2) return undefined;
  const letters = new Set(
    parts.map((part) => /(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])/.exec(part)?.[0]),
  );
  const items = parts.map((part) => inequality(part.trim()));
  const whole = items.filter((item) => item !== undefined);
  if (letters.size !== 1 || whole.length < parts.length) return undefined;
  return { kind: 'union', items: whole };
}

const withoutPoint =
  /^(?:\\mathbb\s*\{?\s*R\s*\}?|\(-\\infty,\s*\\infty\))\s*(?:\\setminus|\\backslash|-)\s*\\\{([^,{}]+)\\\}$/;

/** `x \ne 2`, `\mathbb{R} \setminus \{2\}`: the real line without a point. */
function exception(text: string): Structure | undefined {
  const match = /^[a-zA-Z]\s*\\ne(?![a-z])\s*([^,<>=]+)$/.exec(text) ?? withoutPoint.exec(text);
  if (!match || /\\ne(?![a-z])/.test(match[1])) return undefined;
  const point = match[1].trim();
  const [open, close] = ['(', ')'];
  return {
    kind: 'union',
    items: [
      interval({ open, low: `-${infinity}`, high: point, close }),
      interval({ open, low: point, high: infinity, close }),
    ],
  };
}

function list(text: string, depth: number): Structure | undefined {
  if (
    withoutThousands(text.replace(/^-?\s*[$€£]?\s*/, '').replace(/[^\d,.].*$/s, '')).length <
    text.length
  ) {
    const digits = /^-?\s*[$€£]?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\s*,)/.exec(text);
    if (digits && !text.slice(digits[0].length).includes(',')) return undefined;
  }
  const worded = text.replace(/,?\s+(?:and|or)\s+/g, ',');
  const items = splitTopLevel(worded, ',').flatMap((item) => splitTopLevel(item, ';'));
  const values = items.map((item) => item.trim()).flatMap(plusMinus);
  if (values.length < 2 || values.some((item) => item === '')) return undefined;
  return { kind: 'list', items: values.map((item) => parse(item, depth + 1)) };
}

function equation(text: string): Structure | undefined {
  const sides = splitTopLevel(text, '=');
  if (sides.length < 2 || sides.some((side) => side.trim() === '')) return undefined;
  // "x = 6/4 = 3/2": the last side is the answer.
  return { kind: 'equation', left: sides[0].trim(), right: sides.at(-1)!.trim() };
}

function union(text: string, depth: number): Structure | undefined {
  const parts = splitTopLevel(text, '\\cup');
  if (parts.length < 2) return undefined;
  return { kind: 'union', items: parts.map((part) => parse(part.trim(), depth + 1)) };
}

function parse(text: string, depth: number): Structure {
  if (depth > maxDepth || text === '') return scalar(text);
  const member = /^[a-zA-Z]\s*\\in(?![a-z])\s*(.+)$/s.exec(text);
  if (member) return parse(member[1].trim(), depth + 1);
  return (
    matrix(text, depth) ??
    union(text, depth) ??
    tuple(text, depth) ??
    set(text, depth) ??
    alternatives(text) ??
    exception(text) ??
    list(text, depth) ??
    inequality(text) ??
    equation(text) ??
    scalar(text)
  );
}

/** The structure of a normalised answer. */
export function parseStructure(text: string): Structure {
  return parse(text.trim(), 0);
}
