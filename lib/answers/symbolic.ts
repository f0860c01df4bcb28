// Equality of two formulas by @cortex-js/compute-engine. A generated answer is hostile input: what is
// handed over is checked first (known functions, few nodes, small powers), so that no answer can
// stall a run; the time limit is a second net.
import type { ComputeEngine } from '@cortex-js/compute-engine';
import { createRequire } from 'node:module';

type Node = number | string | readonly unknown[] | Record<string, unknown>;

const functions = new Set([
  ...[
    'Add',
    'Subtract',
    'Multiply',
    'Divide',
    'Negate',
    'Power',
    'Sqrt',
    'Root',
    'Square',
    'Rational',
  ],
  ...[
    'Sin',
    'Cos',
    'Tan',
    'Cot',
    'Sec',
    'Csc',
    'Arcsin',
    'Arccos',
    'Arctan',
    'Exp',
    'Ln',
    'Log',
    'Lb',
  ],
  ...['Abs', 'Floor', 'Ceil', 'Factorial', 'Binomial', 'Delimiter', 'InvisibleOperator', 'Complex'],
  ...['Sequence', 'Degrees', 'Choose', 'Max', 'Min', 'Conjugate', 'Norm', 'PlusMinus'],
]);

const limits = {
  characters: 300,
  depth: 20,
  nodes: 200,
  power: 60,
  /** Bits of a number that is worked out exactly. */
  bits: 8_000,
  factorial: 60,
  milliseconds: 2_000,
  symbols: 8,
};
/** Relative difference up to which two values at a point count as equal (doubles). */
const tolerance = 1e-10;

/** The value of a node that is a plain number, signs and fractions included. */
function constant(node: unknown): number | undefined {
  if (typeof node === 'number') return node;
  if (!Array.isArray(node)) return undefined;
  const [head, ...rest] = node as [unknown, ...unknown[]];
  const values = rest.map(constant);
  if (values.some((value) => value === undefined)) return undefined;
  const [a, b] = values as number[];
  if (head === 'Negate') return -a;
  if (head === 'Delimiter') return a;
  if (head === 'Divide' || head === 'Rational') return a / b;
  return undefined;
}

/** About how many bits the value of a formula without letters and roots has; infinite for others. */
function bitsOf(node: unknown): number {
  // Not of decimals: their sums with fractions are rounded.
  if (typeof node === 'number') {
    return Number.isInteger(node) ? Math.log2(Math.abs(node) + 1) : Infinity;
  }
  if (typeof node === 'object' && node !== null && 'num' in node) {
    const { num } = node;
    return /^-?\d+$/.test(String(num)) ? 4 * String(num).length : Infinity;
  }
  if (!Array.isArray(node)) return Infinity;
  const [head, ...rest] = node as [unknown, ...unknown[]];
  if (head === 'Power') {
    const exponent = constant(rest[1]) ?? NaN;
    return Number.isInteger(exponent) ? bitsOf(rest[0]) * Math.abs(exponent) : Infinity;
  }
  if (head === 'Square') return 2 * bitsOf(rest[0]);
  if (head === 'Factorial') return 6 * (constant(rest[0]) ?? Infinity);
  if (head === 'Binomial' || head === 'Choose') return constant(rest[0]) ?? Infinity;
  return exactHeads.has(String(head))
    ? rest.reduce<number>((sum, child) => sum + bitsOf(child) + 1, 0)
    : Infinity;
}

const exactHeads = new Set(
  'Add Subtract Multiply Divide Negate Rational Delimiter InvisibleOperator Sequence'.split(' '),
);

interface Tally {
  nodes: number;
  symbols: Set<string>;
}

