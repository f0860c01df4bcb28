// Stage `variants`: the metric of every pair under every set of heads of an ablation, its random sets and
// the whole model. What runs the model is here; the table of it is a stage of its own. A journal keeps
// finished variants, so a kill loses a few seconds at most.

import { join } from 'node:path';
import { finishShardOf, journalOfShards } from '../../ablation/shard-journal.js';
import type { AblationPlan } from '../../ablation/types.js';
import { ablationSubject } from '../../ablation-subject.js';
import { parseHeadSets, type HeadRef } from '../../head-gate.js';
import { writeJournal } from '../../journal.js';
import { pathExists } from '../../path-kinds.js';
import type { Shard } from '../../shard.js';
import { pairsKey, type Facts } from '../facts.js';
import { ablatedPlaces, ablationId, type AblatedPlace } from '../heads-places.js';
import { partId, partIds, partName, partsOf } from '../parts.js';
import {
  placeId,
  type StageContext,
  type StageInstance,
  type StageKind,
  type StageWork,
} from '../stage.js';
import type { AblationSpec, Checkpoint, Study } from '../study.js';
import { variantCount, wholePasses } from '../variant-counts.js';
import { diffHeadsNeed } from './diff.js';
import { writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

export const variantsFile = 'variants.jsonl';
export const variantsSummaryFile = 'summary.json';
export const variantsSummaryFormat = 'headspark-variants';

export interface VariantsSummary {
  readonly format: typeof variantsSummaryFormat;
  readonly name: string;
  readonly checkpoint: string;
  /** 0 where there are fewer variants than parts: there is no journal then. */
  readonly variants: number;
  /** The group of the diff has no heads: there was nothing to gate, and there is no journal. */
  readonly noHeads: boolean;
}

/** The ids of the stages that hold the variants of a place, in the order of its parts. */
export const variantsIds = (at: AblatedPlace): string[] => partIds(ablationId(at), at.spec.parts);

/** The sets of heads; undefined where the group of the diff has none. */
export function planOf(
  { what }: AblationSpec,
  context: StageContext,
  { name }: Checkpoint,
): AblationPlan | undefined {
  if (what.kind === 'single') return { kind: 'single' };
  if (what.kind === 'heads') {
    const { layers, heads } = context.facts.checkpoints.get(name)!.shape;
    return { kind: 'sets', sets: parseHeadSets(what.heads, { layers, heads }) };
  }
  const heads = context.part('diff') as HeadRef[];
  if (heads.length === 0) return undefined;
  return { kind: 'top-k', heads, k: what.topK, group: what.group };
}

function workOf({ spec, place }: AblatedPlace, facts: Facts): StageWork {
  const { checkpoint, task, form } = place;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const { shape } = facts.checkpoints.get(checkpoint.name)!;
  const variants = Math.ceil(variantCount(spec, shape) / spec.parts);
  return {
    forwards: variants * pairs.length,
    backwards: 0,
    rate: 'sweep',
    units: (wholePasses(spec, shape) * pairs.length) / spec.parts,
    memoryBytes: 16 * variants * pairs.length,
    diskBytes: 15 * variants * pairs.length,
  };
}

/** What decides the variants and their values, beside pairs and weights. */
function settingsOf({ spec, place, factor }: AblatedPlace, study: Study) {
  const { name, what, controls, ablation, positions, match } = spec;
  const { metric } = study.attribution;
  const { task, form } = place;
  const checkpoint = place.checkpoint.name;
  const at = { checkpoint, task, form, metric, seed: study.seed };
  return { name, what, controls, factor, ablation, positions, match, ...at };
}

function instanceOf(
  at: AblatedPlace,
  part: Shard | null,
  { study, facts }: { study: Study; facts: Facts },
): StageInstance {
  const { spec, place } = at;
  const { what, ablation, positions } = spec;
  const { metric } = study.attribution;
  const id = ablationId(at);
  return {
    kind: 'variants',
    id: partId(id, part),
    settings: { ...settingsOf(at, study), part: partName(part) },
    // A variant's values; which variants there are and whose part they are may be another matter.
    costly: { settings: { ablation, positions, metric }, needs: ['pairs'], id },
    needs: {
      pairs: pairsNeed(place, study),
      ...(what.kind === 'group' ? { diff: diffHeadsNeed(placeId(place), what.group) } : {}),
    },
    weights: [place.checkpoint.name],
    checkpoint: place.checkpoint.name,
    ...(part ? { part: part.index - 1 } : {}),
    work: workOf(at, facts),
  };
}

/** Begins a journal with the variants of other plans and of plans that were cut into other parts. */
async function takeVariants(journal: string, context: StageContext): Promise<void> {
  if (await pathExists(journal)) return;
  await journalOfShards(journal, await context.earlier(variantsFile));
}

/** Runs (or goes on with) the variants of a part; undefined where there are none. */
async function gate(
  at: AblatedPlace,
  of: { plan: AblationPlan; part: Shard | null },
  context: StageContext,
) {
  const { spec, place, factor } = at;
  const { study, signal, onProgress } = context;
  const journal = join(context.stateFolder, 'journal.jsonl');
  await takeVariants(journal, context);
  const model = await context.model(place.checkpoint.name);
  const pairs = await neededPairs(context);
  const options = {
    plan: of.plan,
    shard: of.part ?? { index: 1, count: 1 },
    controls: spec.controls,
    factors: [factor],
    ablation: spec.ablation,
    positions: spec.positions,
    match: spec.match,
    metric: study.attribution.metric,
    seed: study.seed,
    journal,
    signal,
    onProgress: ({ done, total }: { done: number; total: number }) => onProgress(done / total),
  };
  return model.lend((lent) => finishShardOf(ablationSubject(lent, pairs, options), options));
}

export const variantsStage: StageKind = {
  kind: 'variants',
  title: 'pairs with heads ablated and scaled',
  revision: 1,
  instances: (study, facts) =>
    ablatedPlaces(study).flatMap((at) =>
      partsOf(at.spec.parts).map((part) => instanceOf(at, part, { study, facts })),
    ),
  async run({ id }, context) {
    const [at, part] = ablatedPlaces(context.study)
      .flatMap((one) => partsOf(one.spec.parts).map((own) => [one, own] as const))
      .find(([one, own]) => partId(ablationId(one), own) === id)!;
    const { spec, place } = at;
    const { name: checkpoint } = place.checkpoint;
    const plan = planOf(spec, context, place.checkpoint);
    const gated = plan && (await gate(at, { plan, part }, context));
    if (gated) {
      // The study's name of the checkpoint, not the folder's: the same bytes wherever it lies.
      const settings = { ...gated.settings, model: checkpoint };
      await writeJournal(join(context.folder, variantsFile), settings, gated.records);
    }
    const summary: VariantsSummary = {
      format: variantsSummaryFormat,
      name: spec.name,
      checkpoint,
      variants: gated?.records.length ?? 0,
      noHeads: plan === undefined,
    };
    await writeResult(context.folder, variantsSummaryFile, summary);
  },
};
