// Teacher-forced ablation of heads through the public API: which heads a model's answers need, and
// whether a set of heads hurts more than random sets of the same size in the same layers.
import type {
  AblatedShard,
  AblateOptions,
  AblateShardOptions,
  AblationTable,
  MergeAblationsOptions,
} from './ablation/types.js';
import { ablateSubject } from './ablation/ablate.js';
import { mergeShards } from './ablation/merge.js';
import { checkPlan } from './ablation/plan.js';
import { ablateShardOf } from './ablation/shard-journal.js';
import { ablationSubject } from './ablation-subject.js';
import { checkModel, checkPairs, checkText, checkTexts } from './argument-checks.js';
import { withCallbacks } from './callbacks.js';
import type { Model } from './model.js';
import { checkOptionNames, optionNames } from './option-checks.js';
import type { TokenizedPair } from './pairs.js';

export { ablationCsv } from './ablation/csv.js';
export * from './ablation/types.js';

const ablateOptions = optionNames<AblateOptions>({
  plan: true,
  controls: true,
  match: true,
  seed: true,
  journal: true,
  onRemark: true,
  factors: true,
  ablation: true,
  metric: true,
  positions: true,
  confidence: true,
  resamples: true,
  onPlan: true,
  signal: true,
  onProgress: true,
});

const shardOptions = optionNames<AblateShardOptions>({
  plan: true,
  controls: true,
  match: true,
  seed: true,
  shard: true,
  journal: true,
  onRemark: true,
  factors: true,
  ablation: true,
  metric: true,
  positions: true,
  onPlan: true,
  signal: true,
  onProgress: true,
});

const mergeOptions = optionNames<MergeAblationsOptions>({
  confidence: true,
  resamples: true,
  signal: true,
});

/**
 * Gates heads, every set with every factor of `factors`, by
 * z' = factor * z + (1 - factor) * replacement, at the input of the output projection, and measures
 * what it does to the metric and to the share of right answers.
 *
 * Each row carries its change against the unablated model with a paired bootstrap interval,
 * McNemar's exact test on the right answers and a paired permutation test on the metric, both
 * corrected over the rows (Holm). Sets also carry the comparison with random control sets matched
 * in the number of heads of every layer or in the length of heads' writes (`match`). Results of every
 * pair are kept.
 *
 * With `journal`, finished variants are kept in a JSONL file: a run killed at any moment and
 * started again gives the same bytes, and a longer plan reuses what is there.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for options and heads that do not fit the model, and for
 *   generated positions where no pair has one; _PAIR_FORMAT and _PAIR_LENGTH for the pairs,
 *   _SETTINGS_MISMATCH and _FILE_CORRUPT for the journal, _TENSOR_VALUE for a metric that is not
 *   finite, _OUT_OF_MEMORY, _CANCELLED.
 */
export async function ablate(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: AblateOptions,
): Promise<AblationTable> {
  checkModel('ablate', model);
  checkPairs('ablate', pairs);
  checkOptionNames('ablate', options, ablateOptions);
  checkPlan('ablate', options.plan);
  if (options.journal !== undefined) checkText('ablate', 'the journal', options.journal);
  return withCallbacks(options, (own) =>
    model.lend((lent) => ablateSubject(ablationSubject(lent, pairs, own), own)),
  );
}

/**
 * Runs one of the equal parts of an ablation's variants (sets, random control sets and the unablated
 * model) into its journal; other machines run the other parts. Variants with a beginning in common
 * stay together, and the parts take about the same time. A run killed at any moment goes on from its
 * journal. `mergeAblations` makes the table.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT as `ablate`, and where there are more shards than variants;
 *   _PAIR_FORMAT, _PAIR_LENGTH, _SETTINGS_MISMATCH, _FILE_CORRUPT, _TENSOR_VALUE, _OUT_OF_MEMORY and
 *   _CANCELLED as `ablate`.
 */
export async function ablateShard(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: AblateShardOptions,
): Promise<AblatedShard> {
  checkModel('ablateShard', model);
  checkPairs('ablateShard', pairs);
  checkOptionNames('ablateShard', options, shardOptions);
  checkPlan('ablateShard', options.plan);
  checkText('ablateShard', 'the journal', options.journal);
  return withCallbacks(options, (own) =>
    model.lend((lent) => ablateShardOf(ablationSubject(lent, pairs, own), own)),
  );
}

/**
 * The table of `ablate`, to the byte, from the journals of all shards (`ablateShard`), in any order;
 * without a model. Intervals, tests and comparisons with controls are made here.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ, _INVALID_ARGUMENT where a
 *   shard is missing, given twice or not finished, _FILE_CORRUPT, _FILE_NOT_FOUND, _CANCELLED.
 */
export async function mergeAblations(
  journals: readonly string[],
  options: MergeAblationsOptions = {},
): Promise<AblationTable> {
  checkTexts('mergeAblations', 'journals', journals);
  checkOptionNames('mergeAblations', options, mergeOptions);
  return mergeShards(journals, options);
}
