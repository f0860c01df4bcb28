// Stage `ablation`: what gating heads does to the pairs: every set against the whole model and against
// its matched random sets. Without a model, from the variants of all parts.

import { mergeAblations, type AblationTable } from '../../ablation.js';
import { ablationDraws } from '../draws.js';
import { pairsKey, type Facts } from '../facts.js';
import { ablatedPlaces, ablationId, type AblatedPlace } from '../heads-places.js';
import { littleWork, type StageContext, type StageInstance, type StageKind } from '../stage.js';
import type { Study } from '../study.js';
import { rowCounts, variantCount } from '../variant-counts.js';
import { readResult, writeResult } from './files.js';
import {
  variantsFile,
  variantsIds,
  variantsSummaryFile,
  variantsSummaryFormat,
  type VariantsSummary,
} from './variants.js';

export const ablationFile = 'ablation.json';
export const ablationFormat = 'headspark-ablation-stage';

/** A plan at a place, in settings and results alike. */
interface AblatedPairs {
  readonly name: string;
  readonly checkpoint: string;
  readonly task: string;
  readonly form: string;
  readonly factor: number;
}

export interface AblationStageFile extends AblatedPairs {
  readonly format: typeof ablationFormat;
  /** Null when the group has no heads. */
  readonly table: AblationTable | null;
}

const roleOf = (part: number): string => `variants-${part + 1}`;

function instanceOf(
  at: AblatedPlace,
  { study, facts }: { study: Study; facts: Facts },
): StageInstance {
  const { spec, place, factor } = at;
  const { checkpoint, task, form } = place;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const { shape } = facts.checkpoints.get(checkpoint.name)!;
  const values = variantCount(spec, shape) * pairs.length;
  const ablated: AblatedPairs = {
    name: spec.name,
    checkpoint: checkpoint.name,
    task,
    form,
    factor,
  };
  return {
    kind: 'ablation',
    id: ablationId(at),
    settings: { ...ablated, confidence: study.statistics.confidence },
    needs: Object.fromEntries(
      variantsIds(at).map((id, part) => [roleOf(part), { kind: 'variants', id }]),
    ),
    weights: [],
    checkpoint: checkpoint.name,
    work: {
      ...littleWork,
      draws: ablationDraws(rowCounts(spec, shape), pairs.length),
      memoryBytes: 16 * values,
      diskBytes: 30 * values,
    },
  };
}

/** The table of all parts; null where there were no heads to gate. */
async function tabulate(parts: number, context: StageContext): Promise<AblationTable | null> {
  const journals: string[] = [];
  for (let part = 0; part < parts; part++) {
    const { variants, noHeads } = await readResult<VariantsSummary>(
      context.needed(roleOf(part), variantsSummaryFile),
      variantsSummaryFormat,
    );
    if (noHeads) return null;
    if (variants > 0) journals.push(context.needed(roleOf(part), variantsFile));
  }
  const { confidence } = context.study.statistics;
  const { signal } = context;
  return mergeAblations(journals, { confidence, ...(signal ? { signal } : {}) });
}

export const ablationStage: StageKind = {
  kind: 'ablation',
  title: 'what gating heads does to the pairs, with matched random sets',
  revision: 9,
  instances: (study, facts) => ablatedPlaces(study).map((at) => instanceOf(at, { study, facts })),
  async run({ settings }, context) {
    const { name, checkpoint, task, form, factor } = settings as unknown as AblatedPairs;
    const { parts } = context.study.ablations.find((spec) => spec.name === name)!;
    const table = await tabulate(parts, context);
    const file: AblationStageFile = {
      format: ablationFormat,
      name,
      checkpoint,
      task,
      form,
      factor,
      table,
    };
    await writeResult(context.folder, ablationFile, file);
  },
};
