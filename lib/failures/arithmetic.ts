// Arithmetic slips: spans such as "3 + 4*2 = 11" in a text, evaluated exactly (fractions, operator
// precedence, brackets, small powers). What holds variables or is incomplete is not judged.
import {
  addRationals,
  compareRationals,
  divideRationals,
  equalRationals,
  formatRational,
  multiplyRationals,
  negateRational,
  parseDecimal,
  rational,
  type Rational,
} from '../answers/rational.js';

export interface ArithmeticSpan {
  /** The two sides as they stand, `=` between them. */
  readonly text: string;
  /** Exact value of the left side. */
  readonly value: string;
}

export interface ArithmeticCheck {
  /** Equations that could be judged. */
  readonly checked: number;
  readonly wrong: readonly ArithmeticSpan[];
}

interface Token {
  readonly kind: 'number' | 'operator' | 'open' | 'close' | 'equals' | 'break';
  readonly text: string;
  readonly at: number;
  readonly value?: Rational;
  /** Digits after the point of a decimal. */
  readonly decimals?: number;
}

/** LaTeX and Unicode operators as ASCII; `\frac{a}{b}` of plain numbers as a quotient. */
function plainArithmetic(text: string): string {
  return text
    .replace(/\\[dt]?frac\{(-?[\d.]{1,20})\}\{(-?[\d.]{1,20})\}/g, '(($1)/($2))')
    .replace(/\\left(?![a-z])|\\right(?![a-z])|\\!|\\,|\\\$|\$/g, '')
    .replace(/\{,\}/g, ',')
    .replace(/\\times(?![a-z])|\\cdot(?![a-z])|[\u00D7\u00B7\u22C5]/g, '*')
    .replace(/\\div(?![a-z])|\u00F7/g, '/')
    .replace(/[\u2212\u2013]/g, '-')
    .replace(/(?<=\d)(\s?)x(\s?)(?=\d)/g, '$1*$2')
    .replace(/\*\*/g, '^');
}

const numberPattern = /\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+/y;

