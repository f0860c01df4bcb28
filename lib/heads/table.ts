// From the core's values of every prompt and head to the table: means over prompts with intervals.
// Prompts are the sample: they are resampled, and all heads see the same resamples.

import { formatHead, type HeadRef } from '../head-gate.js';
import { percentileBounds } from '../stats/quantile.js';
import { Random } from '../stats/random.js';
import { Turns } from '../turns.js';
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

const noBounds = { low: Number.NaN, high: Number.NaN };

/** Means of resamples of `count` prompts: the same draws for every head and property. */
class PromptResamples {
  readonly #draws = new Map<number, Uint32Array>();
  readonly #options: TableOptions;

  constructor(options: TableOptions) {
    this.#options = options;
  }

  /** [resamples, count] indexes. */
  #drawsOf(count: number): Uint32Array {
    const kept = this.#draws.get(count);
    if (kept) return kept;
    const random = new Random(this.#options.seed, count);
    const draws = Uint32Array.from({ length: this.#options.resamples * count }, () =>
      random.below(count),
    );
    this.#draws.set(count, draws);
    return draws;
  }

  value(sample: readonly number[]): HeadValue {
    const count = sample.length;
    const draws = this.#drawsOf(count);
    const means = new Float64Array(this.#options.resamples);
    for (let resample = 0; resample < means.length; resample++) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += sample[draws[resample * count + i]];
      means[resample] = sum / count;
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
    const valueOf = (name: HeadPropertyName): HeadValue | null => {
      if (name === 'copying') {
        const score = values.copying[index];
        if (score === undefined || !Number.isFinite(score)) return null;
        const estimate = sixDigits(score);
        return { estimate, low: estimate, high: estimate, prompts: 0 };
      }
      const sample = definedValues(values, index, columnOf(name));
      return sample.length === 0 ? null : resamples.value(sample);
    };
    const { layer, head } = ref;
    rows.push({ name: formatHead(ref), layer, head, values: record(valueOf) });
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