/** False for what might take long, or is no formula of elementary functions. */
function isTame(node: Node, tally: Tally, exponentDepth = 0): boolean {
  if (++tally.nodes > limits.nodes) return false;
  if (typeof node === 'number') return Number.isFinite(node);
  if (typeof node === 'string') {
    if (node.startsWith("'")) return false;
    tally.symbols.add(node);
    return tally.symbols.size <= limits.symbols;
  }
  if (!Array.isArray(node)) return 'num' in node && String(node['num']).length <= 400;
  const [head, ...rest] = node as [string, ...Node[]];
  if (!functions.has(head)) return false;
  if (head === 'Power' || head === 'Root') {
    const exponent = constant(rest[1]);
    if (exponentDepth > 0) return false;
    const isSmall = exponent === undefined || Math.abs(exponent) <= limits.power;
    // 2^{2009} is a number of 2009 bits, which is no trouble.
    if (!isSmall && !(head === 'Power' && bitsOf(node) <= limits.bits)) return false;
    return isTame(rest[0], tally, exponentDepth) && isTame(rest[1], tally, exponentDepth + 1);
  }
  if (head === 'Factorial' || head === 'Binomial' || head === 'Choose') {
    const sizes = rest.map(constant);
    if (!sizes.every((size) => size !== undefined && Math.abs(size) <= limits.factorial))
      return false;
  }
  return rest.every((child) => isTame(child, tally, exponentDepth));
}

let shared: ComputeEngine | undefined;

/** Loaded and built at the first formula: each takes over a tenth of a second, at every start otherwise. */
function engine(): ComputeEngine {
  if (shared) return shared;
  const require = createRequire(import.meta.url);
  const library =
    require('@cortex-js/compute-engine') as typeof import('@cortex-js/compute-engine');
  return (shared = new library.ComputeEngine());
}

type Boxed = NonNullable<ReturnType<ComputeEngine['parse']>>;

const known = new Set(['Pi', 'ExponentialE', 'ImaginaryUnit', 'e', 'i']);

/** Places at which formulas with letters are compared: away from zeros, poles and small integers. */
const points = [0.7310585786, 1.4426950409, 2.2360679775, 0.3819660113];

function valueAt(expression: Boxed, symbols: readonly string[], round: number): [number, number] {
  const scope = Object.fromEntries(
    symbols.map((name, index) => [name, points[(round + index) % points.length] + 0.1 * index]),
  );
  const value = (symbols.length > 0 ? expression.subs(scope) : expression).N();
  return [value.re, value.im];
}

function closeTo(a: readonly number[], b: readonly number[]): boolean {
  const size = Math.max(1e-12, ...[...a, ...b].map(Math.abs));
  if (!Number.isFinite(size)) return false;
  return a.every((value, index) => Math.abs(value - b[index]) <= tolerance * size);
}

/** Equal values at several points; undefined where neither could be computed. */
function equalAtPoints(a: Boxed, b: Boxed, symbols: readonly string[]): boolean {
  const rounds = symbols.length === 0 ? 1 : points.length;
  for (let round = 0; round < rounds; round++) {
    if (!closeTo(valueAt(a, symbols, round), valueAt(b, symbols, round))) return false;
  }
  return true;
}

interface Formula {
  readonly expression: Boxed;
  readonly symbols: readonly string[];
  /** Bits of its value, where that is a whole number or a fraction. */
  readonly bits: number;
}

/**
 * Whether two numbers that are whole or fractions are equal; undefined for other formulas.
 * 2^{40} and 1099511627775 agree to 12 digits.
 */
function equalExactly(a: Formula, b: Formula): boolean | undefined {
  if (!(a.bits + b.bits <= limits.bits)) return undefined;
  const difference = engine().box(['Subtract', a.expression.json, b.expression.json]).evaluate();
  // `is(0)` takes what is below 1e-10 for zero.
  return difference.isRational === true ? difference.json === 0 : undefined;
}

/** Bars may open or close, and the parser tries every way: each one doubles its time. */
const maxBars = 4;

