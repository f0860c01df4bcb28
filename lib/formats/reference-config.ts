// The reference's `cfg` dict and headspark's own extra fields, shared by its JSON and .pt files.
// The reference ignores keys that it does not know, so ours travel along unharmed.

import { HeadsparkError } from '../errors.js';
import type { ScoreMeta } from '../circuit/score-table.js';
import { checkShape, type GraphShape } from '../circuit/shape.js';

/** Name of the top-level key that carries ScoreMeta. */
export const META_KEY = 'headspark';
/** Name of the top-level key that carries what was measured of the circuit; no reader looks at it. */
export const MEASURED_KEY = 'measured';

export type ConfigValue = string | number | boolean;

/** An ERR_HEADSPARK_CIRCUIT_FORMAT that names the file. */
export function formatError(file: string, problem: string, cause?: unknown): HeadsparkError {
  return new HeadsparkError('ERR_HEADSPARK_CIRCUIT_FORMAT', `${file}: ${problem}`, { cause });
}

/** The `cfg` that the reference's Graph.from_model needs. */
export function configOf(shape: GraphShape, meta: ScoreMeta): Record<string, ConfigValue> {
  return {
    n_layers: shape.layers,
    n_heads: shape.heads,
    parallel_attn_mlp: shape.parallelBlock,
    // The reference allocates [n_forward, d_model]; 0 is legal and means unknown.
    d_model: meta.hiddenSize ?? 0,
    n_key_value_heads: shape.keyValueHeads,
    kv_edges: shape.kvEdges,
  };
}

function wholeNumber(value: unknown, key: string, file: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw formatError(file, `cfg.${key} must be a whole number`);
  }
  return value;
}

/** Shape and width of a `cfg`. `field` reads one of its keys (undefined when absent). */
export function shapeOfConfig(
  field: (key: string) => unknown,
  file: string,
): { shape: GraphShape; hiddenSize?: number } {
  const parallelBlock = field('parallel_attn_mlp');
  if (typeof parallelBlock !== 'boolean') {
    throw formatError(file, 'cfg.parallel_attn_mlp must be true or false');
  }
  const kvEdges = field('kv_edges') ?? 'per-query-head';
  if (kvEdges !== 'per-query-head' && kvEdges !== 'grouped') {
    throw formatError(file, "cfg.kv_edges must be 'per-query-head' or 'grouped'");
  }
  const heads = wholeNumber(field('n_heads'), 'n_heads', file);
  const shape: GraphShape = {
    layers: wholeNumber(field('n_layers'), 'n_layers', file),
    heads,
    keyValueHeads: wholeNumber(field('n_key_value_heads') ?? heads, 'n_key_value_heads', file),
    parallelBlock,
    kvEdges,
  };
  try {
    checkShape(shape);
  } catch (error) {
    throw formatError(file, (error as Error).message, error);
  }
  const width = field('d_model');
  if (width === undefined || width === null || width === 0) return { shape };
  return { shape, hiddenSize: wholeNumber(width, 'd_model', file) };
}

const TEXT_FIELDS = ['model', 'adapter', 'task', 'method', 'metric', 'igGrid', 'pairScoresFile'];
const NUMBER_FIELDS = ['igSteps', 'pairCount', 'hiddenSize'];

/** Checks the extra fields of a file: plain values, and the known ones of their type. */
export function parseMeta(value: unknown, file: string): ScoreMeta {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw formatError(file, `'${META_KEY}' must be an object`);
  }
  const entries = Object.entries(value as Record<string, unknown>);
  for (const [key, field] of entries) {
    const type = field === null ? 'null' : typeof field;
    const wanted = TEXT_FIELDS.includes(key)
      ? 'string'
      : NUMBER_FIELDS.includes(key)
        ? 'number'
        : '';
    if (type === 'object' || (wanted && type !== wanted)) {
      throw formatError(
        file,
        `${META_KEY}.${key.slice(0, 40)} must be ${wanted || 'a plain value'}`,
      );
    }
  }
  return Object.fromEntries(entries) as ScoreMeta;
}
