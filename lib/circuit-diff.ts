// The difference of two or more score files in one plain JSON report: head sets, importance,
// effect, overlap, bootstrap evidence and the null diff. Resamples by the addon where it loads.
import { checkTable, checkText } from './argument-checks.js';
import { buildCircuit, type BuildCircuitOptions, type Circuit } from './circuit/circuit.js';
import { pairCountOf, type ScoreTable } from './circuit/score-table.js';
import {
  bootstrapDiff,
  pairings,
  type BootstrapDiff,
  type HeadEvidence,
  type Pairing,
} from './diff/bootstrap-diff.js';
import {
  diffCircuits,
  type CircuitDiff,
  type CircuitSummary,
  type NamedCircuit,
} from './diff/circuit-diff.js';
import { nullDiff, nullPValue, type NullDiff } from './diff/null-diff.js';
import type { LoopOptions } from './diff/resample.js';
import type { ResampledHeads } from './diff/resampled-heads.js';
import { headStatus, type HeadStatus } from './diff/sets.js';
import { HeadsparkError } from './errors.js';
import { formatHead } from './head-gate.js';
import { fastestResampledHeads } from './native-resampling.js';
import { checkOptionNames, oneOf, optionNames, shown, wholeNumber } from './option-checks.js';
import { fewestFlips } from './stats/power.js';
import { checkConfidence, type Interval } from './stats/quantile.js';
import { Turns } from './turns.js';
import { version } from './version.js';

/** A score table with its name; its stored circuit is used when no selection is given. */
export interface DiffInput {
  /** What comparisons call the table: no other of the same diff has this name. */
  readonly name: string;
  readonly table: ScoreTable & Partial<Pick<Circuit, 'inGraph' | 'nodesInGraph'>>;
}

/**
 * How `diff` makes and compares circuits. The resampler, the signal and the callback change no
 * number.
 */
export interface DiffOptions extends LoopOptions {
  /** How circuits are rebuilt; default the fastest that runs here. All give the same bits. */
  readonly resampledHeads?: ResampledHeads | undefined;
  /** How every circuit is selected. Without it the tables must hold circuits, used as they are. */
  readonly selection?: BuildCircuitOptions | undefined;
  /** Bootstrap resamples, or `auto` (default). */
  readonly resamples?: number | 'auto' | undefined;
  /**
   * How pairs are resampled; default `paired` where all tables are of the same pairs (`meta.pairsHash`). Asked
   * for, `paired` takes pair i of every table for the same problem, so that other pairs are no remark.
   */
  readonly pairing?: Pairing | undefined;
  /** Random splits of the null diff; default 100, 0 leaves it out. */
  readonly nullRepeats?: number | undefined;
  /** Of intervals, and the probability from which a head is certain; default 0.95. */
  readonly confidence?: number | undefined;
  /** Of the resamples and the splits; default 0. */
  readonly seed?: number | undefined;
}

/** One head, base against other. */
export interface HeadDifference {
  /** `a3.h1` */
  readonly name: string;
  readonly layer: number;
  readonly head: number;
  readonly status: HeadStatus;
  /** Share of all heads' outgoing |score| in the circuit; sums to 1 over heads. */
  readonly baseImportance: number;
  readonly otherImportance: number;
  /** (other - base) / (other + base + 1e-6), from -1 to 1. */
  readonly effect: number;
  /**
   * Share of all heads' outgoing |score|, in the circuit or not: a head that is no more than new in the
   * circuit was there before.
   */
  readonly baseScoreShare: number;
  readonly otherScoreShare: number;
  /** Absent without per-pair scores, and with those of a single pair. */
  readonly importanceDifference?: Interval;
  /** Shares of resamples in which the head has that status. */
  readonly emergenceProbability?: number;
  readonly vanishingProbability?: number;
  readonly retentionProbability?: number;
  /** The status has at least the asked-for probability, and there are pairs enough to say so. */
  readonly certain?: boolean;
}

/**
 * One table against the base, the first of the list. Head sets and counts are of all pairs;
 * intervals, probabilities and `nullPValue` are there where per-pair scores are.
 */
