// Stage `samples`: the answers of a checkpoint to a benchmark, alone or with heads gated beside
// matched random sets. What takes the time is here; figures from the samples are stages of their own.
// A journal keeps finished samples, so a kill loses those in flight at most.

import { join } from 'node:path';
import { answerBenchmark } from '../../evaluation.js';
import { isOfShard, keyText, sampleKeys } from '../../evaluation/plan.js';
import { readJournal, writeJournal } from '../../journal.js';
import type { Shard } from '../../shard.js';
import { pathExists } from '../../path-kinds.js';
import { askedForm, promptKey } from '../benchmark-facts.js';
import {
  benchmarkId,
  benchmarkPlaces,
  diffIdOf,
  gatedId,
  gatedPlaces,
  type BenchmarkPlace,
  type GatedPlace,
} from '../benchmark-places.js';
import type { Facts } from '../facts.js';
import { partId, partIds, partName, partsOf } from '../parts.js';
import type { StageContext, StageInstance, StageKind, StageWork } from '../stage.js';
import type { BenchmarkSpec, Checkpoint, Study } from '../study.js';
import { variantCount } from '../variant-counts.js';
import { diffHeadsNeed } from './diff.js';
import { writeResult } from './files.js';
import { planOf } from './variants.js';

export const samplesFile = 'samples.jsonl';
export const samplesSummaryFile = 'summary.json';
export const samplesSummaryFormat = 'headspark-samples';

export interface SamplesSummary {
  readonly format: typeof samplesSummaryFormat;
  readonly benchmark: string;
  readonly checkpoint: string;
  readonly samples: number;
  readonly tokens: number;
  /** The group of the diff has no heads: there was nothing to gate, and there is no journal. */
  readonly noHeads: boolean;
}

type AnyPlace = BenchmarkPlace & Partial<Pick<GatedPlace, 'ablation' | 'factor' | 'task'>>;

const isGated = (place: AnyPlace): place is GatedPlace => place.ablation !== undefined;

const placeName = (place: AnyPlace): string =>
  isGated(place) ? gatedId(place) : benchmarkId(place);

/** The ids of the stages that hold the samples of a place, in the order of its parts. */
export const samplesIds = (place: AnyPlace): string[] =>
  partIds(placeName(place), place.spec.parts);

/** Answers of a base tell its own length, those of the last checkpoint that of its series. */
function measuredOn({ name, series }: Checkpoint, study: Study): string {
  if (series === undefined) return name;
  return study.series.find(({ label }) => label === series)!.checkpoints.at(-1)!.name;
}

/** Rows that are decoded together. */
const rowsTogether = 64;
/** Text, tokens and analysis of a sample in the journal, beside its tokens. */
const bytesPerSample = 700;
const bytesPerToken = 12;

function workOf(
  place: AnyPlace,
  of: { study: Study; facts: Facts; part: Shard | null },
): StageWork {
  const { spec, checkpoint, form } = place;
  const { study, facts, part } = of;
  const { benchmark, prompts } = facts.benchmarks.get(spec.name)!;
  const { shape, headDim, textHash } = facts.checkpoints.get(checkpoint.name)!;
  const problems = Math.ceil(benchmark.problems.length / (part?.count ?? 1));
  const variants = isGated(place) ? variantCount(place.ablation, shape) : 1;
  const { samples, maxNewTokens } = spec.sampling;
  const rows = problems * variants * samples;
  const positions = prompts.get(promptKey(form.name, textHash))!.longest + maxNewTokens;
  const cacheBytes = 2 * 4 * shape.layers * shape.keyValueHeads * headDim;
  return {
    forwards: problems * variants,
    backwards: 0,
    rate: 'generation',
    units: rows,
    newTokens: rows * maxNewTokens,
    generation: {
      benchmark: spec.name,
      form: form.name,
      checkpoint: measuredOn(checkpoint, study),
    },
    memoryBytes: Math.min(rows, rowsTogether) * positions * cacheBytes,
    diskBytes: rows * (bytesPerSample + bytesPerToken * maxNewTokens),
  };
}

/** How the problems are answered: what the model is asked with, and part of what decides samples. */
function answeringOf({ sampling: own, sources }: BenchmarkSpec) {
  const { samples, sampling, maxNewTokens, stopStrings, stopTokens, seed } = own;
  return {
    samples,
    sampling,
    maxNewTokens,
    stopStrings,
    ...(stopTokens === undefined ? {} : { stopTokens }),
    seed,
    sources,
  };
}

/** How the heads of a plan are gated, likewise. */
function gatingOf({ ablation: plan, factor }: GatedPlace) {
  const { controls, ablation, positions, match, references } = plan;
  return {
    controls,
    factor,
    ablation,
    positions,
    match,
    ...(references === undefined ? {} : { references }),
  };
}

/** The same as options of an evaluation, which takes a list of factors. */
function evaluationGates(place: GatedPlace) {
  const { factor, ...gating } = gatingOf(place);
  return { ...gating, factors: [factor] };
}

