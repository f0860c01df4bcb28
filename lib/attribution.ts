// Edge attribution through the public API: how much every edge of the graph matters for a metric on
// pairs of prompts, as a score table that carries its settings.
import { checkModel, checkPairs, checkText, checkTexts } from './argument-checks.js';
import { attributeInParts, type Columns } from './attribution/in-parts.js';
import { readShards, sumShards } from './attribution/merge.js';
import { usualGrid, zeroGradient } from './attribution/gradients.js';
import type { CallbackResult } from './callbacks.js';
import { graphOf } from './circuit/graph.js';
import { checkScoreTable, type ScoreMeta, type ScoreTable } from './circuit/score-table.js';
import type { GraphShape, KvEdges } from './circuit/shape.js';
import { HeadsparkError } from './errors.js';
import type { Model } from './model.js';
import {
  runJob,
  type JobOptions,
  type NativeAttributeOptions,
  type NativeAttribution,
  type PackedPairs,
} from './native.js';
import { checkOptionNames, oneOf, optionNames, shown, wholeNumber } from './option-checks.js';
import { packPairs } from './packed.js';
import { pairSettings } from './pair-parts.js';
import { pairsHash, type TokenizedPair } from './pairs.js';
import { checkContrast } from './pairs/same-prompts.js';
import { checkShard, shardRange, type Shard } from './shard.js';
import { mean } from './stats/quantile.js';
import { version } from './version.js';

/** Every AttributionMethod. */
export const attributionMethods = [
  'eap',
  'eap-ig',
  'clean-corrupted',
  'eap-ig-activations',
  'information-flow-routes',
  'exact',
] as const;

/**
 * - `eap`: gradient at the clean run (arXiv 2310.10348).
 * - `eap-ig`: integrated gradients between the embeddings (arXiv 2403.17806).
 * - `clean-corrupted`: mean of the gradients at both ends.
 * - `eap-ig-activations`: the output of one group of sources interpolated at a time.
 * - `information-flow-routes`: L1 proximity, no gradients (arXiv 2403.00824).
 * - `exact`: every edge patched in a run of its own; slow.
 */
export type AttributionMethod = (typeof attributionMethods)[number];

/** Every Metric. */
export const metrics = ['logit-diff', 'kl', 'nll', 'prob-diff'] as const;

/**
 * - `logit-diff`: mean logit of the correct tokens minus that of the incorrect ones.
 * - `prob-diff`: probability mass of the correct tokens minus that of the incorrect ones.
 * - `kl`: KL(clean ‖ current), summed over the vocabulary, in nats. Its gradient at the clean run is 0, so
 *   that `eap`, and a single step on the grid `right`, have no scores of it.
 * - `nll`: mean negative log likelihood of the gold continuation's tokens, in nats.
 */
export type Metric = (typeof metrics)[number];

/** Every IgGrid. */
export const igGrids = ['left', 'right', 'midpoint'] as const;

/** Steps of integrated gradients at k/m, k = 0 … m-1 (left), 1 … m (right), or (k + ½)/m. */
export type IgGrid = (typeof igGrids)[number];

/**
 * Whether k and v edges end at every query head, or at the key/value head that a group of them
 * shares.
 */
export const kvEdgeKinds = ['per-query-head', 'grouped'] as const satisfies readonly KvEdges[];

/**
 * What `attribute` measures and how. Method, metric, steps and grid are kept in the `meta` of the
 * result: only tables that agree on them can be compared. What the model ran on stands there too.
 */
