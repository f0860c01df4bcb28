// Stage `ablation`: teacher-forced ablation and scaling of heads on the pairs, every set against
// matched random sets. A journal keeps finished variants, so a kill loses a few seconds at most.

import { join } from 'node:path';
import { ablate, type AblationPlan, type AblationTable } from '../../ablation.js';
import { journalOfTables } from '../../ablation/table-journal.js';
import { matchedControlCount } from '../../diff/matched-controls.js';
import { parseHeadSets, type HeadRef, type HeadShape } from '../../head-gate.js';
import { pathExists } from '../../path-kinds.js';
import { ablationDraws, type RowCounts } from '../draws.js';
import { pairsKey, type Facts } from '../facts.js';
import { ablationPlaces } from '../heads-places.js';
import { placeId, type Place, type StageContext, type StageKind } from '../stage.js';
import { slug, type AblationSpec, type Study } from '../study.js';
import { diffHeadsNeed } from './diff.js';
import { readResult, writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

export const ablationFile = 'ablation.json';
export const ablationFormat = 'headspark-ablation-stage';

export interface AblationStageFile {
  readonly format: typeof ablationFormat;
  readonly name: string;
  readonly checkpoint: string;
  readonly task: string;
  readonly form: string;
  readonly factor: number;
  /** Null when the group has no heads. */
  readonly table: Awaited<ReturnType<typeof ablate>> | null;
}

/** Random sets that are matched in layers: a layer has few others for a head alone. */
function randomSets({ what, controls }: AblationSpec, shape: HeadShape): number {
  if (what.kind === 'single') return 0;
  if (what.kind === 'heads') {
    const counts = parseHeadSets(what.heads, shape).map((set) =>
      matchedControlCount(set, { shape, count: controls }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
  return Math.min(controls, shape.heads - 1) + (what.topK - 1) * controls;
}

/** Sets of heads and all their random sets: an upper bound before the diff is known. */
export function rowCounts(spec: AblationSpec, shape: HeadShape): RowCounts {
  const { what, controls, match } = spec;
  if (what.kind === 'single') return { sets: shape.layers * shape.heads, random: 0 };
  const sets = what.kind === 'group' ? what.topK : parseHeadSets(what.heads, shape).length;
  return { sets, random: match === 'layer' ? randomSets(spec, shape) : sets * controls };
}

/** Variants that will run: the whole model, the sets and the random ones. */
export function variantCount(spec: AblationSpec, shape: HeadShape): number {
  const { sets, random } = rowCounts(spec, shape);
  return 1 + sets + random;
}

/** A single head leaves the layers below it as they are; those of a set may be anywhere. */
function wholePasses(spec: AblationSpec, shape: HeadShape): number {
  const { layers } = shape;
  if (spec.what.kind !== 'single') return variantCount(spec, shape);
  return 1 + (rowCounts(spec, shape).sets * (layers + 1)) / (2 * layers);
}

/** The sets of heads; undefined where the group of the diff has none. */
export function planOf(
  spec: AblationSpec,
  context: StageContext,
  shape: Place['checkpoint'],
): AblationPlan | undefined {
  const { what } = spec;
  if (what.kind === 'single') return { kind: 'single' } satisfies AblationPlan;
  if (what.kind === 'heads') {
    const { layers, heads } = context.facts.checkpoints.get(shape.name)!.shape;
    return {
      kind: 'sets',
      sets: parseHeadSets(what.heads, { layers, heads }),
    } satisfies AblationPlan;
  }
  const heads = context.part('diff') as HeadRef[];
  if (heads.length === 0) return undefined;
  return { kind: 'top-k', heads, k: what.topK, group: what.group } satisfies AblationPlan;
}

/** The id of a plan's instance. */
export const ablationId = ({ name }: AblationSpec, place: Place, factor: number): string =>
  `${slug(name)}.${placeId(place)}.x${factor}`;

function instanceOf(
  spec: AblationSpec,
  at: { place: Place; factor: number },
  of: { study: Study; facts: Facts },
) {
  const { place, factor } = at;
  const { study, facts } = of;
  const { checkpoint, task, form } = place;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const { shape } = facts.checkpoints.get(checkpoint.name)!;
  const variants = variantCount(spec, shape);
  const { name, what, controls, ablation, positions, match } = spec;
  const { metric } = study.attribution;
  const id = ablationId(spec, place, factor);
  return {
    kind: 'ablation',
    id,
    // A variant's values; which variants there are and what is made of them may be another matter.
    costly: { settings: { ablation, positions, metric }, needs: ['pairs'], id },
    settings: {
      name,
      what,
      controls,
      factor,
      ablation,
      positions,
      match,
      checkpoint: checkpoint.name,
      task,
      form,
      metric,
      confidence: study.statistics.confidence,
      seed: study.seed,
    },
    needs: {
      pairs: pairsNeed(place, study),
      ...(what.kind === 'group' ? { diff: diffHeadsNeed(placeId(place), what.group) } : {}),
    },
    weights: [checkpoint.name],
    checkpoint: checkpoint.name,
    work: {
      forwards: variants * pairs.length,
      backwards: 0,
      rate: 'sweep' as const,
      units: wholePasses(spec, shape) * pairs.length,
      draws: ablationDraws(rowCounts(spec, shape), pairs.length),
      memoryBytes: 16 * variants * pairs.length,
      diskBytes: 30 * variants * pairs.length,
    },
  };
}

/** Begins a journal with what tables of other settings hold. */
async function takeVariants(journal: string, context: StageContext): Promise<void> {
  if (await pathExists(journal)) return;
  const tables: AblationTable[] = [];
  for (const path of await context.earlier(ablationFile)) {
    const { table } = await readResult<AblationStageFile>(path, ablationFormat);
    if (table) tables.push(table);
  }
  if (tables.length > 0) await journalOfTables(journal, tables);
}

export const ablationStage: StageKind = {
  kind: 'ablation',
  title: 'heads ablated and scaled, with matched random sets',
  revision: 9,
  instances: (study, facts) =>
    study.ablations
      .filter(({ benchmarks }) => !benchmarks)
      .flatMap((spec) =>
        ablationPlaces(spec, study).flatMap((place) =>
          spec.factors.map((factor) => instanceOf(spec, { place, factor }, { study, facts })),
        ),
      ),
  async run({ settings }, context) {
    const { study, signal, onProgress } = context;
    const at = settings as Record<'name' | 'checkpoint' | 'task' | 'form', string>;
    const { factor } = settings as { factor: number };
    const spec = study.ablations.find(({ name }) => name === at.name)!;
    const checkpoint = study.checkpoints.find(({ name }) => name === at.checkpoint)!;
    const plan = planOf(spec, context, checkpoint);
    const journal = join(context.stateFolder, 'journal.jsonl');
    if (plan) await takeVariants(journal, context);
    const table = plan
      ? await ablate(await context.model(checkpoint.name), await neededPairs(context), {
          plan,
          controls: spec.controls,
          factors: [factor],
          ablation: spec.ablation,
          positions: spec.positions,
          match: spec.match,
          metric: study.attribution.metric,
          confidence: study.statistics.confidence,
          seed: study.seed,
          journal,
          signal,
          onProgress: ({ done, total }) => onProgress(done / total),
        })
      : null;
    const { name, task, form } = at;
    const file: AblationStageFile = {
      format: ablationFormat,
      name,
      checkpoint: checkpoint.name,
      task,
      form,
      factor,
      // The study's name of the checkpoint, not the folder's: the same bytes wherever it lies.
      table: table && { ...table, settings: { ...table.settings, model: checkpoint.name } },
    };
    await writeResult(context.folder, ablationFile, file);
  },
};
