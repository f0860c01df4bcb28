// A shard of an ablation: its part of the variants, run into a journal whose header holds the whole plan,
// so that the table can be made from the journals of all shards without a model.

import { formatHeads } from '../head-gate.js';
import { checkShard } from '../shard.js';
import {
  plannedVariants,
  prepareAblation,
  type AblationSubject,
  type RunSettings,
} from './ablate.js';
import type { PlannedAblation } from './plan.js';
import { runVariants } from './run.js';
import { differentVariants, shareVariants } from './share.js';
import type { AblatedShard, AblateShardOptions } from './types.js';

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
