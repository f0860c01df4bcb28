// How much worse a model gets without each of its heads, one at a time, on pairs.
import type { Metric } from './attribution.js';
import { Sweep, type AblationKind } from './ablation-sweep.js';
import { checkModel, checkPairs } from './argument-checks.js';
import { allHeads, checkHeads, formatHead, uniqueHeads, type HeadRef } from './head-gate.js';
import type { MeasuredEffects } from './heads/profile.js';
import type { Model } from './model.js';
import type { JobOptions } from './native.js';
import { checkOptionNames, optionNames } from './option-checks.js';
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
}

const effectsOptions = optionNames<HeadEffectsOptions>({
  heads: true,
  metric: true,
  ablation: true,
  signal: true,
  onProgress: true,
});

/**
 * By head how much worse the mean metric gets when it alone is ablated at all positions; negative
 * where the model gets better. The same numbers as the rows of `ablate` with a `single` plan.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT, _PAIR_LENGTH, _PAIR_FORMAT, _OUT_OF_MEMORY, _CANCELLED.
 */
export async function headEffects(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: HeadEffectsOptions = {},
): Promise<MeasuredEffects> {
  checkModel('headEffects', model);
  checkPairs('headEffects', pairs);
  checkOptionNames('headEffects', options, effectsOptions);
  const { metric = 'logit-diff', ablation = 'zero', signal, onProgress } = options;
  const wanted = options.heads ?? allHeads(model.info);
  checkHeads(wanted, model.info);
  const heads = uniqueHeads(wanted);
  const sweep = await Sweep.create(model, pairs, { metric, ablation, signal });
  try {
    const single = heads.map((ref) => ({ name: formatHead(ref), heads: [ref], factor: 0 }));
    const { values } = await sweep.run([{ name: 'unablated', heads: [], factor: 1 }, ...single], {
      signal,
      onProgress,
    });
    const means = Array.from({ length: heads.length + 1 }, (_, variant) =>
      mean(values.subarray(variant * pairs.length, (variant + 1) * pairs.length)),
    );
    const sign = metric === 'kl' || metric === 'nll' ? 1 : -1;
    return {
      settings: { metric, ablation },
      effects: new Map(
        single.map(({ name }, index) => [name, sign * (means[index + 1] - means[0])]),
      ),
    };
  } finally {
    sweep.dispose();
  }
}
