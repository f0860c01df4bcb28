// A made-up run of 20 checkpoints of a model of 36 x 32 heads under two prompt forms, with random
// circuits that drift: what a report has to carry.
import type { DiffReport } from '../../../lib/circuit-diff.js';
import { headStatus } from '../../../lib/diff/sets.js';
import type { RunData, View } from '../../../lib/report/run-data.js';
import { resultId } from '../../../lib/report/run-data.js';
import { Random } from '../../../lib/stats/random.js';
import type { Manifest } from '../../../lib/study/manifest.js';
import type { CircuitSummaryFile } from '../../../lib/study/stages/circuit.js';
import type { EvaluationFile } from '../../../lib/study/stages/evaluation.js';
import type { RegimesFile } from '../../../lib/study/stages/regimes.js';
import type { TrackingFile } from '../../../lib/study/stages/tracking.js';
import {
  compareDepths,
  correlateWithLogs,
  headName,
  regimeOverlap,
  trackSeries,
} from '../../../lib/tracking/index.js';

const shape = {
  layers: 36,
  heads: 32,
  keyValueHeads: 8,
  parallelBlock: false,
  kvEdges: 'per-query-head',
} as const;
const size = shape.layers * shape.heads;
const steps = Array.from({ length: 10 }, (_, index) => 50 * (index + 1));
const labels = ['SFT', 'GRPO'];

type Masks = Map<string, Uint8Array>;

/** Circuits of about `share` of the heads, of which a few change at every checkpoint; none of 0. */
function masksOf(random: Random, share: number): Masks {
  const masks: Masks = new Map();
  const base = Uint8Array.from({ length: size }, () => (random.uniform() < share ? 1 : 0));
  masks.set('base', base);
  for (const label of labels) {
    let mask = base;
    for (const step of steps) {
      mask = mask.map((inside) => (share > 0 && random.uniform() < 0.05 ? 1 - inside : inside));
      masks.set(`${label}-step${step}`, mask);
    }
  }
  return masks;
}

function circuitOf(name: string, mask: Uint8Array, random: Random): CircuitSummaryFile {
  const heads = [...mask].flatMap((inside, head) => (inside ? [headName(head, shape)] : []));
  const weight = 1 / heads.length;
  const pick = (): string => heads[random.below(heads.length)];
  return {
    format: 'headspark-circuit-summary',
    checkpoint: name,
    shape,
    selection: { rule: 'top-n', n: 5000 },
    edges: heads.length === 0 ? 0 : 5000,
    allEdges: 2_022_463,
    nodes: heads.length + 30,
    heads,
    mlps: Array.from({ length: 30 }, (_, layer) => layer),
    importance: Array.from({ length: shape.layers }, (_, layer) =>
      Array.from({ length: shape.heads }, (_, head) =>
        mask[layer * shape.heads + head] ? weight * (0.2 + 1.6 * random.uniform()) : 0,
      ),
    ),
    strongest: Array.from({ length: heads.length === 0 ? 0 : 300 }, (_, index) => ({
      source: pick(),
      destination: `m${random.below(shape.layers)}`,
      score: (random.uniform() - 0.3) / (1 + index / 20),
    })),
  };
}

function diffOf(name: string, masks: Masks, circuits: Map<string, CircuitSummaryFile>): DiffReport {
  const [base, other] = [masks.get('base')!, masks.get(name)!];
  const [first, second] = ['base', name].map((one) => circuits.get(one)!.importance.flat());
  const heads = Array.from(base, (inBase, head) => {
    const status = headStatus(inBase === 1, other[head] === 1);
    const sure = 0.6 + 0.4 * Math.abs(Math.sin(head));
    return {
      name: headName(head, shape),
      layer: Math.floor(head / shape.heads),
      head: head % shape.heads,
      status,
      baseImportance: first[head],
      otherImportance: second[head],
      baseScoreShare: first[head],
      otherScoreShare: second[head],
      effect: (second[head] - first[head]) / (second[head] + first[head] + 1e-6),
      importanceDifference: { estimate: 0, low: -0.0012345678, high: 0.0023456789 },
      emergenceProbability: status === 'emergent' ? sure : 0,
      vanishingProbability: status === 'vanished' ? sure : 0,
      retentionProbability: status === 'retained' ? sure : 0,
      certain: sure >= 0.95,
    };
  });
  const count = (status: string): number => heads.filter((head) => head.status === status).length;
  const distribution = { mean: 12, median: 12, p95: 20, max: 25 };
  const counts = {
    retained: count('retained'),
    emergent: count('emergent'),
    vanished: count('vanished'),
  };
  return {
    format: 'headspark-diff',
    version: 1,
    headspark: '0',
    selection: { rule: 'top-n', n: 5000 },
    confidence: 0.95,
    seed: 0,
    shape,
    circuits: [],
    comparisons: [
      {
        base: 'base',
        other: name,
        heads,
        counts,
        edges: counts,
        headJaccard: 0.5,
        edgeJaccard: 0.5,
        emergentCount: { estimate: counts.emergent, low: 20, high: 60 },
        nullPValue: 0.01,
      },
    ],
    jaccard: { heads: [], edges: [] },
    bootstrap: { resamples: 200, pairing: 'paired', pairCounts: [64, 64] },
    nullDiff: {
      base: 'base',
      repeats: 100,
      seed: 0,
      pairCount: 64,
      halfPairs: 32,
      emergent: distribution,
      vanished: distribution,
      headJaccard: 0.6,
      emergentCounts: [],
    },
    notes: [],
  };
}

