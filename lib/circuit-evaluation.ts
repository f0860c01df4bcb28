// Faithfulness of circuits on a model: run the clean prompts where only the circuit's edges carry
// what the circuit computed, and compare with the whole model and with no circuit at all.
import { checkCircuits, checkModel, checkPairs, checkTable, checkText } from './argument-checks.js';
import { withCallbacks, type CallbackResult } from './callbacks.js';
import { kvEdgeKinds, metrics, type Metric } from './attribution.js';
import { buildCircuit, countEdges, type Circuit } from './circuit/circuit.js';
import {
  circuitModelDistance,
  circuitPerformanceRatio,
  CURVE_FRACTIONS,
  edgesAtFraction,
} from './circuit/faithfulness.js';
import { graphOf } from './circuit/graph.js';
import type { ScoreTable } from './circuit/score-table.js';
import type { Ranking } from './circuit/select.js';
import { describeShape, sameGraph, type KvEdges } from './circuit/shape.js';
import { circuitValues, type CircuitRequest } from './circuit-values.js';
import { HeadsparkError } from './errors.js';
import type { Model } from './model.js';
import type { JobOptions } from './native.js';
import { checkOptionNames, oneOf, optionNames, shown, wholeNumber } from './option-checks.js';
import type { TokenizedPair } from './pairs.js';
import { checkContrast } from './pairs/same-prompts.js';
import { bootstrapSteps, type BootstrapOptions } from './stats/bootstrap.js';
import { mean, type Interval } from './stats/quantile.js';
import { Turns, type Steps } from './turns.js';

/** Every ExcludedEdges. */
export const excludedKinds = ['patch', 'zero', 'mean'] as const;

/**
 * What an edge outside the circuit carries: the corrupted run's value of its source (`patch`),
 * nothing (`zero`), or the source's mean over all tokens of the clean prompts (`mean`).
 */
export type ExcludedEdges = (typeof excludedKinds)[number];

/** What circuits are evaluated with; the defaults are those of the reference. */
export interface EvaluateCircuitsOptions extends JobOptions {
  /** Default `logit-diff`. */
  metric?: Metric | undefined;
  /** Default `patch`. */
  excluded?: ExcludedEdges | undefined;
  /** Resampling of pairs for the intervals of faithfulness; `resamples` is 2,000 by default. */
  bootstrap?: BootstrapOptions | undefined;
  /**
   * Most bytes of masks and values in one native call, so that memory stays bounded for any number
   * of circuits (at least one runs per call). Default 64 MiB. Never changes a result.
   */
  chunkBytes?: number | undefined;
  /**
   * JSONL file that keeps the values of finished pairs, so that a run can be resumed; with `excluded:
   * 'mean'` all pairs are one part. Progress then begins with a report in `pairs`, of those it holds.
   * Never changes a result.
   */
  journal?: string | undefined;
  /** Called where lines of the journal are damaged: what they held is computed again. */
  onRemark?: ((remark: string) => CallbackResult) | undefined;
}

/** One circuit's metric and faithfulness. */
export interface CircuitResult {
  /** [pairs] the metric of the circuit. */
  readonly values: Float32Array;
  /** Mean of `values`. */
  readonly mean: number;
  /**
   * (mean - mean of empty) / (mean of clean - mean of empty): 1 for the whole model, 0 for the
   * empty circuit; NaN when clean and empty have the same mean.
   */
  readonly faithfulness: number;
  /**
   * Percentile bootstrap over pairs of the same ratio. A resample of pairs on which clean and empty
   * agree has no ratio: such resamples are counted in `undefinedResamples` and widen the interval,
   * and with more than 2.5 % of them (at 0.95), or without a ratio of all pairs, the bounds are NaN.
   */
  readonly interval: Interval;
}

/** What `evaluateCircuits` gives; values are in units of the metric, in the order of the pairs. */
export interface CircuitEvaluation {
  readonly excluded: ExcludedEdges;
  readonly metric: Metric;
  /** Number of pairs. */
  readonly pairs: number;
  /** [pairs] the metric of the whole model on the clean prompts. */
  readonly clean: Float32Array;
  /** [pairs] the metric of the whole model on the corrupted prompts. */
  readonly corrupted: Float32Array;
  /** [pairs] the metric of the circuit without edges. */
  readonly empty: Float32Array;
  /** In the order of the circuits given. */
  readonly circuits: CircuitResult[];
}

const defaultChunkBytes = 64 * 2 ** 20;

interface EvaluationRequest extends CircuitRequest {
  metric: Metric;
  excluded: ExcludedEdges;
}

const bootstrapOptions = optionNames<BootstrapOptions>({
  resamples: true,
  confidence: true,
  seed: true,
});

