// Which samples a run consists of: problems x variants x samples, their journal keys, their seeds,
// and the part of them that belongs to a shard.
import { createHash } from 'node:crypto';
import { planAblation, type PlanOptions } from '../ablation/plan.js';
import { unablated } from '../ablation/run.js';
import type { AblationPlan } from '../ablation/types.js';
import { HeadsparkError } from '../errors.js';
import { checkShard, type Shard } from '../shard.js';
import type { EvaluationVariant } from './types.js';

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** The unablated model, the planned sets with every factor, and their matched controls. */
export function evaluationVariants(
  plan: AblationPlan | undefined,
  options: PlanOptions,
): { variants: EvaluationVariant[]; notes: string[] } {
  const whole: EvaluationVariant = { name: 'unablated', kind: 'unablated', ...unablated };
  if (!plan) return { variants: [whole], notes: [] };
  const { rows, notes } = planAblation(plan, options);
  const variants = rows.flatMap((row): EvaluationVariant[] => [
    { name: row.name, kind: 'set', heads: row.heads, factor: row.factor },
    ...row.controls.map((control): EvaluationVariant => ({
      ...control,
      factor: row.factor,
      kind: 'control',
      of: row.name,
    })),
  ]);
  return { variants: [whole, ...variants], notes };
}

/** Indexes of the problems of a shard: every variant and sample of a problem stays together. */
export function shardProblems(problems: number, shard: Shard | undefined): number[] {
  const all = Array.from({ length: problems }, (_, index) => index);
  if (!shard) return all;
  checkShard(shard);
  const own = all.filter((index) => index % shard.count === shard.index - 1);
  if (own.length > 0) return own;
  throw invalid(
    `shard ${shard.index}/${shard.count} of ${problems} problems is empty; use at most ${problems} shards.`,
  );
}

/** Whether the sample of a journal's key is of a problem of a shard. */
export const isOfShard = (key: string, shard: Shard | null): boolean =>
  !shard || Number(key.slice(0, key.indexOf('/'))) % shard.count === shard.index - 1;

export interface SampleKey {
  readonly problem: number;
  readonly variant: number;
  readonly sample: number;
}

export const keyText = ({ problem, variant, sample }: SampleKey): string =>
  `${problem}/${variant}/${sample}`;

/**
 * The seed of a sample, 64 bits. It depends on the run's seed, the problem's id and the sample's
 * number, and not on the variant: variants face the same random numbers, which makes their
 * comparison sharper, and neither on shards nor on the order of a run.
 */
export function sampleSeed(seed: number, problem: string, sample: number): bigint {
  return createHash('sha256')
    .update(JSON.stringify([seed, problem, sample]))
    .digest()
    .readBigUInt64LE();
}

/**
 * All samples of some problems: problem by problem, within it variant by variant, so that what
 * shares a prompt is decoded together.
 */
export function* sampleKeys(
  problems: readonly number[],
  variants: number,
  samples: number,
): Generator<SampleKey> {
  for (const problem of problems) {
    for (let variant = 0; variant < variants; variant++) {
      for (let sample = 0; sample < samples; sample++) yield { problem, variant, sample };
    }
  }
}