export interface AttributeOptions extends JobOptions {
  /** Default `eap-ig`. */
  method?: AttributionMethod | undefined;
  /** Default `logit-diff`. */
  metric?: Metric | undefined;
  /** 1 to 10,000; default 5. Only the two integrated-gradients methods read it. */
  igSteps?: number | undefined;
  /** Default `left`; `right` for `eap-ig-activations`. These are the reference's loops. */
  igGrid?: IgGrid | undefined;
  /** Default `per-query-head`, the reference's graph. */
  kvEdges?: KvEdges | undefined;
  /** Keep [pairs, edges] scores. Default `auto`: when they take at most 256 MB. */
  keepPairScores?: boolean | 'auto' | undefined;
  /**
   * File that keeps finished pairs of a run of more than two seconds, so that it can be resumed; where
   * the scores of every pair are kept, these lie in `JOURNAL.scores`, and what is finished of a pair of
   * `exact` lies in `JOURNAL.pair`. No bit of a result depends on it.
   */
  journal?: string | undefined;
  /** Keep the journal of a run of less than two seconds, too, as of a shard's. Default false. */
  keepJournal?: boolean | undefined;
  /** Called where scores in the journal are damaged: those are computed again. */
  onRemark?: ((remark: string) => CallbackResult) | undefined;
  /**
   * One of the equal parts of the pairs, in order; the result is of these alone. Needs `journal`, which
   * `mergeAttributions` reads and which then holds the scores of every pair.
   */
  shard?: Shard | undefined;
  /** Name of the task or of the pairs file, for the `meta` of the result. */
  task?: string | undefined;
}

/** A score table with the metric of every pair. */
export interface AttributionResult extends ScoreTable {
  /** [pairs] each: the metric of the clean and of the corrupted run. */
  readonly pairMetrics: { readonly clean: Float32Array; readonly corrupted: Float32Array };
}

const autoPairScoreBytes = 256e6;

interface Settings {
  method: AttributionMethod;
  metric: Metric;
  igSteps: number;
  igGrid: IgGrid;
  kvEdges: KvEdges;
}

const words = { method: 'method', metric: 'metric', steps: 'igSteps', grid: 'igGrid' };

function settingsOf(options: AttributeOptions): Settings {
  const method = oneOf('method', options.method, {
    allowed: attributionMethods,
    fallback: 'eap-ig',
  });
  const settings: Settings = {
    method,
    metric: oneOf('metric', options.metric, { allowed: metrics, fallback: 'logit-diff' }),
    igSteps: wholeNumber('igSteps', options.igSteps, { low: 1, high: 10_000, fallback: 5 }),
    igGrid: oneOf('igGrid', options.igGrid, {
      allowed: igGrids,
      fallback: usualGrid(method),
    }),
    kvEdges: oneOf('kvEdges', options.kvEdges, {
      allowed: kvEdgeKinds,
      fallback: 'per-query-head',
    }),
  };
  const noise = zeroGradient(settings, words);
  if (noise === undefined) return settings;
  throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', `${noise}.`);
}

function keepsPairScores(keep: AttributeOptions['keepPairScores'], values: number): boolean {
  if (keep === true || keep === false) return keep;
  if (keep === undefined || keep === 'auto') return values * 4 <= autoPairScoreBytes;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `keepPairScores is ${shown(keep)}; it must be true, false or auto.`,
  );
}

function metaOf(
  model: Model,
  pairs: readonly TokenizedPair[],
  { settings, task }: { settings: Settings; task: string | undefined },
): ScoreMeta {
  const { method, metric, igSteps, igGrid } = settings;
  const { label, hidden, adapterFolder, device, isa, precision, sharePrefix } = model.info;
  const integrated = method === 'eap-ig' || method === 'eap-ig-activations';
  return {
    model: label,
    ...(adapterFolder === undefined ? {} : { adapter: adapterFolder }),
    method,
    metric,
    ...(integrated ? { igSteps, igGrid } : {}),
    pairCount: pairs.length,
    pairsHash: pairsHash(pairs),
    device,
    isa,
    precision,
    sharePrefix,
    hiddenSize: hidden,
    version,
    ...(task === undefined ? {} : { task }),
  };
}

const attributeOptions = optionNames<AttributeOptions>({
  method: true,
  metric: true,
  igSteps: true,
  igGrid: true,
  kvEdges: true,
  keepPairScores: true,
  journal: true,
  keepJournal: true,
  onRemark: true,
  shard: true,
  task: true,
  signal: true,
  onProgress: true,
});