/** False for texts that the parser would take long over, whatever they mean. */
function isParsable(latex: string): boolean {
  if (latex.length > limits.characters || depthOf(latex) > limits.depth) return false;
  const bars = latex.match(/\||\\[lr]?[vV]ert|\\mid/g)?.length ?? 0;
  return bars <= maxBars && !/[!^_']{3}|(?:\\[a-zA-Z]+\s*){8}/.test(latex);
}

/** How deep brackets of any kind stand in each other; the parser's time grows quickly with it. */
function depthOf(latex: string): number {
  let [depth, deepest] = [0, 0];
  for (const char of latex) {
    if ('([{'.includes(char)) deepest = Math.max(deepest, ++depth);
    else if (')]}'.includes(char)) depth--;
  }
  return deepest;
}

function parseFormula(latex: string): Formula | undefined {
  // The engine would read "1 2" as 12.
  if (!isParsable(latex)) return undefined;
  if (/(?<![_^\d])\d+\s+\d/.test(latex)) return undefined;
  const ce = engine();
  const raw = ce.parse(latex, { form: 'raw' });
  const tally: Tally = { nodes: 0, symbols: new Set() };
  if (!raw?.isValid || !isTame(raw.json, tally)) return undefined;
  const expression = ce.parse(latex);
  if (!expression?.isValid) return undefined;
  const symbols = [...tally.symbols].filter((name) => !known.has(name)).sort();
  return { expression, symbols, bits: bitsOf(raw.json) };
}

/** Runs in a scope of its own: what the engine infers about `x` here must not reach other answers. */
function inOwnScope(work: () => boolean | undefined): boolean | undefined {
  const ce = engine();
  ce.pushScope();
  try {
    return ce.withTimeLimit(limits.milliseconds, work);
  } catch {
    // Out of time, or a formula the engine cannot handle: not shown to be equal.
    return undefined;
  } finally {
    ce.popScope();
  }
}

/** What a formula's letters are and what it comes to at the first of the points. */
interface Sketch {
  readonly symbols: string;
  readonly value: readonly number[];
}

/** By LaTeX; null for no formula. A vote compares each answer with many. */
const sketches = new Map<string, Sketch | null>();
const keptSketches = 4_096;

function sketchOf(latex: string): Sketch | null {
  const known = sketches.get(latex);
  if (known !== undefined) return known;
  const formula = parseFormula(latex);
  const sketch = formula
    ? {
        symbols: formula.symbols.join(),
        value: valueAt(formula.expression, formula.symbols, 0),
      }
    : null;
  if (sketches.size >= keptSketches) sketches.clear();
  sketches.set(latex, sketch);
  return sketch;
}

/** False where the sketches tell; undefined where the formulas must be looked at, null where one is none. */
function sketchesDiffer(a: Sketch | null, b: Sketch | null): false | null | undefined {
  if (!a || !b) return null;
  if (a.symbols !== b.symbols || ![...a.value, ...b.value].every(Number.isFinite)) return undefined;
  return closeTo(a.value, b.value) ? undefined : false;
}

/**
 * True when two formulas (LaTeX) are shown to be equal: the engine proves it, or their values agree
 * to 1e-10 at four points. False when they differ; undefined when either is no elementary formula.
 */
export function equalFormulas(a: string, b: string): boolean | undefined {
  const [known, other] = [sketches.get(a), sketches.get(b)];
  if (known && other && sketchesDiffer(known, other) === false) return false;
  return inOwnScope(() => {
    const differ = sketchesDiffer(sketchOf(a), sketchOf(b));
    if (differ !== undefined) return differ ?? undefined;
    const [left, right] = [parseFormula(a), parseFormula(b)];
    if (!left || !right) return undefined;
    if (left.symbols.join() !== right.symbols.join()) {
      // A letter may cancel, but an answer in other letters is another answer.
      const shared = left.symbols.filter((name) => right.symbols.includes(name));
      if (shared.length !== Math.min(left.symbols.length, right.symbols.length)) return false;
    }
    if (left.expression.isSame(right.expression)) return true;
    const exactly = equalExactly(left, right);
    if (exactly !== undefined) return exactly;
    return equalAtPoints(left.expression, right.expression, unionOf(left, right));
  });
}

const unionOf = (a: Formula, b: Formula): string[] =>
  [...new Set([...a.symbols, ...b.symbols])].sort();

/**
 * True when one formula is the other times a constant that is not zero: then they have the same
 * zeros, and `a = 0` and `b = 0` are the same equation.
 */
export function proportionalFormulas(a: string, b: string): boolean | undefined {
  return inOwnScope(() => {
    const [left, right] = [parseFormula(a), parseFormula(b)];
    if (!left || !right) return undefined;
    const symbols = unionOf(left, right);
    const ratios = points.map((_, round) => {
      const [p, q] = [
        valueAt(left.expression, symbols, round),
        valueAt(right.expression, symbols, round),
      ];
      return p[0] / q[0];
    });
    return ratios.every(
      (ratio) => Number.isFinite(ratio) && ratio !== 0 && closeTo([ratio], [ratios[0]]),
    );
  });
}
