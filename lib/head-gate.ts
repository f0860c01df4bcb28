// Head references ("3.1", "a3.h1"), head gates and ablation variants: parsing, checking against a
// model's shape, canonical names. One gate spec applies one factor and one replacement to a set of
// heads: z' = factor * z + (1 - factor) * replacement, on the input of the output projection.
import { checkAnyText, checkObjects, checkRecord } from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { shown } from './option-checks.js';

/** One query head: zero-based layer and head index. */
export interface HeadRef {
  layer: number;
  head: number;
}

/** What a fully closed gate puts in place of the head's output. */
export type GateReplacement = 'zero' | 'mean' | 'resample';
/** The positions at which a gate acts. */
export type GatePositions = 'all' | 'prompt' | 'generated';

export const gateReplacements: readonly GateReplacement[] = ['zero', 'mean', 'resample'];
export const gatePositions: readonly GatePositions[] = ['all', 'prompt', 'generated'];

/** A set of heads scaled by `factor` (0 ablates, 1 changes nothing, 1.3 amplifies). */
export interface HeadGateSpec {
  heads: HeadRef[];
  factor: number;
  replacement: GateReplacement;
  positions: GatePositions;
}

/** One named intervention of an ablation run. */
export interface AblationVariant {
  name: string;
  gates: HeadGateSpec;
}

