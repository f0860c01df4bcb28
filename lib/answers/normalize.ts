// One spelling for what LaTeX and Unicode write in many ways, so that the later stages see few forms.
// Nothing here decides whether two answers are equal; it removes what never carries meaning.
import { readGroup } from './braces.js';
import { plainWording } from './wording.js';

/** Unicode to LaTeX or ASCII. */
const characters: readonly (readonly [RegExp, string])[] = [
  [/[\u2212\u2010-\u2015\uFE63\uFF0D]/g, '-'],
  [/[\u00A0\u2000-\u200A\u202F\u3000]/g, ' '],
  [/[\u200B-\u200D\u2060\uFEFF]/g, ''],
  [/\u00D7/g, '\\times '],
  [/[\u00B7\u22C5]/g, '\\cdot '],
  [/\u00F7/g, '/'],
  [/\u00B1/g, '\\pm '],
  [/\u03C0/g, '\\pi '],
  [/\u221E/g, '\\infty '],
  [/\u2264/g, '\\le '],
  [/\u2265/g, '\\ge '],
  [/\u2260/g, '\\ne '],
  [/\u222A/g, '\\cup '],
  [/\u2208/g, '\\in '],
  [/\u2205/g, '\\emptyset '],
  [/[\u00B0\u00BA]/g, '^\\circ '],
  [/\u00B2/g, '^{2}'],
  [/\u00B3/g, '^{3}'],
  [/\u00BD/g, '\\frac{1}{2}'],
  [/\u00BC/g, '\\frac{1}{4}'],
  [/\u00BE/g, '\\frac{3}{4}'],
  [/\u221A\s*\(([^()]*)\)/g, '\\sqrt{$1}'],
  [/\u221A\s*(\d+|[a-z])/g, '\\sqrt{$1}'],
  [/\u2044/g, '/'],
];

/** `12\\,345\\,678`: thousands set apart by LaTeX's thin space. A plain space parts two numbers. */
const thinThousands = /(?<![\d.,])\d{1,3}(?:\\,\d{3})+(?!\d|\\,\d)/g;

/** `0.333...`: a digit three times and dots goes on for ever. */
const repeating = /(?<=\.\d{0,20})((\d)\2{2,20})(?:\.{3}|\u2026)(?=\$*$)/;

