// From pair results to the table: every row against the unablated model, every set against its
// matched controls, p-values corrected over the rows (Holm), and notes that say it in words.

import { setImmediate } from 'node:timers/promises';
import { HeadsparkError } from '../errors.js';
import { holmAdjust } from '../stats/proportion.js';
import type { PlannedAblation, PlannedSet } from './plan.js';
import { ablationRow, compareWithControls, variantMeans } from './row.js';
import { unablated, variantKey, type VariantResults } from './run.js';
import type { AblationRow, AblationSettings, AblationTable, ControlRow } from './types.js';

function controlRows(
  set: PlannedSet,
  results: ReadonlyMap<string, VariantResults>,
  baseline: { metric: number; accuracy: number },
): ControlRow[] {
  const { factor } = set;
  return set.controls.map(({ name, heads }) => {
    const means = variantMeans(
      { name, heads, factor },
      results.get(variantKey({ heads, factor }))!,
    );
    return {
      of: set.name,
      ...means,
      change: means.metric - baseline.metric,
      accuracyChange: means.accuracy - baseline.accuracy,
    };
  });
}

/** Holm's correction of each kind of test over the rows of the table. */
function correct(rows: readonly AblationRow[]): AblationRow[] {
  const mcnemar = holmAdjust(rows.map((row) => row.mcnemar.pValue));
  const permutation = holmAdjust(rows.map((row) => row.permutation.pValue));
  const ranked = rows.flatMap((row) => (row.controls ? [row.controls.rankPValue] : []));
  const ranks = holmAdjust(ranked);
  let next = 0;
  return rows.map((row, index) => ({
    ...row,
    mcnemar: { ...row.mcnemar, adjusted: mcnemar[index] },
    permutation: { ...row.permutation, adjusted: permutation[index] },
    ...(row.controls ? { controls: { ...row.controls, rankAdjusted: ranks[next++] } } : {}),
  }));
}

const gating = (factor: number): string => (factor === 0 ? 'ablating' : 'scaling');

const short = (value: number): string => value.toPrecision(3).replace(/\.?0+$/, '');

/** What the largest set's comparison with its controls says, in a sentence for every factor. */
export const verdictOf = (rows: readonly AblationRow[], settings: AblationSettings): string[] =>
  settings.factors.flatMap((factor) => {
    const row = rows.filter((own) => own.factor === factor && own.controls).at(-1);
    return row ? verdictOfRow(row, settings) : [];
  });

function verdictOfRow(row: AblationRow, settings: AblationSettings): string[] {
  if (!row.controls) return [];
  const { change, controls } = row;
  const { low, high } = controls.difference;
  const clear = settings.worse === 'lower' ? high < 0 : low > 0;
  const strongest = controls.rankPValue * (controls.sets + 1) < 1.5;
  const verdict = !clear
    ? 'does not hurt more than its matched random sets'
    : strongest
      ? 'hurts more than every one of its matched random sets'
      : 'hurts more than its matched random sets do on average';
  const level = `${Math.round(settings.confidence * 1000) / 10} %`;
  return [
    `${row.name}: ${gating(row.factor)} it ${verdict}: ${settings.metric} changes by ${short(change.estimate)}, ` +
      `with ${controls.sets} random sets by ${short(controls.change.mean)} on average ` +
      `(difference ${short(controls.difference.estimate)}, ${level} interval ` +
      `${short(low)} to ${short(high)}; rank p = ${short(controls.rankPValue)})`,
  ];
}

function generalNotes(settings: AblationSettings, rows: readonly AblationRow[]): string[] {
  const notes: string[] = [];
  if (settings.ablation === 'zero' && settings.factors.some((factor) => factor !== 1)) {
    notes.push(
      'heads are gated at the input of the output projection: its bias stays, the value bias goes',
    );
  }
  const sets = Math.max(0, ...rows.map((row) => row.controls?.sets ?? 0));
  if (sets > 0 && sets < 19) {
    const advice = sets < settings.controls ? 'no more exist' : 'use at least 19 to reach 0.05';
    notes.push(
      `with ${sets} control sets a rank p-value cannot be below ${short(1 / (sets + 1))}; ${advice}`,
    );
  }
  return notes;
}

export interface BuildTableOptions {
  readonly settings: AblationSettings;
  readonly planned: PlannedAblation;
  readonly results: ReadonlyMap<string, VariantResults>;
  readonly signal?: AbortSignal | undefined;
}

/** The table of finished variants. Gives the event loop a turn between rows. */
export async function buildTable(options: BuildTableOptions): Promise<AblationTable> {
  const { settings, planned, results, signal } = options;
  const whole = results.get(variantKey(unablated))!;
  const baseline = variantMeans({ name: 'unablated', ...unablated }, whole);
  const controls: ControlRow[] = [];
  const rows: AblationRow[] = [];
  for (const set of planned.rows) {
    await setImmediate();
    if (signal?.aborted) {
      throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the ablation was cancelled.', {
        cause: signal.reason,
      });
    }
    const variant = results.get(variantKey(set))!;
    const row = ablationRow(set, { baseline: whole, variant }, settings);
    const own = controlRows(set, results, baseline);
    controls.push(...own);
    const flat = {
      ...row,
      change: row.change.estimate,
      accuracyChange: row.accuracyChange.estimate,
    };
    rows.push(
      own.length === 0 ? row : { ...row, controls: compareWithControls(flat, own, settings) },
    );
  }
  const variants = correct(rows);
  return {
    format: 'headspark-ablation',
    version: 1,
    settings,
    baseline,
    variants,
    controls,
    notes: [
      ...verdictOf(variants, settings),
      ...generalNotes(settings, variants),
      ...planned.notes,
    ],
  };
}
