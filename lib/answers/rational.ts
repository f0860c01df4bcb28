// Exact rational numbers: BigInt fractions in lowest terms, and reading them from the ways people
// and models write numbers (1,234.5, 3/4, \frac{3}{4}, 1\frac{4}{5}, 2.5\times10^{3}, 0.\overline{3}).

/** numerator / denominator in lowest terms; the denominator is positive. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Longest run of digits that is read; a hostile text must not become a huge integer. */
const maxDigits = 400;
/** Largest power of ten of scientific notation. */
const maxExponent = 400;

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
}

/** The fraction in lowest terms; undefined for a zero denominator. */
export function rational(numerator: bigint, denominator = 1n): Rational | undefined {
  if (denominator === 0n) return undefined;
  const sign = denominator < 0n ? -1n : 1n;
  const divisor = gcd(numerator, denominator) || 1n;
  return {
    numerator: (sign * numerator) / divisor,
    denominator: (sign * denominator) / divisor,
  };
}

export function equalRationals(a: Rational, b: Rational): boolean {
  return a.numerator === b.numerator && a.denominator === b.denominator;
}

export function addRationals(a: Rational, b: Rational): Rational {
  const numerator = a.numerator * b.denominator + b.numerator * a.denominator;
  return rational(numerator, a.denominator * b.denominator)!;
}

export function negateRational(a: Rational): Rational {
  return { numerator: -a.numerator, denominator: a.denominator };
}

export function multiplyRationals(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator)!;
}

/** a / b; undefined when b is zero. */
export function divideRationals(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.denominator, a.denominator * b.numerator);
}

/** -1, 0 or 1. */
export function compareRationals(a: Rational, b: Rational): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** `3`, `-3/4`. */
export function formatRational({ numerator, denominator }: Rational): string {
  return denominator === 1n ? String(numerator) : `${numerator}/${denominator}`;
}

/** A plain decimal without sign or separators: `12`, `.5`, `3.`, `0.25`. */
export function parseDecimal(text: string): Rational | undefined {
  const match = /^(\d*)(?:\.(\d*))?$/.exec(text);
  if (!match || text.length > maxDigits) return undefined;
  const [whole, fraction] = [match[1], match[2] ?? ''];
  if (whole === '' && fraction === '') return undefined;
  return rational(BigInt(`${whole}${fraction}`), 10n ** BigInt(fraction.length));
}

/** Removes commas that stand where thousands are set apart: `1,234,567.8`; others stay. */
export function withoutThousands(text: string): string {
  return /^\d{1,3}(?:,\d{3})+(?:\.\d*)?$/.test(text) ? text.replaceAll(',', '') : text;
}

function parseRepeating(text: string): Rational | undefined {
  const match = /^(\d*)\.(\d*)\\overline\{(\d+)\}$/.exec(text);
  if (!match || text.length > maxDigits) return undefined;
  const [, whole, fixed, repeated] = match;
  const start = parseDecimal(`${whole || '0'}.${fixed}`)!;
  const nines = 10n ** BigInt(repeated.length) - 1n;
  const tail = rational(BigInt(repeated), nines * 10n ** BigInt(fixed.length))!;
  return addRationals(start, tail);
}

function parseScientific(text: string): Rational | undefined {
  const match = /^([\d.]+)(?:e|(?:\\times|\\cdot|\*)10\^)\{?([+-]?\d{1,4})\}?$/i.exec(text);
  if (!match) return undefined;
  const [mantissa, exponent] = [parseDecimal(match[1]), Number(match[2])];
  if (!mantissa || Math.abs(exponent) > maxExponent) return undefined;
  const power = 10n ** BigInt(Math.abs(exponent));
  return multiplyRationals(mantissa, exponent < 0 ? rational(1n, power)! : rational(power)!);
}

function parseUnsigned(text: string): Rational | undefined {
  return (
    parseDecimal(withoutThousands(text)) ??
    parseRepeating(text) ??
    parseScientific(text) ??
    parseFraction(text)
  );
}

function parseFraction(text: string): Rational | undefined {
  const match =
    /^(\d+)?\\frac\{([+-]?[\d.,]+)\}\{([+-]?[\d.,]+)\}$/.exec(text) ??
    /^(?:(\d+)(?:\s|\+))?([\d.,]+)\/([\d.,]+)$/.exec(text);
  if (!match) return undefined;
  const [top, bottom] = [parseSigned(match[2]), parseSigned(match[3])];
  const share = top && bottom && divideRationals(top, bottom);
  if (!share || match[1] === undefined) return share;
  const whole = parseDecimal(match[1]);
  return whole && addRationals(whole, share);
}

function parseSigned(text: string): Rational | undefined {
  const negative = text.startsWith('-');
  const value = parseUnsigned(/^[+-]/.test(text) ? text.slice(1) : text);
  return value && negative ? negateRational(value) : value;
}

/**
 * The exact value of a text that is one number, after `normalizeLatex`: integers, decimals,
 * repeating decimals, fractions, mixed numbers, scientific notation, thousands separators.
 * Undefined for everything else, and for numbers of more than 400 digits.
 */
export function parseRational(text: string): Rational | undefined {
  const trimmed = text.trim().replace(/^\((.*)\)$/s, '$1');
  const mixed = /^([+-]?\d+) (\d+\/\d+)$/.exec(trimmed);
  if (mixed) return parseSigned(trimmed);
  // Two numbers side by side are not one number.
  return /\d\s+[\d.]/.test(trimmed) ? undefined : parseSigned(trimmed.replace(/\s+/g, ''));
}
