// Stage `heads`: what was measured of heads together with the group of the diff that each is in, and
// which property goes with the effect of ablating it. Without a model.

import { readDiffReport } from '../../diff-report.js';
import { singleHeadEffects } from '../../heads/effects.js';
import { headProfile, type HeadProfile, type MeasuredEffects } from '../../heads/profile.js';
import { correlationDraws } from '../draws.js';
import type { Facts } from '../facts.js';
import { headStatistics } from '../head-statistics.js';
import { ablationId, effectsPlan, headsPlaces } from '../heads-places.js';
import {
  littleWork,
  placeId,
  type NeededPart,
  type Place,
  type StageContext,
  type StageInstance,
  type StageKind,
} from '../stage.js';
import type { HeadsSpec, Study } from '../study.js';
import { ablationFile, ablationFormat, type AblationStageFile } from './ablation.js';
import { diffFile } from './diff.js';
import { readResult, writeResult } from './files.js';
import { headsId, headTableNeed, knownHeads, neededHeadTable } from './head-table.js';

export const headsFile = 'heads.json';
export const headsFormat = 'headspark-heads-stage';

export interface HeadsStageFile {
  readonly format: typeof headsFormat;
  readonly name: string;
  readonly checkpoint: string;
  readonly task: string;
  readonly form: string;
  /** Null when no heads were chosen: the group has none. */
  readonly profile: HeadProfile | null;
}

/** Of the correlations. */
function correlationSettings(study: Study) {
  const { permutations, blockLength } = study.statistics;
  return {
    ...headStatistics(study),
    permutations,
    ...(blockLength === undefined ? {} : { blockLength }),
  };
}

const groupsOfHeads: NeededPart = {
  name: 'the group of every head',
  read: async (file) => knownHeads(await readDiffReport(file(diffFile))).groups,
};

/** As JSON. */
type EffectsPart = Omit<MeasuredEffects, 'effects'> & { readonly effects: [string, number][] };

/** Not the intervals and tests of the table. */
const effectsOfHeads: NeededPart = {
  name: 'the effect of every head',
  read: async (file): Promise<EffectsPart | null> => {
    const { table } = await readResult<AblationStageFile>(file(ablationFile), ablationFormat);
    if (!table) return null;
    const { metric, ablation } = table.settings;
    return { settings: { metric, ablation }, effects: [...singleHeadEffects(table)] };
  },
};

function neededEffects(context: StageContext, instance: StageInstance): MeasuredEffects | null {
  if (!('effects' in instance.needs)) return null;
  const part = context.part('effects') as EffectsPart | null;
  return part && { settings: part.settings, effects: new Map(part.effects) };
}

function instanceOf(
  spec: HeadsSpec,
  place: Place,
  of: { study: Study; facts: Facts },
): StageInstance {
  const { study, facts } = of;
  const { checkpoint, task, form } = place;
  const plan = effectsPlan(spec, place, study);
  const { layers, heads } = facts.checkpoints.get(checkpoint.name)!.shape;
  return {
    kind: 'heads',
    id: headsId(spec, place),
    settings: {
      name: spec.name,
      checkpoint: checkpoint.name,
      task,
      form,
      ...(plan ? correlationSettings(study) : {}),
    },
    needs: {
      table: headTableNeed(spec, place),
      diff: { kind: 'diff', id: placeId(place), part: groupsOfHeads },
      ...(plan
        ? {
            effects: {
              kind: 'ablation',
              id: ablationId({ spec: plan, place, factor: 0 }),
              part: effectsOfHeads,
            },
          }
        : {}),
    },
    weights: [],
    checkpoint: checkpoint.name,
    work: {
      ...littleWork,
      ...(plan ? { draws: correlationDraws(layers * heads, study) } : {}),
      diskBytes: 100_000,
    },
  };
}

async function profileOf(
  instance: StageInstance,
  context: StageContext,
): Promise<HeadProfile | null> {
  const table = await neededHeadTable(context);
  if (!table) return null;
  const groups = context.part('diff') as Record<string, string>;
  const effects = neededEffects(context, instance);
  return headProfile(table, { groups, effects }, correlationSettings(context.study));
}

export const headsStage: StageKind = {
  kind: 'heads',
  title: 'which of what heads do goes with their ablation',
  revision: 4,
  instances: (study, facts) =>
    study.heads.flatMap((spec) =>
      headsPlaces(spec, study).map((place) => instanceOf(spec, place, { study, facts })),
    ),
  async run(instance, context) {
    const { name, checkpoint, task, form } = instance.settings as Record<
      'name' | 'checkpoint' | 'task' | 'form',
      string
    >;
    const profile = await profileOf(instance, context);
    const file: HeadsStageFile = { format: headsFormat, name, checkpoint, task, form, profile };
    await writeResult(context.folder, headsFile, file);
  },
};
