// Teacher-forced ablation sweeps: many sets of heads, ablated or scaled, on the same pairs. Made
// once (means and corrupted runs), then run for any variants in any order.
import { ablationKinds, type AblationKind } from './ablation-kinds.js';
import { checkModel, checkPairs, checkSweepVariants } from './argument-checks.js';
import { metrics, type Metric } from './attribution.js';
import { HeadsparkError } from './errors.js';
import { gatePositions, type GatePositions, type HeadRef } from './head-gate.js';
import type { Model } from './model.js';
import { callNative, runJob, type JobOptions } from './native.js';
import type { NativeSweep, NativeSweepSharing, PackedHeads } from './native-types.js';
import { checkOptionNames, oneOf, optionNames } from './option-checks.js';
import { packHeads, packPairs } from './packed.js';
import type { TokenizedPair } from './pairs.js';
import { gatedPositionNotes } from './pairs/gated-positions.js';

export { ablationKinds, type AblationKind } from './ablation-kinds.js';

/** What every variant of a Sweep is measured with. */
export interface SweepOptions extends JobOptions {
  /** Default `logit-diff`. */
  metric?: Metric | undefined;
  /** Default `zero`. */
  ablation?: AblationKind | undefined;
  /**
   * Where gates act: everywhere (default), in the prompt, or in the continuation, which only `nll` has
   * and of which the last token is not read.
   */
  positions?: GatePositions | undefined;
}

/** One set of heads with one factor: 0 ablates, 1 changes nothing, 1.3 amplifies. */
export interface SweepVariant {
  name: string;
  /** Empty: the model as it is. */
  heads: readonly HeadRef[];
  factor: number;
}

/** What `Sweep.run` gives: variants in the order asked for, pairs in that of the sweep. */
export interface SweepResult {
  /** [variants, pairs] */
  values: Float32Array;
  /** [variants, pairs] 1 where the right token has the largest logit at every supervised place. */
  correct: Uint8Array;
}

/** Layers times tokens that a plan computes, and what every variant by itself would take. */
export type SweepSharing = NativeSweepSharing;

interface SweepParts {
  handle: NativeSweep;
  model: Model;
  pairs: number;
  settings: { metric: Metric; ablation: AblationKind; positions: GatePositions };
}

const runOptions = optionNames<JobOptions>({ signal: true, onProgress: true });
const sweepOptions = optionNames<SweepOptions>({
  metric: true,
  ablation: true,
  positions: true,
  signal: true,
  onProgress: true,
});

/** A prepared sweep over fixed pairs, metric and ablation; keeps the model's memory in use. */
export class Sweep {
  readonly metric: Metric;
  readonly ablation: AblationKind;
  readonly positions: GatePositions;
  /** Number of pairs. */
  readonly pairs: number;
  readonly #model: Model;
  #handle: NativeSweep | undefined;

  private constructor(parts: SweepParts) {
    this.metric = parts.settings.metric;
    this.ablation = parts.settings.ablation;
    this.positions = parts.settings.positions;
    this.pairs = parts.pairs;
    this.#model = parts.model;
    this.#handle = parts.handle;
  }

  /**
   * Checks the pairs and computes what `ablation` needs of them.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT, also for generated positions where no pair has one;
   *   _PAIR_LENGTH, _PAIR_FORMAT, _OUT_OF_MEMORY, _CANCELLED.
   */
  static async create(
    model: Model,
    pairs: readonly TokenizedPair[],
    options: SweepOptions = {},
  ): Promise<Sweep> {
    checkModel('Sweep.create', model);
    checkPairs('Sweep.create', pairs);
    checkOptionNames('Sweep.create', options, sweepOptions);
    const settings = {
      metric: oneOf('metric', options.metric, { allowed: metrics, fallback: 'logit-diff' }),
      ablation: oneOf('ablation', options.ablation, { allowed: ablationKinds, fallback: 'zero' }),
      positions: oneOf('positions', options.positions, {
        allowed: gatePositions,
        fallback: 'all',
      }),
    };
    gatedPositionNotes(pairs, settings);
    const packed = packPairs(pairs, settings.metric);
    const handle = model.handle();
    const sweep = await runJob(
      (addon, onProgress) => addon.createSweep(handle, { ...settings, pairs: packed }, onProgress),
      options,
    );
    return new Sweep({ handle: sweep, model, pairs: pairs.length, settings });
  }

  /**
   * Runs variants; a variant's values do not depend on which others run beside it.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a head outside the model, a head named twice, a
   *   factor that is not finite, or a disposed sweep; _OUT_OF_MEMORY, _CANCELLED.
   */
  async run(variants: readonly SweepVariant[], options: JobOptions = {}): Promise<SweepResult> {
    checkOptionNames('Sweep.run', options, runOptions);
    const handle = this.#live();
    const packed = this.#pack('Sweep.run', variants);
    return runJob(
      (addon, onProgress) => addon.runSweep(handle, { variants: packed }, onProgress),
      options,
    );
  }

  /**
   * How much of these variants' layers has to be computed when they run in one call: what lies
   * below a variant's first gated layer is the unablated run's, and variants with the same gates so
   * far are computed once.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT as `run`.
   */
  sharing(variants: readonly SweepVariant[]): SweepSharing {
    const handle = this.#live();
    const packed = this.#pack('Sweep.sharing', variants);
    return callNative((addon) => addon.sweepSharing(handle, { variants: packed }));
  }

  #live(): NativeSweep {
    if (this.#handle) return this.#handle;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'the sweep was disposed; create it again.',
    );
  }

  #pack(call: string, variants: readonly SweepVariant[]): PackedHeads {
    checkSweepVariants(call, variants);
    const rows = variants.map(({ heads, factor }) => heads.map((head) => ({ ...head, factor })));
    return packHeads(rows, this.#model.info);
  }

  /** Lets go of the memory; runs in progress end normally. Calling it again does nothing. */
  dispose(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle) callNative((addon) => addon.releaseSweep(handle));
  }

  /** `dispose` at the end of a block: `using sweep = await Sweep.create(…)`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
