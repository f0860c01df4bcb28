// Stage `head-table`: what heads do on the pairs (attention, writes, direct effects, copying), as
// measured. What it goes with is the stage `heads`, so that other tests of it measure nothing again.

import { headsOfGroup, readDiffReport, type DiffHeads } from '../../diff-report.js';
import {
  allHeads,
  compareHeads,
  formatHead,
  parseHeads,
  type HeadRef,
  type HeadShape,
} from '../../head-gate.js';
import { headPrompts, headProperties } from '../../head-properties.js';
import type { HeadTable } from '../../heads/types.js';
import { headTableDraws } from '../draws.js';
import { pairsKey, type Facts } from '../facts.js';
import { headStatistics } from '../head-statistics.js';
import { headsPlaces } from '../heads-places.js';
import {
  placeId,
  type Need,
  type Place,
  type StageContext,
  type StageInstance,
  type StageKind,
} from '../stage.js';
import { slug, type HeadsSpec, type Study } from '../study.js';
import { diffFile } from './diff.js';
import { readResult, writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

const headTableFile = 'head-table.json';
const headTableFormat = 'headspark-head-table-stage';

interface HeadTableFile {
  readonly format: typeof headTableFormat;
  /** Null when no heads were chosen: the group has none. */
  readonly table: HeadTable | null;
}

/** Id of an entry of `heads` at a place, as a stage. */
export const headsId = (spec: HeadsSpec, place: Place): string =>
  `${slug(spec.name)}.${placeId(place)}`;

/** The need of whoever reads the table. */
export const headTableNeed = (spec: HeadsSpec, place: Place): Need => ({
  kind: 'head-table',
  id: headsId(spec, place),
});

/** The table that an instance needs under the role `table`; null where no heads were chosen. */
export async function neededHeadTable(context: StageContext): Promise<HeadTable | null> {
  const path = context.needed('table', headTableFile);
  return (await readResult<HeadTableFile>(path, headTableFormat)).table;
}

function settingsOf(spec: HeadsSpec, { checkpoint, task, form }: Place, study: Study) {
  const { name, which, queries, maps, mapPair, markers } = spec;
  return {
    name,
    which,
    queries,
    maps,
    ...(maps > 0 ? { mapPair } : {}),
    ...(markers ? { markers } : {}),
    checkpoint: checkpoint.name,
    task,
    form,
    metric: study.attribution.metric,
    ...headStatistics(study),
  };
}

/** Heads of a group and heads to draw are those of the diff; all and named ones are not. */
const needsDiff = ({ which, maps }: HeadsSpec): boolean =>
  maps > 0 || (which.kind !== 'all' && which.kind !== 'heads');

/** The heads that are measured and those that are drawn, of them only what `run` reads. */
interface ChosenHeads {
  readonly heads: HeadRef[];
  readonly drawn: HeadRef[];
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
  return {
    kind: 'head-table',
    id: headsId(spec, place),
    settings: settingsOf(spec, place, study),
    needs: {
      pairs: pairsNeed(place, study),
      ...(needsDiff(spec) ? { diff: headsNeed(spec, place, { layers, heads }) } : {}),
    },
    weights: [checkpoint.name],
    checkpoint: checkpoint.name,
    work: {
      // Patterns and writes of all heads cost about as much as the pass itself.
      forwards: 2 * pairs.length,
      backwards: 0,
      rate: 'sweep',
      units: 2 * pairs.length,
      draws: headTableDraws(layers * heads, pairs.length, study),
      memoryBytes: 4 * layers * heads * 16 * pairs.length,
      diskBytes: 1500 * layers * heads + 20_000 * spec.maps,
    },
  };
}

/** By head its status in either circuit, with its importance in the post-trained one. */
export interface KnownHeads {
  readonly groups: Record<string, string>;
  readonly importance: ReadonlyMap<string, number>;
}

export function knownHeads({ comparisons }: DiffHeads): KnownHeads {
  const members = comparisons[0].heads.filter(({ status }) => status !== 'absent');
  return {
    groups: Object.fromEntries(members.map((head) => [formatHead(head), head.status])),
    importance: new Map(members.map((head) => [formatHead(head), head.otherImportance])),
  };
}

/** `report` is there where `needsDiff` says so. */
function chosenHeads(
  { which }: HeadsSpec,
  shape: HeadShape,
  report: DiffHeads | undefined,
): HeadRef[] {
  switch (which.kind) {
    case 'all':
      return allHeads(shape);
    case 'heads':
      return parseHeads(which.heads, shape);
    case 'circuit':
      return (['emergent', 'retained'] as const).flatMap(
        (group) => headsOfGroup(report!, group).heads,
      );
    default:
      return headsOfGroup(report!, which.kind).heads;
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

const headsNeed = (spec: HeadsSpec, place: Place, shape: HeadShape): Need => ({
  kind: 'diff',
  id: placeId(place),
  part: {
    name: spec.maps > 0 ? 'the heads to draw' : `the ${spec.which.kind} heads`,
    read: async (file): Promise<ChosenHeads> => {
      const report = await readDiffReport(file(diffFile));
      const heads = chosenHeads(spec, shape, report);
      const drawn = spec.maps > 0 ? drawnHeads(heads, knownHeads(report), spec.maps) : [];
      return { heads, drawn };
    },
  },
});

async function measure(
  spec: HeadsSpec,
  checkpoint: string,
  context: StageContext,
): Promise<HeadTable | null> {
  const pairs = await neededPairs(context);
  const model = await context.model(checkpoint);
  const { heads, drawn } = needsDiff(spec)
    ? (context.part('diff') as ChosenHeads)
    : { heads: chosenHeads(spec, model.info, undefined), drawn: [] };
  if (heads.length === 0) return null;
  const prompt = Math.min(spec.mapPair, pairs.length - 1);
  const { metric } = context.study.attribution;
  const table = await headProperties(model, headPrompts(pairs, metric), {
    heads,
    queries: spec.queries,
    maps: drawn.map((head) => ({ head, prompt })),
    ...(spec.markers ? { markers: spec.markers } : {}),
    ...headStatistics(context.study),
    signal: context.signal,
    onProgress: ({ done, total }) => context.onProgress(total > 0 ? done / total : 0),
  });
  // The study's name of the checkpoint, not the folder's: the same bytes wherever it lies.
  return { ...table, settings: { ...table.settings, model: checkpoint } };
}

export const headTableStage: StageKind = {
  kind: 'head-table',
  title: 'what heads attend to, write and copy',
  revision: 3,
  instances: (study, facts) =>
    study.heads.flatMap((spec) =>
      headsPlaces(spec, study).map((place) => instanceOf(spec, place, { study, facts })),
    ),
  async run({ settings }, context) {
    const { name, checkpoint } = settings as Record<'name' | 'checkpoint', string>;
    const spec = context.study.heads.find((one) => one.name === name)!;
    const table = await measure(spec, checkpoint, context);
    const file: HeadTableFile = { format: headTableFormat, table };
    await writeResult(context.folder, headTableFile, file);
  },
};
