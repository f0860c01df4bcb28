// From the core's values of every prompt and head to the table: means over prompts with intervals.
// Prompts are the sample: they are resampled, and all heads see the same resamples.

import { formatHead, type HeadRef } from '../head-gate.js';
import { percentileBounds } from '../stats/quantile.js';
import { Random } from '../stats/random.js';
import { Turns, type Steps } from '../turns.js';
import { headPropertyNames, nativeProperties, type HeadPropertyName } from './properties.js';
import type { HeadRow, HeadValue } from './types.js';

/** The core's arrays: see NativeHeadProperties. */
export interface HeadValues {
  readonly heads: readonly HeadRef[];
  readonly prompts: number;
  readonly columns: number;
  /** [prompts, heads, columns] */
  readonly values: Float32Array;
  /** [prompts, columns] */
  readonly uniform: Float32Array;
  /** [heads], or empty. */
  readonly copying: Float32Array;
}

export interface TableOptions {
  readonly confidence: number;
  readonly resamples: number;
  readonly seed: number;
}

/** The shortest decimal text of a float32 is enough; six digits are more than prompts allow. */
export const sixDigits = (value: number): number => Number(value.toPrecision(6));

/** Draws of one step, which take a millisecond or two. */
const stepDraws = 1 << 16;

const noBounds = { low: Number.NaN, high: Number.NaN };

/** Means of resamples of `count` prompts: the same draws for every head and property. */
class PromptResamples {
  readonly #draws = new Map<number, Uint32Array>();
  readonly #options: TableOptions;

  constructor(options: TableOptions) {
    this.#options = options;
  }

  /** [resamples, count] indexes. */
  *#drawsOf(count: number): Steps<Uint32Array> {
    const kept = this.#draws.get(count);
    if (kept) return kept;
    const random = new Random(this.#options.seed, count);
    const draws = new Uint32Array(this.#options.resamples * count);
    for (let index = 0; index < draws.length; index++) {
      draws[index] = random.below(count);
      if (index % stepDraws === stepDraws - 1) yield;
    }
    this.#draws.set(count, draws);
    return draws;
  }

  *value(sample: readonly number[]): Steps<HeadValue> {
    const count = sample.length;
    const draws = yield* this.#drawsOf(count);
    const perStep = Math.max(1, Math.floor(stepDraws / count));
    const means = new Float64Array(this.#options.resamples);
    for (let resample = 0; resample < means.length; resample++) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += sample[draws[resample * count + i]];
      means[resample] = sum / count;
      if (resample % perStep === perStep - 1) yield;
    }
    const estimate = sample.reduce((sum, value) => sum + value, 0) / count;
    // Resamples of one prompt are all alike, which is no sign of precision.
    const { low, high } =
      count === 1 ? noBounds : percentileBounds(means, this.#options.confidence);
    return {
      estimate: sixDigits(estimate),
      low: sixDigits(low),
      high: sixDigits(high),
      prompts: count,
    };
  }
}

function definedValues(values: HeadValues, head: number, column: number): number[] {
  const sample: number[] = [];
  for (let prompt = 0; prompt < values.prompts; prompt++) {
    const value = values.values[(prompt * values.heads.length + head) * values.columns + column];
    if (Number.isFinite(value)) sample.push(value);
  }
  return sample;
}

const record = <T>(value: (name: HeadPropertyName) => T): Record<HeadPropertyName, T> =>
  Object.fromEntries(headPropertyNames.map((name) => [name, value(name)])) as Record<
    HeadPropertyName,
    T
  >;

const columnOf = (name: HeadPropertyName): number =>
  (nativeProperties as readonly HeadPropertyName[]).indexOf(name);

function* valueOf(
  values: HeadValues,
  of: { index: number; name: HeadPropertyName },
  resamples: PromptResamples,
): Steps<HeadValue | null> {
  const { index, name } = of;
  if (name === 'copying') {
    const score = values.copying[index];
    if (score === undefined || !Number.isFinite(score)) return null;
    const estimate = sixDigits(score);
    return { estimate, low: estimate, high: estimate, prompts: 0 };
  }
  const sample = definedValues(values, index, columnOf(name));
  return sample.length === 0 ? null : yield* resamples.value(sample);
}

/** One row per head; resampling all of them takes long, so the event loop has its turns. */
export async function headRows(
  values: HeadValues,
  options: TableOptions,
  signal?: AbortSignal,
): Promise<HeadRow[]> {
  const resamples = new PromptResamples(options);
  const turns = new Turns('the table of heads', signal);
  const rows: HeadRow[] = [];
  for (const [index, ref] of values.heads.entries()) {
    await turns.give();
    const own = new Map<HeadPropertyName, HeadValue | null>();
    for (const name of headPropertyNames) {
      own.set(name, await turns.through(valueOf(values, { index, name }, resamples)));
    }
    const { layer, head } = ref;
    rows.push({ name: formatHead(ref), layer, head, values: record((name) => own.get(name)!) });
  }
  return rows;
}

/** What a head that reads everything alike would show. */
export function uniformValues(values: HeadValues): Record<HeadPropertyName, number | null> {
  return record((name) => {
    const column = columnOf(name);
    if (column < 0) return null;
    const sample: number[] = [];
    for (let prompt = 0; prompt < values.prompts; prompt++) {
      const value = values.uniform[prompt * values.columns + column];
      if (Number.isFinite(value)) sample.push(value);
    }
    if (sample.length === 0) return null;
    return sixDigits(sample.reduce((sum, value) => sum + value, 0) / sample.length);
  });
}