/** What a call computes, and what its table says of it. */
interface Run {
  readonly model: Model;
  readonly settings: Settings;
  readonly pairs: readonly TokenizedPair[];
  readonly packed: PackedPairs;
  readonly keepPairScores: boolean;
  readonly meta: ScoreMeta;
}

const shapeOf = ({ model, settings }: Run): GraphShape => model.shape(settings.kvEdges);

/** @throws ERR_HEADSPARK_TENSOR_VALUE when a score is not finite. */
function makeTable(
  { shape, meta }: Pick<ScoreTable, 'shape' | 'meta'>,
  found: NativeAttribution,
): AttributionResult {
  const { scores, pairScores, clean, corrupted, fingerprint } = found;
  const table: AttributionResult = {
    shape,
    scores,
    ...(pairScores ? { pairScores } : {}),
    pairMetrics: { clean, corrupted },
    meta: { ...meta, fingerprint, cleanMetric: mean(clean), corruptedMetric: mean(corrupted) },
  };
  checkScoreTable(table, `the scores of ${meta.model}`);
  return table;
}

const tableOf = (run: Run, found: NativeAttribution): AttributionResult =>
  makeTable({ shape: shapeOf(run), meta: run.meta }, found);

/** Of the pairs [begin, end); all are checked. */
function runPairs(
  { model, settings, packed }: Run,
  part: Pick<NativeAttributeOptions, 'begin' | 'end' | 'keepPairScores'> & { columns?: Columns },
  options: JobOptions,
): Promise<NativeAttribution> {
  const handle = model.handle();
  const { columns = { begin: 0, end: -1 }, ...rest } = part;
  const range = { ...rest, beginColumn: columns.begin, endColumn: columns.end };
  return runJob(
    (addon, onProgress) =>
      addon.attribute(handle, { ...settings, ...range, pairs: packed }, onProgress),
    options,
  );
}

/** The pairs of a run, or of its shard. */
interface PairShare {
  readonly begin: number;
  readonly end: number;
  /** As in `2/4`; undefined: all. */
  readonly shard: string | undefined;
}

function shareOf(pairs: number, options: AttributeOptions): PairShare {
  const { shard, journal } = options;
  if (shard === undefined) return { begin: 0, end: pairs, shard: undefined };
  checkShard(shard);
  const text = `${shard.index}/${shard.count}`;
  const [begin, end] = shardRange(pairs, shard);
  if (journal === undefined || begin === end) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      journal === undefined
        ? 'shard needs a journal, which mergeAttributions reads.'
        : `the shard ${text} has none of the ${pairs} pairs; use at most ${pairs} shards.`,
    );
  }
  return { begin, end, shard: text };
}

async function runWithJournal(
  run: Run,
  { journal, begin, end, shard }: PairShare & { readonly journal: string },
  options: JobOptions & Pick<AttributeOptions, 'keepJournal' | 'onRemark'>,
): Promise<AttributionResult> {
  checkText('attribute', 'the journal', journal);
  const { model, pairs, settings, meta } = run;
  const shape = shapeOf(run);
  const graph = graphOf(shape);
  const keepPairScores = run.keepPairScores || shard !== undefined;
  const { means, pairScores, ...metrics } = await attributeInParts({
    ...options,
    path: journal,
    settings: {
      verb: 'attribute',
      ...pairSettings(model, pairs),
      ...settings,
      keepPairScores,
      ...(shard === undefined ? {} : { shard }),
    },
    pairs: end - begin,
    edges: graph.edgeCount,
    keepPairScores,
    holdPairScores: run.keepPairScores,
    about: shard === undefined ? undefined : { shape, meta },
    keepJournal: shard !== undefined || options.keepJournal === true,
    // Exact patching has a run for every edge of a pair.
    ...(settings.method === 'exact' ? { edgesInto: graph.edgesInto() } : {}),
    attributePart: async ({ begin: from, end: to, columns }, job) => {
      const range = { begin: begin + from, end: begin + to, ...(columns ? { columns } : {}) };
      const part = await runPairs(run, { ...range, keepPairScores: true }, job);
      tableOf(run, part); // refuses what is not finite before it is kept
      return { ...part, pairScores: part.pairScores! };
    },
  });
  const ofShard = (): ScoreMeta => {
    const own = pairs.slice(begin, end);
    return { ...meta, pairCount: own.length, pairsHash: pairsHash(own), shard };
  };
  return makeTable(
    { shape, meta: shard === undefined ? meta : ofShard() },
    {
      ...metrics,
      scores: graph.expand(means),
      pairScores: pairScores ?? null,
      fingerprint: model.fingerprint(),
    },
  );
}