export interface DiffComparison {
  readonly base: string;
  readonly other: string;
  /** Every head of the model, by layer, then head. */
  readonly heads: HeadDifference[];
  /** Numbers of heads by status, and of edges. */
  readonly counts: Record<Exclude<HeadStatus, 'absent'>, number>;
  readonly edges: Record<Exclude<HeadStatus, 'absent'>, number>;
  /** |both| / |either|, from 0 to 1, of the circuits' heads and of their edges. */
  readonly headJaccard: number;
  readonly edgeJaccard: number;
  /** Numbers of heads, with intervals over resamples. */
  readonly emergentCount?: Interval;
  readonly vanishedCount?: Interval;
  /** Share of null splits with at least as many emergent heads. */
  readonly nullPValue?: number;
}

/**
 * What `diff` gives. In JSON, bounds that are NaN become null; the same inputs and options give the
 * same bytes. `readDiffReport` reads its heads again, `diffCsv` makes a table of it.
 */
export interface DiffReport {
  readonly format: 'headspark-diff';
  readonly version: 1;
  /** Version of the package. */
  readonly headspark: string;
  /** Null when stored circuits were compared as they are. */
  readonly selection: BuildCircuitOptions | null;
  readonly confidence: number;
  readonly seed: number;
  readonly shape: CircuitDiff['shape'];
  /** In the order of the tables, the base first. */
  readonly circuits: CircuitSummary[];
  /** One for every table after the base. */
  readonly comparisons: DiffComparison[];
  /** [tables][tables] */
  readonly jaccard: CircuitDiff['jaccard'];
  /** Null without a selection or without per-pair scores of at least two pairs. */
  readonly bootstrap: Pick<BootstrapDiff, 'resamples' | 'pairing' | 'pairCounts'> | null;
  /** Null without per-pair scores of the base, or with `nullRepeats` 0. */
  readonly nullDiff: NullDiff | null;
  readonly notes: string[];
}