/** The numbers of layers and of query heads per layer. */
export interface HeadShape {
  layers: number;
  heads: number;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** Total order of heads: by layer, then by head. */
export function compareHeads(a: HeadRef, b: HeadRef): number {
  return a.layer - b.layer || a.head - b.head;
}

/** The canonical name of a head as circuits spell it: `a3.h1`. */
export function formatHead(ref: HeadRef): string {
  return `a${ref.layer}.h${ref.head}`;
}

/** Sorted copy without duplicates. */
export function uniqueHeads(heads: readonly HeadRef[]): HeadRef[] {
  const byName = new Map(heads.map((ref) => [formatHead(ref), ref]));
  return [...byName.values()].sort(compareHeads);
}

/** Canonical names of a set of heads, sorted and unique: `a0.h3,a3.h1`. */
export function formatHeads(heads: readonly HeadRef[]): string {
  return uniqueHeads(heads).map(formatHead).join(',');
}

/** A set's name with its factor, where a run has several: `a3.h1 × 0.5`. */
export function withFactor(name: string, factor: number, factors: readonly number[]): string {
  return factors.some((other) => other !== factor) ? `${name} × ${factor}` : name;
}

/** A stable text of a gate, for journal keys and tables: `a3.h1 x0 zero all`. */
export function formatGate(gate: HeadGateSpec): string {
  return `${formatHeads(gate.heads) || 'none'} x${gate.factor} ${gate.replacement} ${gate.positions}`;
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for what has no numbers of layers and heads. */
function checkHeadShape(shape: HeadShape): void {
  const given: unknown = shape;
  const { layers, heads } = (given ?? {}) as Partial<HeadShape>;
  const isCount = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1_000_000;
  if (isCount(layers) && isCount(heads)) return;
  throw invalid(`the shape of a model is { layers, heads }, whole numbers, not ${shown(given)}.`);
}

/**
 * Every head of a model, in order.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what is no shape.
 */
export function allHeads(shape: HeadShape): HeadRef[] {
  checkHeadShape(shape);
  return Array.from({ length: shape.layers * shape.heads }, (_, index) => ({
    layer: Math.floor(index / shape.heads),
    head: index % shape.heads,
  }));
}

interface IndexRange {
  first: number;
  last: number;
}

function parseRange(text: string, kind: 'layer' | 'head', item: string, size?: number): IndexRange {
  if (text === '*') {
    if (size === undefined) throw invalid(`head "${item}": "*" needs the model's shape.`);
    return { first: 0, last: size - 1 };
  }
  const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text);
  if (!match) throw invalid(`head "${item}": "${text}" is not a ${kind} number, range or "*".`);
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  if (last < first) throw invalid(`head "${item}": the range ${text} runs backwards.`);
  if (size !== undefined && last >= size) {
    throw invalid(
      `head "${item}": the model has no ${kind} ${last}; ${kind}s run from 0 to ${size - 1}.`,
    );
  }
  return { first, last };
}

function parseItem(item: string, shape?: HeadShape): HeadRef[] {
  const named = /^a(\d+)\.h(\d+)$/.exec(item);
  const parts = named ? [named[1], named[2]] : item.split('.');
  if (parts.length !== 2) {
    throw invalid(
      `head "${item}" is not of the form LAYER.HEAD: write 3.1, a3.h1, 3.0-5 or 3.* ` +
        '(a factor has its own option).',
    );
  }
  const layers = parseRange(parts[0], 'layer', item, shape?.layers);
  const heads = parseRange(parts[1], 'head', item, shape?.heads);
  const count = (layers.last - layers.first + 1) * (heads.last - heads.first + 1);
  if (count > 1_000_000) throw invalid(`head "${item}" names ${count} heads, which is too many.`);
  const refs: HeadRef[] = [];
  for (let layer = layers.first; layer <= layers.last; layer++) {
    for (let head = heads.first; head <= heads.last; head++) refs.push({ layer, head });
  }
  return refs;
}

/**
 * Parses a list of heads: `3.1,5.0`, names `a3.h1`, head ranges `3.0-5`, layer ranges `2-4.1`,
 * whole layers `3.*`. The result is sorted and has no duplicates.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a malformed item, or one outside `shape` if given.
 */
export function parseHeads(text: string, shape?: HeadShape): HeadRef[] {
  if (typeof text !== 'string') throw invalid(`parseHeads takes a text, not ${shown(text)}.`);
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  if (items.length === 0) throw invalid('the list of heads is empty: write for instance 3.1,5.0.');
  return uniqueHeads(items.flatMap((item) => parseItem(item, shape)));
}

/**
 * Parses several sets of heads separated by semicolons: `3.1,5.0; 4.*`.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT as `parseHeads`, and for an empty set, by its number.
 */
export function parseHeadSets(text: string, shape?: HeadShape): HeadRef[][] {
  if (typeof text !== 'string') throw invalid(`parseHeadSets takes a text, not ${shown(text)}.`);
  const sets = text.split(';');
  const empty = sets.findIndex((part) => part.trim() === '');
  if (sets.length > 1 && empty >= 0) {
    throw invalid(
      `set ${empty + 1} of the ${sets.length} sets of heads in "${text}" is empty: ` +
        'write for instance 3.1,5.0;4.*.',
    );
  }
  return sets.map((part) => parseHeads(part, shape));
}

/**
 * Beyond it a head drowns out all others, and not far off squares of activations overflow float32:
 * norms then give zeros, and a metric that looks like a finding.
 */
export const largestFactor = 1e6;

export const isFactor = (factor: unknown): factor is number =>
  typeof factor === 'number' && Math.abs(factor) <= largestFactor;

/** Whose factor, and what it is, as the sentence of an error. */
export const factorError = (whose: string, factor: unknown): HeadsparkError =>
  invalid(
    `${whose} must be a number from -1e6 to 1e6, beyond which activations overflow, ` +
      `not ${shown(factor)}.`,
  );

/**
 * Factors of heads as they are given: at least one, within ±1e6, each once in float32.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the factor.
 */
export function checkFactors(factors: readonly number[]): void {
  const given: unknown = factors;
  if (!Array.isArray(given)) {
    throw invalid(`factors are a list of numbers, not ${shown(factors)}.`);
  }
  if (factors.length === 0) throw invalid('the list of factors is empty: give for instance 0.');
  const seen = new Set<number>();
  for (const factor of factors) {
    if (!isFactor(factor)) throw factorError('the factor', factor);
    // What the core computes with; -0 is 0.
    const single = Math.fround(factor) + 0;
    if (seen.has(single)) throw invalid(`the factor ${factor} is given twice; give each one once.`);
    seen.add(single);
  }
}

function checkHeadList(heads: unknown): void {
  const advice = 'parseHeads makes such a list of a text';
  if (!Array.isArray(heads)) {
    throw invalid(`heads are a list of { layer, head }, not ${shown(heads)}; ${advice}.`);
  }
  const wrong = heads.findIndex(
    (ref) => typeof ref !== 'object' || ref === null || Array.isArray(ref),
  );
  if (wrong < 0) return;
  throw invalid(
    `item ${wrong} of the heads is ${shown(heads[wrong])}, not { layer, head }; ${advice}.`,
  );
}

/** Throws ERR_HEADSPARK_INVALID_ARGUMENT for a head that is not in a model of this shape. */
export function checkHeads(heads: readonly HeadRef[], shape: HeadShape): void {
  checkHeadList(heads);
  checkHeadShape(shape);
  const within = (value: number, size: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < size;
  const bad = heads.find((r) => !within(r.layer, shape.layers) || !within(r.head, shape.heads));
  if (bad) {
    throw invalid(
      `head ${formatHead(bad)} is not in the model, which has layers 0 to ${shape.layers - 1} ` +
        `of heads 0 to ${shape.heads - 1}.`,
    );
  }
}

/** Checks a gate: heads in the model and each once, a factor within ±1e6, known words. */
export function checkGate(gate: HeadGateSpec, shape: HeadShape): void {
  checkRecord('checkGate', 'a gate as an object', gate);
  checkHeads(gate.heads, shape);
  if (uniqueHeads(gate.heads).length !== gate.heads.length) {
    throw invalid(`the head set ${formatHeads(gate.heads)} names a head twice.`);
  }
  if (!isFactor(gate.factor)) throw factorError('the head factor', gate.factor);
  if (!gateReplacements.includes(gate.replacement)) {
    throw invalid(
      `replacement "${gate.replacement}" is unknown: use ${gateReplacements.join(', ')}.`,
    );
  }
  if (!gatePositions.includes(gate.positions)) {
    throw invalid(`positions "${gate.positions}" are unknown: use ${gatePositions.join(', ')}.`);
  }
}

/**
 * Checks every variant, and that their names are distinct and not empty.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function checkVariants(variants: readonly AblationVariant[], shape: HeadShape): void {
  checkObjects('checkVariants', 'variants', variants);
  const names = new Set<string>();
  for (const { name, gates } of variants) {
    checkAnyText('checkVariants: the name of a variant', name);
    checkRecord(`checkVariants: the variant ${shown(name)}`, 'its gates as an object', gates);
    if (name.trim() === '') throw invalid('an ablation variant needs a name.');
    if (names.has(name)) throw invalid(`two ablation variants are named "${name}".`);
    names.add(name);
    checkGate(gates, shape);
  }
}