/**
 * Scores of every edge: the mean over pairs of what `method` gives for the loss (minus the metric
 * for `logit-diff` and `prob-diff`), so a positive score means that corrupting the edge hurts.
 * `scores` is [nForward, nBackward], 0 where there is no edge; `pairScores` [pairs, edges] over
 * the real edges in index order. Neither batch size nor threads change a bit of them.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT, _PAIR_LENGTH and _PAIR_FORMAT naming the pair's index (or
 *   its line, where the prompts of every pair are the same),
 *   _OUT_OF_MEMORY, _CANCELLED, _TENSOR_VALUE when a score is not finite, _SETTINGS_MISMATCH,
 *   _FILE_CORRUPT and _FILE_WRITE of the journal.
 */
export async function attribute(
  model: Model,
  pairs: readonly TokenizedPair[],
  options: AttributeOptions = {},
): Promise<AttributionResult> {
  checkModel('attribute', model);
  checkPairs('attribute', pairs);
  checkOptionNames('attribute', options, attributeOptions);
  const settings = settingsOf(options);
  const { edgeCount } = graphOf(model.shape(settings.kvEdges));
  const keepPairScores = keepsPairScores(options.keepPairScores, pairs.length * edgeCount);
  const packed = packPairs(pairs, settings.metric);
  if (settings.method !== 'information-flow-routes') checkContrast(pairs, settings.metric);
  const { journal, keepJournal, signal, onProgress, onRemark, task } = options;
  if (task !== undefined) checkText('attribute', 'the task', task);
  const share = shareOf(pairs.length, options);
  const meta = metaOf(model, pairs, { settings, task });
  const run: Run = { model, settings, pairs, packed, keepPairScores, meta };
  const job = { signal, onProgress };
  if (journal !== undefined) {
    const [kept, own] = [
      { ...share, journal },
      { ...job, keepJournal, onRemark },
    ];
    return model.lend((lent) => runWithJournal({ ...run, model: lent }, kept, own));
  }
  return tableOf(run, await runPairs(run, { begin: 0, end: pairs.length, keepPairScores }, job));
}

/** What `mergeAttributions` keeps. */
export interface MergeAttributionsOptions {
  /** As of `attribute`. */
  keepPairScores?: boolean | 'auto' | undefined;
  signal?: AbortSignal | undefined;
}

const mergeOptions = optionNames<MergeAttributionsOptions>({ keepPairScores: true, signal: true });

/**
 * The result of `attribute` on all pairs, to the bit, from the journals of its shards (option `shard`), in
 * any order; without a model.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ, _INVALID_ARGUMENT where a
 *   shard is missing, given twice or not finished, _FILE_CORRUPT, _FILE_NOT_FOUND, _CANCELLED.
 */
export async function mergeAttributions(
  journals: readonly string[],
  options: MergeAttributionsOptions = {},
): Promise<AttributionResult> {
  checkTexts('mergeAttributions', 'journals', journals);
  checkOptionNames('mergeAttributions', options, mergeOptions);
  const shards = await readShards(journals);
  const { about, pairs } = shards;
  const graph = graphOf(about.shape);
  const keep = keepsPairScores(options.keepPairScores, pairs * graph.edgeCount);
  const { means, ...found } = await sumShards(shards, {
    keepPairScores: keep,
    signal: options.signal,
  });
  return makeTable(about, { ...found, scores: graph.expand(means) });
}
