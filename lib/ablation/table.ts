// From pair results to the table: every row against the unablated model, every set against its
// matched controls, p-values corrected over the rows, and notes that say it in words.

import { differenceOf } from '../stats/rounding.js';
import { Turns } from '../turns.js';
import { correctedOver, withRank } from './corrected-rows.js';
import { pairNotes } from './pair-notes.js';
import type { PlannedAblation, PlannedSet } from './plan.js';
import { rankNotes } from './rank-notes.js';
import { ablationRow, compareWithControls, variantMeans } from './row.js';
import { unablated, variantKey, type VariantResults } from './run.js';
import type { AblationRow, AblationSettings, AblationTable, ControlRow } from './types.js';
import { verdictsOf } from './verdict.js';

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
      change: differenceOf(baseline.metric, means.metric),
      accuracyChange: differenceOf(baseline.accuracy, means.accuracy),
    };
  });
}

/** Corrects each kind of test over the rows of the table. */
function correct(rows: readonly AblationRow[]): AblationRow[] {
  const mcnemar = correctedOver(rows, (row) => row.mcnemar.pValue);
  const permutation = correctedOver(rows, (row) => row.permutation.pValue);
  const rank = correctedOver(rows, (row) => row.controls?.rankPValue);
  return rows.map((row) => ({
    ...row,
    mcnemar: { ...row.mcnemar, ...mcnemar(row) },
    permutation: { ...row.permutation, ...permutation(row) },
    ...(row.controls && { controls: withRank(row.controls, rank(row)) }),
  }));
}

function generalNotes(settings: AblationSettings, rows: readonly AblationRow[]): string[] {
  const notes: string[] = [];
  if (settings.ablation === 'zero' && settings.factors.some((factor) => factor !== 1)) {
    notes.push(
      'heads are gated at the input of the output projection: its bias stays, the value bias goes',
    );
  }
  if (settings.metric === 'kl') {
    notes.push(
      'kl is 0 for the unablated model and above 0 for all others: intervals and p-values against it ' +
        'show that something changed, not that it matters; random sets tell how much any heads change',
    );
  }
  if (settings.pairs === 1) notes.push('one pair has no intervals: they need at least 2 pairs');
  return [...notes, ...pairNotes(settings, rows), ...rankNotes(rows, settings.controls)];
}

export interface BuildTableOptions {
  readonly settings: AblationSettings;
  readonly planned: PlannedAblation;
  readonly results: ReadonlyMap<string, VariantResults>;
  readonly signal?: AbortSignal | undefined;
}

/** The table of finished variants. Gives the event loop its turns. */
export async function buildTable(options: BuildTableOptions): Promise<AblationTable> {
  const { settings, planned, results, signal } = options;
  const whole = results.get(variantKey(unablated))!;
  const baseline = variantMeans({ name: 'unablated', ...unablated }, whole);
  const controls: ControlRow[] = [];
  const rows: AblationRow[] = [];
  const turns = new Turns('the ablation', signal);
  for (const set of planned.rows) {
    await turns.give();
    const variant = results.get(variantKey(set))!;
    const row = await turns.through(ablationRow(set, { baseline: whole, variant }, settings));
    const own = controlRows(set, results, baseline);
    controls.push(...own);
    const flat = {
      ...row,
      change: row.change.estimate,
      accuracyChange: row.accuracyChange.estimate,
    };
    if (own.length === 0) rows.push(row);
    else {
      const comparison = compareWithControls(flat, own, settings);
      rows.push({ ...row, controls: await turns.through(comparison) });
    }
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
      ...verdictsOf(variants, settings),
      ...generalNotes(settings, variants),
      ...planned.notes,
    ],
  };
}
