// A shard of an ablation: its part of the variants, run into a journal whose header holds the whole plan,
// so that the table can be made from the journals of all shards without a model.

import { formatHeads } from '../head-gate.js';
import { readJournal, writeJournal } from '../journal.js';
import { checkShard, type Shard } from '../shard.js';
import {
  journalSettings,
  plannedVariants,
  prepareAblation,
  type AblationSubject,
  type RunSettings,
  type VariantSettings,
} from './ablate.js';
import type { PlannedAblation } from './plan.js';
import { runVariants, toRecord } from './run.js';
import { differentVariants, shareVariants } from './share.js';
import type { AblatedShard, AblateOptions, AblateShardOptions } from './types.js';

/** A plan as the header of a journal holds it; controls are named by their number. */
const toHeader = ({ rows, notes }: PlannedAblation) => ({
  rows: rows.map(({ name, heads, factor, controls }) => ({
    name,
    heads: formatHeads(heads),
    factor,
    controls: controls.map((control) => formatHeads(control.heads)),
  })),
  notes,
});

function headerOf(
  { shape }: AblationSubject,
  { run, planned }: { run: RunSettings; planned: PlannedAblation },
  shard: string,
): Record<string, unknown> {
  const sets = planned.rows.length;
  return { verb: 'ablate', ...run, shape: { ...shape }, sets, planned: toHeader(planned), shard };
}

/** Plans an ablation and runs (or resumes) the variants of one shard; see `ablateShard`. */
export async function ablateShardOf(
  subject: AblationSubject,
  options: AblateShardOptions,
): Promise<AblatedShard> {
  const { shard, journal, signal, onPlan, onProgress, onRemark } = options;
  checkShard(shard);
  const prepared = await prepareAblation(subject, options);
  const all = differentVariants(plannedVariants(prepared.planned));
  const own = shareVariants(all, shard, subject.shape.layers)[shard.index - 1];
  const name = `${shard.index}/${shard.count}`;
  await runVariants(own, {
    createRunner: subject.createRunner,
    pairs: subject.pairs,
    journal: { path: journal, settings: headerOf(subject, prepared, name), onRemark },
    signal,
    onPlan,
    onProgress,
  });
  return { shard: name, variants: own.length, ofVariants: all.length, journal };
}

/** What a shard came to, as `mergeShards` reads it from a journal. */
export interface FinishedShard {
  readonly settings: Record<string, unknown>;
  /** By key, in the order of the sweep. */
  readonly records: (readonly [string, unknown])[];
}

/**
 * Runs (or resumes) the variants of one of so many shards as far as there are variants: undefined for a
 * shard that none is left for. The journal is that of a whole run, which goes on whatever the plan and the
 * number of shards.
 * @throws as `ablateShard`.
 */
export async function finishShardOf(
  subject: AblationSubject,
  options: AblateOptions & { readonly shard: Shard; readonly journal: string },
): Promise<FinishedShard | undefined> {
  const { shard, journal: path, signal, onProgress, onRemark } = options;
  const prepared = await prepareAblation(subject, options);
  const all = differentVariants(plannedVariants(prepared.planned));
  const { index, count } = { ...shard, count: Math.min(shard.count, all.length) };
  if (index > count) return undefined;
  const own = shareVariants(all, { index, count }, subject.shape.layers)[index - 1];
  const results = await runVariants(own, {
    createRunner: subject.createRunner,
    pairs: subject.pairs,
    journal: { path, settings: journalSettings(prepared.run), onRemark },
    signal,
    onProgress,
  });
  return {
    settings: headerOf(subject, prepared, `${index}/${count}`),
    records: [...results].map(([key, result]) => [key, toRecord(result)] as const),
  };
}

/**
 * Writes the journal of a whole run from those of finished shards, whatever their plans: of one model, one
 * set of pairs and one kind of ablation. So other plans run none of their variants again.
 */
export async function journalOfShards(path: string, shards: readonly string[]): Promise<void> {
  const records = new Map<string, unknown>();
  let header: Record<string, unknown> | undefined;
  for (const shard of shards) {
    const { settings, records: own } = await readJournal(shard);
    header ??= journalSettings(settings as unknown as VariantSettings);
    for (const [key, record] of own) records.set(key, record);
  }
  if (header) await writeJournal(path, header, records);
}