function circuitOf({ name, table }: DiffInput, selection?: BuildCircuitOptions): Circuit {
  if (selection) return buildCircuit(table, selection);
  const { inGraph, nodesInGraph } = table;
  if (!inGraph || !nodesInGraph || !inGraph.some((inside) => inside !== 0)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${name} holds scores but no circuit; say how to select one, for instance the top 200 edges ` +
        '({ rule: "top-n", n: 200 } as selection, --top-n 200 on the command line).',
    );
  }
  return { ...table, inGraph, nodesInGraph };
}

function headRows(diff: CircuitDiff, other: number, evidence?: HeadEvidence[]): HeadDifference[] {
  const [base, post] = [diff.circuits[0], diff.circuits[other]];
  const comparison = diff.comparisons[other - 1];
  const within = (circuit: CircuitSummary): Set<string> => new Set(circuit.heads.map(formatHead));
  const [inBase, inOther] = [within(base), within(post)];
  return comparison.effect.flatMap((row, layer) =>
    row.map((effect, head): HeadDifference => {
      const name = formatHead({ layer, head });
      const proof = evidence?.[layer * row.length + head];
      return {
        name,
        layer,
        head,
        status: headStatus(inBase.has(name), inOther.has(name)),
        baseImportance: base.importance[layer][head],
        otherImportance: post.importance[layer][head],
        effect,
        baseScoreShare: base.scoreShares[layer][head],
        otherScoreShare: post.scoreShares[layer][head],
        ...(proof && {
          importanceDifference: proof.importanceDifference,
          emergenceProbability: proof.emergenceProbability,
          vanishingProbability: proof.vanishingProbability,
          retentionProbability: proof.retentionProbability,
          certain: proof.certain,
        }),
      };
    }),
  );
}

function comparisonsOf(
  diff: CircuitDiff,
  bootstrap: BootstrapDiff | undefined,
  noise: NullDiff | undefined,
): DiffComparison[] {
  return diff.comparisons.map(({ base, other, heads, edges }, index): DiffComparison => {
    const evidence = bootstrap?.comparisons[index];
    return {
      base,
      other,
      heads: headRows(diff, index + 1, evidence?.heads),
      counts: {
        retained: heads.retained.length,
        emergent: heads.emergent.length,
        vanished: heads.vanished.length,
      },
      edges,
      headJaccard: diff.jaccard.heads[0][index + 1],
      edgeJaccard: diff.jaccard.edges[0][index + 1],
      ...(evidence && {
        emergentCount: evidence.emergentCount,
        vanishedCount: evidence.vanishedCount,
      }),
      ...(noise && { nullPValue: nullPValue(heads.emergent.length, noise) }),
    };
  });
}

/** Fewest pairs of the tables; resamples of a single one are all alike. */
const fewestPairs = (inputs: readonly DiffInput[]): number =>
  Math.min(...inputs.map(({ table }) => pairCountOf(table)));

/** What few pairs leave open. */
function pairNotes(inputs: readonly DiffInput[], confidence: number): string[] {
  const pairs = fewestPairs(inputs);
  if (pairs === 1) {
    const { name } = inputs.find(({ table }) => pairCountOf(table) === 1)!;
    return [`no intervals and probabilities: ${name} has one pair, and they need at least 2`];
  }
  const enough = fewestFlips(1 - confidence);
  if (pairs >= enough) return [];
  return [
    `few pairs: from ${pairs} no head is certain, since a sign test of fewer than ${enough} ` +
      `cannot reach p = ${Number((1 - confidence).toPrecision(6))}`,
  ];
}

function evidenceNotes(inputs: readonly DiffInput[], options: DiffOptions): string[] {
  const without = inputs.filter(({ table }) => !table.pairScores).map(({ name }) => name);
  if (!options.selection) {
    return ['stored circuits are compared as they are: without a selection there is no bootstrap'];
  }
  if (without.length === 0) return pairNotes(inputs, options.confidence ?? 0.95);
  return [
    `no intervals: ${without.join(', ')} ${without.length > 1 ? 'have' : 'has'} no per-pair scores`,
  ];
}

/** Other prompts make other heads too; where nobody knows which pairs a table is of, they may be other ones. */
function promptNotes([base, ...others]: readonly DiffInput[], { pairing }: DiffOptions): string[] {
  if (pairing === 'paired') return [];
  const { task, pairsHash, fingerprint } = base.table.meta;
  const of = (task: string | undefined): string => (task === undefined ? '' : ` (${task})`);
  return others.flatMap(({ name, table: { meta, pairScores } }) => {
    if (pairsHash === undefined || meta.pairsHash === undefined) {
      if (!pairScores || !base.table.pairScores) return [];
      return [
        `${name} may be of other pairs than ${base.name}: their files do not say (no pairsHash)`,
      ];
    }
    if (meta.pairsHash === pairsHash) return [];
    // A note of the weights says more.
    const isSameModel = fingerprint !== undefined && fingerprint === meta.fingerprint;
    return [
      `${name} was scored on other pairs${of(meta.task)} than ${base.name}${of(task)}: heads may ` +
        `differ by the prompts${isSameModel ? '' : ', not by the model alone'}`,
    ];
  });
}

/** A checkpoint beside itself has no emergent heads, whatever training did. */
function weightNotes(circuits: readonly CircuitSummary[]): string[] {
  return circuits.flatMap(({ name, fingerprint }, index) => {
    if (fingerprint === undefined) return [];
    const same = circuits.slice(0, index).find((before) => before.fingerprint === fingerprint);
    if (!same) return [];
    return [
      `${name} and ${same.name} are scores of the same weights (their fingerprints are equal): what ` +
        'differs is pairs or settings, not training',
    ];
  });
}

async function evidenceOf(
  inputs: readonly DiffInput[],
  options: DiffOptions,
): Promise<{ bootstrap?: BootstrapDiff; noise?: NullDiff }> {
  const { selection, nullRepeats = 100, seed = 0, confidence = 0.95 } = options;
  if (!selection) return {};
  const basePairs = inputs[0].table.pairScores;
  const resampled = fewestPairs(inputs) > 1;
  const { resampledHeads = fastestResampledHeads(), signal, onProgress } = options;
  const loop = { selection, seed, resampledHeads, signal, onProgress };
  const { pairing, resamples = 'auto' } = options;
  const own = { ...loop, confidence, resamples, ...(pairing === undefined ? {} : { pairing }) };
  const bootstrap = resampled ? await bootstrapDiff(inputs, own) : undefined;
  const noise =
    basePairs && nullRepeats > 0
      ? await nullDiff(inputs[0], { ...loop, repeats: nullRepeats })
      : undefined;
  return { ...(bootstrap ? { bootstrap } : {}), ...(noise ? { noise } : {}) };
}

const diffOptions = optionNames<DiffOptions>({
  selection: true,
  resamples: true,
  pairing: true,
  nullRepeats: true,
  confidence: true,
  seed: true,
  resampledHeads: true,
  signal: true,
  onProgress: true,
});

function checkInputs(inputs: readonly DiffInput[]): void {
  if (!Array.isArray(inputs) || inputs.length < 2) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'diff takes a list of two or more score tables with names: { name, table }.',
    );
  }
  for (const input of inputs as readonly (DiffInput | undefined)[]) {
    checkTable('diff', input?.table);
    checkText('diff', 'the name of a table', input?.name);
  }
  const names = (inputs as readonly DiffInput[]).map(({ name }) => name);
  const doubled = names.find((name, index) => names.indexOf(name) !== index);
  if (doubled === undefined) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `diff: two tables have the name ${shown(doubled)}; give each its own, which comparisons are known by.`,
  );
}

/** What is read late, or not at all where a table has no per-pair scores. */
function checkDiffOptions(options: DiffOptions): void {
  checkOptionNames('diff', options, diffOptions);
  const { confidence = 0.95, nullRepeats, seed, resampledHeads } = options;
  checkConfidence(confidence);
  if (options.pairing !== undefined) {
    oneOf('pairing', options.pairing, { allowed: pairings, fallback: 'paired' });
  }
  wholeNumber('nullRepeats', nullRepeats, { low: 0, high: 100_000, fallback: 100 });
  wholeNumber('seed', seed, { low: 0, high: Number.MAX_SAFE_INTEGER, fallback: 0 });
  if (resampledHeads === undefined || typeof resampledHeads === 'function') return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `resampledHeads is ${shown(resampledHeads)}; fastestResampledHeads() makes one.`,
  );
}

/**
 * Compares two or more score tables of one graph and the same attribution settings; the first is
 * the base. With per-pair scores, every head carries the share of bootstrap resamples in which it
 * is emergent, retained or vanished, and the base is compared with itself (null diff).
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT, _SETTINGS_MISMATCH, _TENSOR_VALUE, _CANCELLED.
 */
export async function diff(
  inputs: readonly DiffInput[],
  options: DiffOptions = {},
): Promise<DiffReport> {
  checkInputs(inputs);
  checkDiffOptions(options);
  const { selection, confidence = 0.95, seed = 0 } = options;
  const turns = new Turns('the comparison', options.signal);
  const circuits: NamedCircuit[] = [];
  for (const input of inputs) {
    circuits.push({ name: input.name, circuit: circuitOf(input, selection) });
    await turns.give();
  }
  const observed = diffCircuits(circuits);
  await turns.give();
  const { bootstrap, noise } = await evidenceOf(inputs, options);
  return {
    format: 'headspark-diff',
    version: 1,
    headspark: version,
    selection: selection ?? null,
    confidence,
    seed,
    shape: observed.shape,
    circuits: observed.circuits,
    comparisons: comparisonsOf(observed, bootstrap, noise),
    jaccard: observed.jaccard,
    bootstrap: bootstrap
      ? {
          resamples: bootstrap.resamples,
          pairing: bootstrap.pairing,
          pairCounts: bootstrap.pairCounts,
        }
      : null,
    nullDiff: noise ?? null,
    notes: [
      ...weightNotes(observed.circuits),
      ...promptNotes(inputs, options),
      ...evidenceNotes(inputs, options),
    ],
  };
}
