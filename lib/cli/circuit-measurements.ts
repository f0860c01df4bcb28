// What `circuit` measures, as it stands in JSON and circuit files, and as CSV.

import { csvText } from '../ablation/csv.js';
import type { CircuitCurve, CircuitEvaluation, CircuitResult } from '../circuit-evaluation.js';
import { mean } from '../stats/quantile.js';

export function evaluationJson(evaluation: CircuitEvaluation): Record<string, unknown> {
  const [result] = evaluation.circuits;
  return {
    metric: evaluation.metric,
    excluded: evaluation.excluded,
    pairs: evaluation.pairs,
    clean: mean(evaluation.clean),
    corrupted: mean(evaluation.corrupted),
    empty: mean(evaluation.empty),
    circuit: result.mean,
    faithfulness: result.faithfulness,
    interval: result.interval,
    values: Array.from(result.values),
  };
}

export function curveJson(curve: CircuitCurve): Record<string, unknown> {
  const entry = (side: CircuitCurve['points'][number]['signed']) => ({
    edges: side.edges,
    mean: side.mean,
    faithfulness: side.faithfulness,
    interval: side.interval,
  });
  return {
    metric: curve.metric,
    excluded: curve.excluded,
    pairs: curve.pairs,
    clean: mean(curve.clean),
    corrupted: mean(curve.corrupted),
    empty: mean(curve.empty),
    cpr: curve.cpr,
    cmd: curve.cmd,
    points: curve.points.map(({ fraction, selected, signed, absolute }) => ({
      fraction,
      selected,
      signed: entry(signed),
      absolute: entry(absolute),
    })),
  };
}

const columns = [
  'kind',
  'ranking',
  'fraction',
  'selected',
  'edges',
  'metric',
  'excluded',
  'pairs',
  'clean',
  'corrupted',
  'empty',
  'mean',
  'faithfulness',
  'faithfulness_low',
  'faithfulness_high',
  'cpr',
  'cmd',
] as const;

type Line = Partial<Record<(typeof columns)[number], string | number>>;

const resultLine = ({ mean: circuit, faithfulness, interval }: CircuitResult): Line => ({
  mean: circuit,
  faithfulness,
  faithfulness_low: interval.low,
  faithfulness_high: interval.high,
});

const pairsLine = (of: CircuitEvaluation | CircuitCurve): Line => ({
  metric: of.metric,
  excluded: of.excluded,
  pairs: of.pairs,
  clean: mean(of.clean),
  corrupted: mean(of.corrupted),
  empty: mean(of.empty),
});

/** What was measured of a circuit. */
export interface Measurements {
  /** Of the circuit. */
  readonly edges: number;
  readonly evaluation?: CircuitEvaluation | undefined;
  readonly curve?: CircuitCurve | undefined;
}

/** A line for the circuit, and of a curve one for every size and ranking. */
export function measurementsCsv({ edges, evaluation, curve }: Measurements): string {
  const lines: Line[] = [];
  if (evaluation) {
    const [result] = evaluation.circuits;
    lines.push({ kind: 'circuit', edges, ...pairsLine(evaluation), ...resultLine(result) });
  }
  for (const ranking of ['signed', 'absolute'] as const) {
    for (const point of curve?.points ?? []) {
      lines.push({
        kind: 'curve',
        ranking,
        fraction: point.fraction,
        selected: point.selected,
        edges: point[ranking].edges,
        ...pairsLine(curve!),
        ...resultLine(point[ranking]),
        ...(ranking === 'signed' ? { cpr: curve!.cpr } : { cmd: curve!.cmd }),
      });
    }
  }
  return csvText(columns, lines);
}
