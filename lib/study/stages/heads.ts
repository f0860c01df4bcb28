// Stage `heads`: what heads do on the pairs (attention, writes, direct effects, copying), the group
// of the diff that each is in, and which property goes with the effect of ablating it.

import { headsOfGroup, readDiffReport, type DiffHeads } from '../../diff-report.js';
import { allHeads, compareHeads, formatHead, parseHeads, type HeadRef } from '../../head-gate.js';
import { headPrompts, headProperties } from '../../head-properties.js';
import { singleHeadEffects } from '../../heads/effects.js';
import { headProfile, type HeadProfile, type MeasuredEffects } from '../../heads/profile.js';
import { pairsKey, type Facts } from '../facts.js';
import { effectsPlan, headsPlaces } from '../heads-places.js';
import {
  placeId,
  type Place,
  type StageContext,
  type StageInstance,
  type StageKind,
} from '../stage.js';
import { slug, type HeadsSpec, type Study } from '../study.js';
import { ablationFile, ablationFormat, ablationId, type AblationStageFile } from './ablation.js';
import { diffFile } from './diff.js';
import { readResult, writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

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

/** More resamples than this change no digit that is shown. */
const mostResamples = 100_000;

function settingsOf(spec: HeadsSpec, { checkpoint, task, form }: Place, study: Study) {
  const { name, which, queries, maps, mapPair, markers } = spec;
  const { confidence, resamples, permutations, blockLength } = study.statistics;
  return {
    name,
    which,
    queries,
    maps,
    mapPair,
    ...(markers ? { markers } : {}),
    checkpoint: checkpoint.name,
    task,
    form,
    metric: study.attribution.metric,
    confidence,
    permutations,
    ...(resamples === 'auto' ? {} : { resamples: Math.min(resamples, mostResamples) }),
    ...(blockLength === undefined ? {} : { blockLength }),
    seed: study.seed,
  };
}

function instanceOf(
  spec: HeadsSpec,
  place: Place,
  of: { study: Study; facts: Facts },
): StageInstance {
  const { study, facts } = of;
  const { checkpoint, task, form } = place;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const { layers, heads } = facts.checkpoints.get(checkpoint.name)!.shape;
  const plan = effectsPlan(spec, place, study);
  return {
    kind: 'heads',
    id: `${slug(spec.name)}.${placeId(place)}`,
    settings: settingsOf(spec, place, study),
    needs: {
      pairs: pairsNeed(place, study),
      diff: { kind: 'diff', id: placeId(place) },
      ...(plan ? { effects: { kind: 'ablation', id: ablationId(plan, place, 0) } } : {}),
    },
    weights: [checkpoint.name],
    checkpoint: checkpoint.name,
    work: {
      // Patterns and writes of all heads cost about as much as the pass itself.
      forwards: 2 * pairs.length,
      backwards: 0,
      rate: 'sweep',
      units: 2 * pairs.length,
      memoryBytes: 4 * layers * heads * 16 * pairs.length,
      diskBytes: 1500 * layers * heads + 20_000 * spec.maps,
    },
  };
}

/** By head its status in either circuit, with its importance in the post-trained one. */
interface KnownHeads {
  readonly groups: Record<string, string>;
  readonly importance: ReadonlyMap<string, number>;
}

function knownHeads({ comparisons }: DiffHeads): KnownHeads {
  const members = comparisons[0].heads.filter(({ status }) => status !== 'absent');
  return {
    groups: Object.fromEntries(members.map((head) => [formatHead(head), head.status])),
    importance: new Map(members.map((head) => [formatHead(head), head.otherImportance])),
  };
}

function chosenHeads(
  { which }: HeadsSpec,
  shape: { layers: number; heads: number },
  report: DiffHeads,
): HeadRef[] {
  switch (which.kind) {
    case 'all':
      return allHeads(shape);
    case 'heads':
      return parseHeads(which.heads, shape);
    case 'circuit':
      return (['emergent', 'retained'] as const).flatMap(
        (group) => headsOfGroup(report, group).heads,
      );
    default:
      return headsOfGroup(report, which.kind).heads;
  }
}

/** Heads to draw: emergent ones first, then by importance in the circuit. */
function drawnHeads(heads: readonly HeadRef[], known: KnownHeads, count: number): HeadRef[] {
  const emergent = (ref: HeadRef): number => (known.groups[formatHead(ref)] === 'emergent' ? 0 : 1);
  const importance = (ref: HeadRef): number => known.importance.get(formatHead(ref)) ?? 0;
  return [...heads]
    .sort(
      (a, b) => emergent(a) - emergent(b) || importance(b) - importance(a) || compareHeads(a, b),
    )
    .slice(0, count);
}

async function neededEffects(
  context: StageContext,
  instance: StageInstance,
): Promise<MeasuredEffects | null> {
  if (!('effects' in instance.needs)) return null;
  const path = context.needed('effects', ablationFile);
  const { table } = await readResult<AblationStageFile>(path, ablationFormat);
  if (!table) return null;
  const { metric, ablation } = table.settings;
  return { settings: { metric, ablation }, effects: singleHeadEffects(table) };
}

async function profileOf(
  spec: HeadsSpec,
  instance: StageInstance,
  context: StageContext,
): Promise<HeadProfile | null> {
  const settings = instance.settings as unknown as ReturnType<typeof settingsOf>;
  const { checkpoint, metric, confidence, permutations, resamples, blockLength, seed } = settings;
  const report = await readDiffReport(context.needed('diff', diffFile));
  const known = knownHeads(report);
  const pairs = await neededPairs(context);
  const effects = await neededEffects(context, instance);
  const model = await context.model(checkpoint);
  const heads = chosenHeads(spec, model.info, report);
  if (heads.length === 0) return null;
  const prompt = Math.min(spec.mapPair, pairs.length - 1);
  const bootstrap = resamples === undefined ? {} : { resamples };
  const table = await headProperties(model, headPrompts(pairs, metric), {
    heads,
    queries: spec.queries,
    maps: drawnHeads(heads, known, spec.maps).map((head) => ({ head, prompt })),
    ...(spec.markers ? { markers: spec.markers } : {}),
    confidence,
    seed,
    ...bootstrap,
    signal: context.signal,
    onProgress: ({ done, total }) => context.onProgress(total > 0 ? done / total : 0),
  });
  // The study's name of the checkpoint, not the folder's: the same bytes wherever it lies.
  const named = { ...table, settings: { ...table.settings, model: checkpoint } };
  return headProfile(
    named,
    { groups: known.groups, effects },
    {
      confidence,
      permutations,
      seed,
      ...bootstrap,
      ...(blockLength === undefined ? {} : { blockLength }),
    },
  );
}

export const headsStage: StageKind = {
  kind: 'heads',
  title: 'what heads do, and what goes with their ablation',
  revision: 1,
  instances: (study, facts) =>
    study.heads.flatMap((spec) =>
      headsPlaces(spec, study).map((place) => instanceOf(spec, place, { study, facts })),
    ),
  async run(instance, context) {
    const { name, checkpoint, task, form } = instance.settings as Record<
      'name' | 'checkpoint' | 'task' | 'form',
      string
    >;
    const spec = context.study.heads.find((one) => one.name === name)!;
    const profile = await profileOf(spec, instance, context);
    const file: HeadsStageFile = { format: headsFormat, name, checkpoint, task, form, profile };
    await writeResult(context.folder, headsFile, file);
  },
};
