// The stage kinds of a study, in dependency order: a kind reads only results of kinds above it.
// A new kind is one file here and one line in this list.

import type { StageKind } from '../stage.js';
import { ablationStage } from './ablation.js';
import { attributionStage } from './attribution.js';
import { benchmarkAblationStage } from './benchmark-ablation.js';
import { benchmarkStage } from './benchmark.js';
import { circuitStage } from './circuit.js';
import { diffStage } from './diff.js';
import { evaluationStage } from './evaluation.js';
import { formDiffStage } from './form-diff.js';
import { headTableStage } from './head-table.js';
import { headsStage } from './heads.js';
import { nullDiffStage } from './null-diff.js';
import { openingsStage } from './openings.js';
import { pairsStage } from './pairs.js';
import { regimesStage } from './regimes.js';
import { samplesStage } from './samples.js';
import { trackingStage } from './tracking.js';
import { variantsStage } from './variants.js';

export const stageKinds: readonly StageKind[] = [
  openingsStage,
  pairsStage,
  attributionStage,
  circuitStage,
  evaluationStage,
  nullDiffStage,
  diffStage,
  formDiffStage,
  trackingStage,
  regimesStage,
  variantsStage,
  ablationStage,
  headTableStage,
  headsStage,
  samplesStage,
  benchmarkStage,
  benchmarkAblationStage,
];