function numberToken(text: string, at: number): Token | undefined {
  numberPattern.lastIndex = at;
  const match = numberPattern.exec(text);
  if (!match) return undefined;
  const after = text.slice(at + match[0].length, at + match[0].length + 2);
  const value = parseDecimal(match[0].replaceAll(',', ''));
  // "2x", "3rd", "5_2", "7!" and "1,2" are no plain numbers.
  if (!value || /^(?:[a-zA-Z_\\!°'"]|,\d|\.\d)/.test(after) || /[\w.]/.test(text[at - 1] ?? ' ')) {
    return { kind: 'break', text: match[0], at };
  }
  const percent = after.startsWith('%');
  return {
    kind: 'number',
    text: percent ? `${match[0]}%` : match[0],
    at,
    value: percent ? divideRationals(value, rational(100n)!)! : value,
    decimals: match[0].split('.')[1]?.length ?? 0,
  };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const char = text[at];
    if (char === ' ' || char === '\t') {
      at++;
      continue;
    }
    const kind =
      char === '=' ? 'equals' : char === '(' ? 'open' : char === ')' ? 'close' : undefined;
    const token: Token =
      (/[\d.]/.test(char) ? numberToken(text, at) : undefined) ??
      (kind
        ? { kind, text: char, at }
        : { kind: '+-*/^'.includes(char) ? 'operator' : 'break', text: char, at });
    tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

const maxPower = 20n;

/** Recursive descent over the tokens of one side; undefined where it is no complete expression. */
class Side {
  #place = 0;
  /** Whether it divides, so that a decimal on the other side may be rounded. */
  divides = false;
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  value(): Rational | undefined {
    const value = this.#sum(0);
    return this.#place === this.#tokens.length ? value : undefined;
  }

  #take(...texts: string[]): string | undefined {
    const token = this.#tokens[this.#place];
    if (!token || token.kind === 'number' || !texts.includes(token.text)) return undefined;
    this.#place++;
    return token.text;
  }

  #sum(depth: number): Rational | undefined {
    let value = this.#product(depth);
    for (let sign; value && (sign = this.#take('+', '-'));) {
      const next = this.#product(depth);
      value = next && addRationals(value, sign === '+' ? next : negateRational(next));
    }
    return value;
  }

  #product(depth: number): Rational | undefined {
    let value = this.#power(depth);
    for (let sign; value && (sign = this.#take('*', '/'));) {
      const next = this.#power(depth);
      if (sign === '/') this.divides = true;
      value =
        next && (sign === '*' ? multiplyRationals(value, next) : divideRationals(value, next));
    }
    return value;
  }

  #power(depth: number): Rational | undefined {
    const negative = this.#take('-') !== undefined;
    let value = this.#atom(depth);
    if (value && this.#take('^')) {
      const exponent = this.#atom(depth);
      const small = exponent?.denominator === 1n && exponent.numerator >= 0n;
      if (!small || exponent.numerator > maxPower) return undefined;
      const { numerator, denominator } = value;
      value = rational(numerator ** exponent.numerator, denominator ** exponent.numerator);
    }
    return value && negative ? negateRational(value) : value;
  }

  #atom(depth: number): Rational | undefined {
    const token = this.#tokens[this.#place];
    if (token?.kind === 'number') {
      this.#place++;
      return token.value;
    }
    if (depth > 20 || !this.#take('(')) return undefined;
    const value = this.#sum(depth + 1);
    return this.#take(')') ? value : undefined;
  }
}

interface Judged {
  readonly tokens: readonly Token[];
  readonly value: Rational | undefined;
  readonly divides: boolean;
}

const binaryOperators = ({ tokens }: Judged): number =>
  tokens.filter(({ kind }, index) => kind === 'operator' && index > 0).length;

const maxDigits = 60;

function judge(tokens: readonly Token[]): Judged {
  const tooLong = tokens.length > 60 || tokens.some(({ text }) => text.length > maxDigits);
  if (tooLong || tokens.length === 0) return { tokens, value: undefined, divides: false };
  const side = new Side(tokens);
  const value = side.value();
  return { tokens, value, divides: side.divides };
}

/** 10/3 = 3.33 is rounded, not wrong. */
function isRounded(exact: Judged, shown: Judged): boolean {
  const decimals = shown.tokens.length === 1 ? (shown.tokens[0].decimals ?? 0) : 0;
  if (!exact.divides || decimals === 0) return false;
  const gap = addRationals(exact.value!, negateRational(shown.value!));
  const size = gap.numerator < 0n ? negateRational(gap) : gap;
  return compareRationals(size, rational(1n, 2n * 10n ** BigInt(decimals))!) <= 0;
}

function agree(left: Judged, right: Judged, modulus: number | undefined): boolean {
  if (equalRationals(left.value!, right.value!)) return true;
  if (modulus !== undefined) {
    const gap = addRationals(left.value!, negateRational(right.value!));
    if (gap.denominator === 1n && gap.numerator % BigInt(modulus) === 0n) return true;
  }
  return isRounded(left, right) || isRounded(right, left);
}

/** "3 + 4 = 7 + 2 = 9": a running total goes on from the last result. */
function isRunningTotal(left: Judged, right: Judged, next: Judged | undefined): boolean {
  const first = right.tokens[0]?.value;
  return next !== undefined && binaryOperators(right) > 0 && first !== undefined
    ? equalRationals(left.value!, first)
    : false;
}

/** A minus after a single letter subtracts from a variable; after a word or a mark it is a sign. */
function startsCleanly(text: string, run: readonly Token[]): boolean {
  const [first] = run;
  if (first.kind !== 'operator') return true;
  if (first.text !== '-') return false;
  const before = text.slice(Math.max(0, first.at - 12), first.at);
  return !/(?:^|[^a-zA-Z])[a-zA-Z]\s*$|[\d)}\]]\s*$/.test(before);
}

function judgeRun(
  text: string,
  run: readonly Token[],
  modulus: number | undefined,
): ArithmeticCheck {
  const sides: Token[][] = [[]];
  for (const token of run) {
    if (token.kind === 'equals') sides.push([]);
    else sides.at(-1)!.push(token);
  }
  const judged = sides.map((tokens, index) =>
    judge(index === 0 && tokens.length > 0 && !startsCleanly(text, tokens) ? [] : tokens),
  );
  const wrong: ArithmeticSpan[] = [];
  let checked = 0;
  for (let index = 0; index + 1 < judged.length; index++) {
    const [left, right] = [judged[index], judged[index + 1]];
    if (!left.value || !right.value || binaryOperators(left) + binaryOperators(right) === 0)
      continue;
    checked++;
    if (agree(left, right, modulus) || isRunningTotal(left, right, judged[index + 2])) continue;
    const last = right.tokens.at(-1)!;
    const span = text.slice(left.tokens[0].at, last.at + last.text.length).trim();
    wrong.push({ text: span, value: formatRational(left.value) });
  }
  return { checked, wrong };
}

/**
 * Judges every "a op b = c" in a text, chains (a = b = c) side by side. Sums and products with
 * precedence, brackets, powers up to 20, decimals, thousands commas, percentages.
 * @param modulus Equality modulo this number also counts, for tasks in modular arithmetic.
 */
export function checkArithmetic(text: string, modulus?: number): ArithmeticCheck {
  const plain = plainArithmetic(text);
  const wrong: ArithmeticSpan[] = [];
  let checked = 0;
  let run: Token[] = [];
  const finish = (): void => {
    if (run.some(({ kind }) => kind === 'equals')) {
      const result = judgeRun(plain, run, modulus);
      checked += result.checked;
      wrong.push(...result.wrong);
    }
    run = [];
  };
  for (const token of tokenize(plain)) {
    if (token.kind === 'break') finish();
    else run.push(token);
  }
  finish();
  return { checked, wrong };
}