function requestOf(
  place: { model: Model; pairs: readonly TokenizedPair[] },
  kvEdges: KvEdges | undefined,
  options: EvaluateCircuitsOptions,
): EvaluationRequest {
  if (options.bootstrap !== undefined) {
    checkOptionNames('bootstrap', options.bootstrap, bootstrapOptions);
  }
  const kind = oneOf('kvEdges', kvEdges, { allowed: kvEdgeKinds, fallback: 'per-query-head' });
  return {
    ...place,
    metric: oneOf('metric', options.metric, { allowed: metrics, fallback: 'logit-diff' }),
    excluded: oneOf('excluded', options.excluded, { allowed: excludedKinds, fallback: 'patch' }),
    shape: place.model.shape(kind),
    chunkBytes: wholeNumber('chunkBytes', options.chunkBytes, {
      low: 1,
      high: 2 ** 31,
      fallback: defaultChunkBytes,
    }),
    journal: options.journal,
    onRemark: options.onRemark,
    job: { signal: options.signal, onProgress: options.onProgress },
  };
}

function checkCircuit(circuit: Circuit, index: number, request: CircuitRequest): void {
  const { shape, model } = request;
  if (!sameGraph(circuit.shape, shape)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_SETTINGS_MISMATCH',
      `circuit ${index} is of a graph of ${describeShape(circuit.shape)}, but ${model.info.label} ` +
        `has ${describeShape(shape)}; evaluate a circuit on a model of its own shape, and circuits ` +
        `of different k/v edges in separate calls.`,
    );
  }
  const graph = graphOf(shape);
  if (circuit.inGraph.length !== graph.nForward * graph.nBackward) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_SHAPE',
      `circuit ${index} has ${circuit.inGraph.length} mask entries; its graph has ` +
        `${graph.nForward} x ${graph.nBackward}.`,
    );
  }
}

const meanAt = (values: Float32Array, indexes: Uint32Array): number => {
  let sum = 0;
  for (const index of indexes) sum += values[index];
  return sum / indexes.length;
};

function* resultOf(
  values: Float32Array,
  ends: { clean: Float32Array; empty: Float32Array },
  bootstrap: BootstrapOptions,
): Steps<CircuitResult> {
  // A resample may draw only pairs on which clean and empty agree; it then says nothing.
  const ratio = (indexes: Uint32Array): number => {
    const empty = meanAt(ends.empty, indexes);
    const value = (meanAt(values, indexes) - empty) / (meanAt(ends.clean, indexes) - empty);
    return Number.isFinite(value) ? value : Number.NaN;
  };
  const interval = yield* bootstrapSteps(values.length, ratio, { resamples: 2000, ...bootstrap });
  return { values, mean: mean(values), faithfulness: interval.estimate, interval };
}

const evaluateOptions = optionNames<EvaluateCircuitsOptions>({
  metric: true,
  excluded: true,
  bootstrap: true,
  chunkBytes: true,
  journal: true,
  onRemark: true,
  signal: true,
  onProgress: true,
});

/**
 * Evaluates any number of circuits of one graph (method: hannamw/EAP-IG, evaluate_graph). The
 * circuit without edges is always evaluated too. A pair's value in one circuit does not depend on
 * the other pairs or circuits (but `mean` reads all prompts).
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH when a circuit is not of the model's graph,
 *   and when the journal is of other settings, _INVALID_ARGUMENT, _PAIR_LENGTH, _PAIR_FORMAT,
 *   _TENSOR_SHAPE, _OUT_OF_MEMORY, _CANCELLED, _FILE_CORRUPT and _FILE_WRITE of the journal.
 */
export async function evaluateCircuits(
  model: Model,
  pairs: readonly TokenizedPair[],
  circuits: readonly Circuit[],
  options: EvaluateCircuitsOptions = {},
): Promise<CircuitEvaluation> {
  checkModel('evaluateCircuits', model);
  checkPairs('evaluateCircuits', pairs);
  checkCircuits('evaluateCircuits', circuits);
  checkOptionNames('evaluateCircuits', options, evaluateOptions);
  const { journal } = options;
  if (journal !== undefined) checkText('evaluateCircuits', 'the journal', journal);
  const request = requestOf({ model, pairs }, circuits[0]?.shape.kvEdges, options);
  circuits.forEach((circuit, index) => checkCircuit(circuit, index, request));
  const masks = circuits.map(({ inGraph }) => inGraph);
  // Circuits run in chunks, each a job.
  const { clean, corrupted, values } = await withCallbacks(request.job, (job) =>
    model.lend((lent) => circuitValues({ ...request, model: lent, job }, [undefined, ...masks])),
  );
  const [empty, ...rest] = values;
  const { excluded, metric } = request;
  const turns = new Turns('the evaluation of circuits', options.signal);
  const results: CircuitResult[] = [];
  for (const row of rest) {
    await turns.give();
    const result = resultOf(row, { clean, empty }, options.bootstrap ?? {});
    results.push(await turns.through(result));
  }
  return { excluded, metric, pairs: pairs.length, clean, corrupted, empty, circuits: results };
}

