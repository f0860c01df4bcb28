// A real model and its pairs as what an ablation needs.

import type { AblationSubject } from './ablation/ablate.js';
import type { AblateOptions } from './ablation/types.js';
import { Sweep } from './ablation-sweep.js';
import { headActivations } from './head-activations.js';
import { modelProvenance } from './model-provenance.js';
import type { Model } from './model.js';
import { pairsHash, type TokenizedPair } from './pairs.js';
import { gatedPositionNotes } from './pairs/gated-positions.js';

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for generated positions where no pair has one. */
export function ablationSubject(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: Pick<AblateOptions, 'metric' | 'ablation' | 'positions' | 'signal'>,
): AblationSubject {
  const { layers, heads } = model.info;
  const { metric = 'logit-diff', ablation = 'zero', positions = 'all', signal } = options;
  return {
    ...modelProvenance(model),
    shape: { layers, heads },
    pairs: pairs.length,
    pairsHash: pairsHash(pairs),
    notes: gatedPositionNotes(pairs, { metric, positions }),
    writeNorms: async () => {
      const prompts = pairs.map(({ clean }) => clean);
      const own = { writeNorms: true, ...(signal ? { signal } : {}) };
      return (await headActivations(model, prompts, own)).writeNorms;
    },
    createRunner: () =>
      Sweep.create(model, pairs, { metric, ablation, positions, ...(signal ? { signal } : {}) }),
  };
}