/** What says how exact a value is, or only introduces it; quotation marks. */
const introduction = /^(?:\\approx(?![a-z])|\u2248|=|approximately\b|about\b|roughly\b)\s*(?=\S)/i;
const quoted = /^(["'`\u201C])([^"'`\u201C\u201D]+)["'`\u201D]$/;

/** Spacing, sizing and delimiters that carry no meaning. */
const noise: readonly (readonly [RegExp, string])[] = [
  [
    /\\(?:left|right|bigl?|bigr|Bigl?|Bigr|biggl?|biggr)(?![a-zA-Z])\s*\.?(?=[\s()[\]|\\{}]|$)/g,
    '',
  ],
  [/\\[dtc]frac(?![a-z])/g, '\\frac'],
  [/\\(?:displaystyle|textstyle|limits|phantom\{[^{}]*\})/g, ''],
  [/,\\!\s*/g, ','],
  [/(?<=\d)\s*x\s*(?=10\s*\^)/g, '\\times '],
  [/(?<=\.\d*)\\(?:bar|dot)\s*\{(\d+)\}/g, '\\overline{$1}'],
  [/\{,\}/g, ','],
  [/\\(?:quad|qquad|enspace|thinspace)(?![a-zA-Z])|(?<!\\)\\[,;:! ]|~/g, ' '],
  [/(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)/g, '\\sqrt{$1}'],
  [/\\%/g, '%'],
  [/\\\$/g, '$'],
  [/\\(?:leq|leqslant)(?![a-z])/g, '\\le '],
  [/\\(?:geq|geqslant)(?![a-z])/g, '\\ge '],
  [/\\neq(?![a-z])/g, '\\ne '],
  [/<=/g, '\\le '],
  [/>=/g, '\\ge '],
  [/\\lbrace(?![a-z])/g, '\\{'],
  [/\\rbrace(?![a-z])/g, '\\}'],
  [/\\[lr]angle(?![a-z])/g, ''],
  [/\^\s*\{?\s*\\circ\s*\}?|\\degrees?(?![a-z])/g, '^\\circ '],
  [/\\(?:varnothing)(?![a-z])/g, '\\emptyset '],
];

/** Commands whose argument is kept as plain text. */
const textCommands =
  /\\(?:text|textrm|textbf|textit|textnormal|mbox|mathrm|mathbf|mathit|mathsf|operatorname|hbox|bm|boldsymbol)\s*(?=\{)/;

/** Longest answer that is looked at. */
export const maxAnswerLength = 2_000;

function replaceAllOf(text: string, rules: readonly (readonly [RegExp, string])[]): string {
  return rules.reduce(
    (result, [pattern, replacement]) => result.replace(pattern, replacement),
    text,
  );
}

/** `\text{ cm}^2` becomes ` cm^2`. */
function unwrapText(text: string): string {
  for (let round = 0; round < 50; round++) {
    const match = textCommands.exec(text);
    if (!match) break;
    const brace = match.index + match[0].length;
    const group = readGroup(text, brace);
    if (!group) break;
    // Spaces keep words apart from numbers; in front of an exponent there must be none.
    const content = text[group.end] === '^' ? group.content.trimEnd() : `${group.content} `;
    text = `${text.slice(0, match.index)} ${content}${text.slice(group.end)}`;
  }
  return text;
}

/** `\frac12`, `\frac 59`, `\frac{1}2`, `\frac9{19}` and `\sqrt2` get their braces. */
function braceArguments(text: string): string {
  const token = String.raw`(?:\{|(\\[a-zA-Z]+|[0-9a-zA-Z]))`;
  let result = text.replace(new RegExp(String.raw`\\frac\s*${token}`, 'g'), (_, one?: string) =>
    one === undefined ? '\\frac{' : `\\frac{${one}}`,
  );
  result = result.replace(/\\sqrt\s*([0-9a-zA-Z])/g, '\\sqrt{$1}').replace(/\\sqrt\s+/g, '\\sqrt');
  let from = 0;
  for (let round = 0; round < 200; round++) {
    const at = result.indexOf('\\frac{', from);
    if (at < 0) break;
    const first = readGroup(result, at + 5);
    if (!first) break;
    const rest = /^\s*(\\[a-zA-Z]+|[0-9a-zA-Z])/.exec(result.slice(first.end));
    if (rest) {
      const after = first.end + rest[0].length;
      result = `${result.slice(0, first.end)}{${rest[1]}}${result.slice(after)}`;
    } else {
      result = result.slice(0, first.end) + result.slice(first.end).replace(/^\s+(?=\{)/, '');
    }
    from = at + 6;
  }
  return result;
}

const mathDelimiters: readonly (readonly [string, string])[] = [
  ['$$', '$$'],
  ['$', '$'],
  ['\\(', '\\)'],
  ['\\[', '\\]'],
];

/** Takes the delimiters of a formula off when they surround the whole text. */
function stripDelimiters(text: string): string {
  for (const [open, close] of mathDelimiters) {
    const inside = text.length > open.length + close.length;
    if (!inside || !text.startsWith(open) || !text.endsWith(close)) continue;
    const content = text.slice(open.length, -close.length);
    if (!content.replaceAll('\\$', '').includes(open)) return stripDelimiters(content.trim());
  }
  return text;
}

/**
 * An answer in one spelling: no delimiters, sizing or spacing commands, `\frac` and `\sqrt` with
 * braces, text commands unwrapped, Unicode symbols as LaTeX, no full stop at the end.
 */
export function normalizeLatex(raw: string): string {
  let text = raw.slice(0, maxAnswerLength).normalize('NFC').trim();
  text = text.replace(repeating, '$1\\ldots');
  const box = /^\\f?boxed\s*(?=\{)/.exec(text);
  const inside = box && readGroup(text, box[0].length);
  if (inside?.end === text.length) text = inside.content;
  text = stripDelimiters(text.replace(/[.;]+\s*(\$*)$/, '$1').trim());
  text = replaceAllOf(text, characters);
  text = text.replace(thinThousands, (digits) => digits.replaceAll('\\,', ''));
  text = replaceAllOf(text, noise);
  text = unwrapText(text).replace(/\\\$/g, '$');
  text = braceArguments(text);
  text = text.replace(/\*\*(.+)\*\*/gs, '$1').trim();
  text = text.replace(quoted, '$2').replace(introduction, '');
  return plainWording(
    text
      .replace(/\s+/g, ' ')
      .trim()
      .replace(/(?<!\d)[.,;:]+$|(?<=\d)[.,;:]+$/, '')
      .trim(),
  );
}