/** What of an ablation decides samples. */
function gatesOf(place: AnyPlace): Record<string, unknown> | null {
  if (!isGated(place)) return null;
  const { name, what } = place.ablation;
  return { name, what, ...gatingOf(place), task: place.task ?? null };
}

function instanceOf(
  place: AnyPlace,
  part: Shard | null,
  of: { study: Study; facts: Facts },
): StageInstance {
  const { spec, checkpoint, form } = place;
  const { textHash } = of.facts.checkpoints.get(checkpoint.name)!;
  const { hash, suffix, modulus } = of.facts.benchmarks.get(spec.name)!.benchmark;
  const diff =
    isGated(place) && place.ablation.what.kind === 'group'
      ? diffHeadsNeed(diffIdOf(place), place.ablation.what.group)
      : undefined;
  const settings = {
    benchmark: spec.name,
    hash,
    suffix,
    modulus: modulus ?? null,
    asked: askedForm(spec, form),
    form: form.name,
    text: textHash,
    ...answeringOf(spec),
    gates: gatesOf(place),
    checkpoint: checkpoint.name,
  };
  return {
    kind: 'samples',
    id: partId(placeName(place), part),
    settings: { ...settings, part: partName(part) },
    costly: { settings, needs: diff ? ['diff'] : [], id: placeName(place) },
    needs: diff ? { diff } : {},
    weights: [checkpoint.name],
    checkpoint: checkpoint.name,
    ...(part ? { part: part.index - 1 } : {}),
    work: workOf(place, { ...of, part }),
  };
}

const allPlaces = (study: Study): AnyPlace[] => [...benchmarkPlaces(study), ...gatedPlaces(study)];

/** Begins a journal with the samples that belong to it of problems that were cut into other parts. */
async function takeSamples(
  journal: string,
  part: Shard | null,
  context: StageContext,
): Promise<void> {
  if (await pathExists(journal)) return;
  const records = new Map<string, unknown>();
  let header: Record<string, unknown> | undefined;
  for (const path of await context.earlier(samplesFile)) {
    const { settings, records: all } = await readJournal(path);
    header ??= { ...settings, shard: partName(part) };
    for (const [key, record] of all) if (isOfShard(key, part)) records.set(key, record);
  }
  if (header) await writeJournal(journal, header, records);
}

/** Runs (or goes on with) the samples; undefined where there are no heads to gate. */
async function answer(place: AnyPlace, part: Shard | null, context: StageContext) {
  const { spec, checkpoint, form } = place;
  const plan = isGated(place) ? planOf(place.ablation, context, checkpoint) : undefined;
  if (isGated(place) && !plan) return undefined;
  const { benchmark } = context.facts.benchmarks.get(spec.name)!;
  const journal = join(context.stateFolder, 'journal.jsonl');
  await takeSamples(journal, part, context);
  return answerBenchmark(await context.model(checkpoint.name), benchmark, {
    // The study's name of the checkpoint, not the folder's: the same bytes wherever it lies.
    label: checkpoint.name,
    prompt: askedForm(spec, form),
    ...answeringOf(spec),
    ...(isGated(place) && plan ? { plan, ...evaluationGates(place) } : {}),
    ...(part ? { shard: part } : {}),
    journal,
    signal: context.signal,
    onProgress: ({ done, total }) => context.onProgress(total > 0 ? done / total : 0),
  });
}

export const samplesStage: StageKind = {
  kind: 'samples',
  title: 'answers to benchmarks, alone and with heads gated',
  revision: 4,
  instances: (study, facts) =>
    allPlaces(study).flatMap((place) =>
      partsOf(place.spec.parts).map((part) => instanceOf(place, part, { study, facts })),
    ),
  async run({ id }, context) {
    const { study, folder } = context;
    const [place, part] = allPlaces(study)
      .flatMap((one) => partsOf(one.spec.parts).map((own) => [one, own] as const))
      .find(([one, own]) => partId(placeName(one), own) === id)!;
    const answers = await answer(place, part, context);
    const records = answers
      ? // In the order of the plan, not in that of finishing.
        [
          ...sampleKeys(answers.own, answers.settings.variants.length, answers.settings.samples),
        ].map((key) => [keyText(key), answers.samples.get(keyText(key))!] as const)
      : [];
    if (answers) {
      const settings = { ...answers.settings, shard: partName(part) };
      await writeJournal(join(folder, samplesFile), settings, records);
    }
    const summary: SamplesSummary = {
      format: samplesSummaryFormat,
      benchmark: place.spec.name,
      checkpoint: place.checkpoint.name,
      samples: records.length,
      tokens: records.reduce((sum, [, { tokens }]) => sum + tokens.length, 0),
      noHeads: answers === undefined,
    };
    await writeResult(folder, samplesSummaryFile, summary);
  },
};
