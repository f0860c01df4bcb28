// How much worse a model gets without each of its heads, one at a time, on pairs.
import { journalSettings } from './ablation/ablate.js';
import { runVariants, unablated, variantKey, type GatedHeads } from './ablation/run.js';
import type { Metric } from './attribution.js';
import { Sweep, type AblationKind } from './ablation-sweep.js';
import { checkModel, checkPairs, checkText } from './argument-checks.js';
import { withCallbacks, type CallbackResult } from './callbacks.js';
import { allHeads, checkHeads, formatHead, uniqueHeads, type HeadRef } from './head-gate.js';
import type { MeasuredEffects } from './heads/profile.js';
import type { Model } from './model.js';
import type { JobOptions } from './native.js';
import { checkOptionNames, optionNames } from './option-checks.js';
import { pairSettings } from './pair-parts.js';
import type { TokenizedPair } from './pairs.js';
import { mean } from './stats/quantile.js';

/** Which heads are ablated alone, how, and what is measured. */
export interface HeadEffectsOptions extends JobOptions {
  /** Default: all heads of the model. */
  readonly heads?: readonly HeadRef[] | undefined;
  /** Default `logit-diff`. */
  readonly metric?: Metric | undefined;
  /** What takes the place of a head; default `zero`. */
  readonly ablation?: AblationKind | undefined;
  /**
   * JSONL file that keeps finished heads, so that a run can be resumed: a journal of `ablate` of the
   * same settings serves, and the other way round.
   */
  readonly journal?: string | undefined;
  /** Called where lines of the journal are damaged: what they held is computed again. */
  readonly onRemark?: ((remark: string) => CallbackResult) | undefined;
}

const effectsOptions = optionNames<HeadEffectsOptions>({
  heads: true,
  metric: true,
  ablation: true,
  journal: true,
  onRemark: true,
  signal: true,
  onProgress: true,
});

/**
 * By head how much worse the mean metric gets when it alone is ablated at all positions; negative
 * where the model gets better. The same numbers as the rows of `ablate` with a `single` plan.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT, _PAIR_LENGTH, _PAIR_FORMAT, _TENSOR_VALUE for a metric that is
 *   not finite, _SETTINGS_MISMATCH, _FILE_CORRUPT and _FILE_WRITE of the journal, _OUT_OF_MEMORY,
 *   _CANCELLED.
 */
export async function headEffects(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: HeadEffectsOptions = {},
): Promise<MeasuredEffects> {
  checkModel('headEffects', model);
  checkPairs('headEffects', pairs);
  checkOptionNames('headEffects', options, effectsOptions);
  const { journal } = options;
  if (journal !== undefined) checkText('headEffects', 'the journal', journal);
  const wanted = options.heads ?? allHeads(model.info);
  checkHeads(wanted, model.info);
  const heads = uniqueHeads(wanted);
  return withCallbacks(options, (watched) =>
    model.lend((lent) => measure(lent, pairs, heads, watched)),
  );
}

async function measure(
  model: Model,
  pairs: readonly TokenizedPair[],
  heads: readonly HeadRef[],
  options: HeadEffectsOptions,
): Promise<MeasuredEffects> {
  const { metric = 'logit-diff', ablation = 'zero', journal, onRemark } = options;
  const { signal, onProgress } = options;
  const settings = (): Record<string, unknown> =>
    journalSettings({
      ...pairSettings(model, pairs),
      ...{ metric, ablation, positions: 'all' },
    });
  const single = heads.map((head): GatedHeads => ({ heads: [head], factor: 0 }));
  const results = await runVariants([unablated, ...single], {
    createRunner: () => Sweep.create(model, pairs, { metric, ablation, signal }),
    pairs: pairs.length,
    journal: journal === undefined ? undefined : { path: journal, settings: settings(), onRemark },
    signal,
    onProgress,
  });
  const meanOf = (variant: GatedHeads): number => mean(results.get(variantKey(variant))!.values);
  const whole = meanOf(unablated);
  const sign = metric === 'kl' || metric === 'nll' ? 1 : -1;
  return {
    settings: { metric, ablation },
    effects: new Map(
      single.map((variant) => [formatHead(variant.heads[0]), sign * (meanOf(variant) - whole)]),
    ),
  };
}