/** Which sizes of circuits `circuitCurve` evaluates, and how. */
export interface CircuitCurveOptions extends EvaluateCircuitsOptions {
  /** Shares of the edges, rising, in (0, 1]; at least 2. Default `CURVE_FRACTIONS`. */
  fractions?: readonly number[] | undefined;
  /** Remove what does not connect input and logits; default true. */
  prune?: boolean | undefined;
}

/** A circuit of one ranking at one size. */
export interface CurveEntry extends CircuitResult {
  /** Edges that are left after pruning. */
  readonly edges: number;
}

/** Two circuits of one size. */
export interface CircuitCurvePoint {
  readonly fraction: number;
  /** Edges selected: the fraction of all, rounded down. */
  readonly selected: number;
  /** The circuit of the highest signed scores, which CPR reads. */
  readonly signed: CurveEntry;
  /** The circuit of the highest |score|, which CMD reads. */
  readonly absolute: CurveEntry;
}

/** What `circuitCurve` gives: faithfulness by size, and its two summaries. */
export interface CircuitCurve {
  readonly excluded: ExcludedEdges;
  readonly metric: Metric;
  readonly pairs: number;
  /** [pairs] each, as in `CircuitEvaluation`. */
  readonly clean: Float32Array;
  readonly corrupted: Float32Array;
  readonly empty: Float32Array;
  readonly points: CircuitCurvePoint[];
  /** Area under faithfulness over the fraction, signed top-n. */
  readonly cpr: number;
  /** Area under |1 - faithfulness| over the fraction, absolute top-n. */
  readonly cmd: number;
}

function checkFractions(fractions: readonly number[]): void {
  if (!Array.isArray(fractions)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `fractions is ${shown(fractions)}; it must be a list of numbers.`,
    );
  }
  const rising = (fractions as readonly number[]).every(
    (value, index) => value > (index === 0 ? 0 : fractions[index - 1]) && value <= 1,
  );
  if (rising && fractions.length >= 2) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `fractions is [${fractions.join(', ')}]; it must be at least 2 rising numbers above 0, up to 1.`,
  );
}

/** Faithfulness is the share of the way from the empty circuit to the model. */
function checkApart({
  clean,
  empty,
  metric,
}: Pick<CircuitEvaluation, 'clean' | 'empty' | 'metric'>) {
  const [full, none] = [mean(clean), mean(empty)];
  if (full !== none) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `faithfulness is undefined: the model and the empty circuit both have a mean ${metric} of ${full} ` +
      'on these pairs; give pairs on which they differ.',
  );
}

/**
 * Faithfulness over circuit sizes, with its two summaries CPR and CMD (the Mechanistic
 * Interpretability Benchmark, arXiv 2504.13151).
 * @throws as evaluateCircuits; ERR_HEADSPARK_PAIR_FORMAT also when nothing is corrupted in any pair or
 *   its answers are the same, _INVALID_ARGUMENT when faithfulness is undefined because the model and
 *   the empty circuit do not differ on these pairs.
 */
export async function circuitCurve(
  model: Model,
  pairs: readonly TokenizedPair[],
  table: ScoreTable,
  options: CircuitCurveOptions = {},
): Promise<CircuitCurve> {
  checkModel('circuitCurve', model);
  checkPairs('circuitCurve', pairs);
  checkTable('circuitCurve', table);
  checkOptionNames('circuitCurve', options, [...evaluateOptions, 'fractions', 'prune']);
  const { fractions = CURVE_FRACTIONS, prune = true, ...own } = options;
  checkFractions(fractions);
  // What is left out is the corrupted run's, so that the curve has to begin somewhere else.
  if ((own.excluded ?? 'patch') === 'patch') checkContrast(pairs, own.metric ?? 'logit-diff');
  const sizes = fractions.map((part) => edgesAtFraction(graphOf(table.shape).edgeCount, part));
  const turns = new Turns('the curve of circuits', options.signal);
  const circuits: Circuit[] = [];
  for (const ranking of ['signed', 'absolute'] satisfies Ranking[]) {
    for (const n of sizes) {
      await turns.give();
      circuits.push(buildCircuit(table, { rule: 'top-n', n, ranking, prune }));
    }
  }
  const { circuits: results, ...evaluation } = await evaluateCircuits(model, pairs, circuits, own);
  checkApart(evaluation);
  const entry = (index: number): CurveEntry => ({
    ...results[index],
    edges: countEdges(circuits[index]),
  });
  const points = fractions.map((fraction, index) => ({
    fraction,
    selected: sizes[index],
    signed: entry(index),
    absolute: entry(fractions.length + index),
  }));
  const pick = (ranking: 'signed' | 'absolute') =>
    points.map((point) => ({
      fraction: point.fraction,
      faithfulness: point[ranking].faithfulness,
    }));
  return {
    ...evaluation,
    points,
    cpr: circuitPerformanceRatio(pick('signed')),
    cmd: circuitModelDistance(pick('absolute')),
  };
}