function seriesOf(label: string, masks: Masks, view: View): TrackingFile {
  const checkpoints = steps.map((step) => ({
    name: `${label}-step${step}`,
    step,
    mask: masks.get(`${label}-step${step}`)!,
  }));
  const base = { name: 'base', step: 0, mask: masks.get('base')! };
  const tracking = trackSeries({ label, regime: 'sft', shape, base, checkpoints });
  const points = Array.from({ length: 500 }, (_, i) => ({
    step: i + 1,
    value: Math.sqrt(i / 500),
  }));
  const atCheckpoints = steps.map((step) => Math.sqrt(step / 500));
  return {
    format: 'headspark-tracking',
    ...view,
    tracking,
    logs: [{ name: 'reward', points, reduce: 'last', atCheckpoints }],
    correlations: correlateWithLogs(tracking, [{ name: 'reward', values: atCheckpoints }], {
      resamples: 50,
      permutations: 50,
    }),
  };
}

function regimesOf(masks: Masks, view: View): RegimesFile {
  const base = masks.get('base')!;
  const sets = labels.map((name) => ({
    name,
    mask: masks.get(`${name}-step500`)!.map((inside, head) => (inside && !base[head] ? 1 : 0)),
  }));
  const overlap = regimeOverlap(sets, { shape, base, permutations: 20 });
  const depth = compareDepths(
    sets.map((set) => ({ ...set, shape })),
    { permutations: 20 },
  );
  return {
    format: 'headspark-regimes',
    ...view,
    overlaps: [{ base: 'base', view: 'final', overlap }],
    depth,
    corruptedRewards: [],
  };
}

function manifestOf(names: readonly string[], views: readonly View[]): Manifest {
  return {
    format: 'headspark-study-run',
    version: 1,
    headspark: '0',
    node: 'v20',
    platform: 'linux-x64',
    cpu: 'none',
    isa: 'portable',
    device: 'cpu',
    gpu: null,
    study: 'large',
    seed: 0,
    checkpoints: names.map((name) => ({
      name,
      step: Number(/step(\d+)/.exec(name)?.[1] ?? 0),
      base: 'base',
      fingerprint: 'f'.repeat(32),
      layers: shape.layers,
      heads: shape.heads,
      parameterCount: 8e9,
    })),
    series: labels.map((label) => ({
      label,
      regime: label,
      base: 'base',
      checkpoints: steps.map((step) => `${label}-step${step}`),
    })),
    tasks: [{ name: 'sums', forms: views.map(({ form }) => form) }],
    pairs: [],
    settings: { statistics: { confidence: 0.95 } },
    stages: [],
    hash: '0'.repeat(64),
  };
}

/** The data of the made-up run. */
export function largeStudy(share = 0.35): RunData {
  const views = ['direct', 'thinking'].map((form) => ({
    task: 'sums',
    form,
    title: `sums, ${form}`,
    slug: `sums-${form}`,
  }));
  const circuits = new Map<string, CircuitSummaryFile>();
  const diffs = new Map<string, DiffReport>();
  const evaluations = new Map<string, EvaluationFile>();
  const tracking: TrackingFile[] = [];
  const regimes: RegimesFile[] = [];
  let names: string[] = [];
  for (const [index, view] of views.entries()) {
    const random = new Random(7, index);
    const masks = masksOf(random, share);
    names = [...masks.keys()];
    const own = new Map(names.map((name) => [name, circuitOf(name, masks.get(name)!, random)]));
    for (const name of names) {
      const id = resultId(name, view);
      circuits.set(id, own.get(name)!);
      const interval = { estimate: 0.5, low: 0.4, high: 0.6 };
      evaluations.set(id, {
        format: 'headspark-evaluation',
        checkpoint: name,
        metric: 'logit-diff',
        pairs: 64,
        clean: interval,
        corrupted: interval,
        accuracy: interval,
        faithfulness: interval,
        correct: [],
      });
      if (name !== 'base') diffs.set(id, diffOf(name, masks, own));
    }
    const files = labels.map((label) => seriesOf(label, masks, view));
    tracking.push(...files);
    regimes.push(regimesOf(masks, view));
  }
  return {
    run: 'large',
    manifest: manifestOf(names, views),
    studyText: 'study: large\n',
    views,
    circuits,
    evaluations,
    diffs,
    formDiffs: new Map(),
    tracking,
    regimes,
    ablations: [],
    heads: [],
    benchmarks: [],
    benchmarkAblations: [],
    missing: new Map(),
  };
}
