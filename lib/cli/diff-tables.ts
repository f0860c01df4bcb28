// A diff report as tables: the three groups of heads with their evidence, overlaps, the null diff.

import type { DiffComparison, DiffReport, HeadDifference } from '../circuit-diff.js';
import { headGroups, type HeadGroup } from '../diff-report.js';
import { fewestFlips } from '../stats/power.js';
import type { Context } from './context.js';
import {
  formatBounds,
  formatNumber,
  formatP,
  formatPercent,
  formatSigned,
  plural,
} from './output.js';

const probabilityOf: Record<HeadGroup, keyof HeadDifference> = {
  emergent: 'emergenceProbability',
  vanished: 'vanishingProbability',
  retained: 'retentionProbability',
};

const meaning: Record<HeadGroup, string> = {
  emergent: 'in the new circuit only',
  vanished: 'in the base circuit only',
  retained: 'in both',
};

function groupHeading(group: HeadGroup, count: number, comparison: DiffComparison): string {
  const interval =
    group === 'emergent'
      ? comparison.emergentCount
      : group === 'vanished'
        ? comparison.vanishedCount
        : undefined;
  const range = interval
    ? ` (resampled: ${Math.round(interval.low)} to ${Math.round(interval.high)})`
    : '';
  return `${group} heads, ${meaning[group]}: ${count}${range}`;
}

const shareText = ({ baseScoreShare, otherScoreShare }: HeadDifference): string =>
  `${formatNumber(baseScoreShare, 4)} → ${formatNumber(otherScoreShare, 4)}`;

function printGroup(
  comparison: DiffComparison,
  group: HeadGroup,
  place: { context: Context; top: number; few: boolean },
): void {
  const { context, top } = place;
  const key = group === 'vanished' ? 'baseImportance' : 'otherImportance';
  const heads = comparison.heads
    .filter(({ status }) => status === group)
    .sort((a, b) => b[key] - a[key]);
  context.heading(`  ${groupHeading(group, heads.length, comparison)}`);
  if (heads.length === 0) return;
  const evidence = heads[0].certain !== undefined;
  context.table(
    [
      { title: 'head' },
      { title: 'base', align: 'right' },
      { title: 'new', align: 'right' },
      { title: 'effect', align: 'right' },
      ...(group === 'retained' ? [] : [{ title: 'all edges' }]),
      ...(evidence
        ? [
            { title: 'change, interval' },
            { title: 'probability', align: 'right' as const },
            { title: '' },
          ]
        : []),
    ],
    heads
      .slice(0, top)
      .map((head) => [
        head.name,
        formatNumber(head.baseImportance, 4),
        formatNumber(head.otherImportance, 4),
        formatSigned(head.effect, 2),
        ...(group === 'retained' ? [] : [shareText(head)]),
        ...(head.importanceDifference
          ? [
              `${formatSigned(head.importanceDifference.estimate, 4)} ${formatBounds(head.importanceDifference, 4)}`,
              formatNumber(Number(head[probabilityOf[group]])),
              head.certain
                ? context.paint('green', 'certain')
                : context.paint('yellow', place.few ? 'few pairs' : 'uncertain'),
            ]
          : []),
      ]),
  );
  if (heads.length > top) context.print(`  … and ${heads.length - top} more (--top)`);
}

function printNull(report: DiffReport, comparison: DiffComparison, context: Context): void {
  const noise = report.nullDiff;
  if (!noise || comparison.nullPValue === undefined) return;
  context.print(
    `\n  Noise alone: ${noise.base} against itself on two halves of its pairs makes ` +
      `${formatNumber(noise.emergent.mean, 1)} emergent heads on average, at most ` +
      `${formatNumber(noise.emergent.p95, 0)} in 95 % of ${noise.repeats} splits; ` +
      `here there are ${comparison.counts.emergent} (p = ${formatP(comparison.nullPValue)}). Halves of ` +
      `${plural(noise.halfPairs, 'pair')} vary more than all ${noise.pairCount}, so this is an upper estimate.`,
  );
}

/** Prints a report: one part per comparison, `top` rows of every group. */
export function printDiff(report: DiffReport, context: Context, top: number): void {
  context.table(
    [
      { title: 'circuit' },
      { title: 'edges', align: 'right' },
      { title: 'nodes', align: 'right' },
      { title: 'heads', align: 'right' },
    ],
    report.circuits.map(({ name, edges, nodes, heads }) => [
      name,
      String(edges),
      String(nodes),
      String(heads.length),
    ]),
  );
  const pairs = Math.min(...(report.bootstrap?.pairCounts ?? []));
  const few = pairs < fewestFlips(1 - report.confidence);
  context.print(
    "\n  base, new: importance, a head's share of all heads' outgoing |score| in the circuit; " +
      'all edges: base → new, in the circuit or not',
  );
  for (const comparison of report.comparisons) {
    context.heading(`${comparison.other} against ${comparison.base}`);
    context.print(
      `  overlap (Jaccard): heads ${formatNumber(comparison.headJaccard)}, ` +
        `edges ${formatNumber(comparison.edgeJaccard)}`,
    );
    for (const group of headGroups) printGroup(comparison, group, { context, top, few });
    printNull(report, comparison, context);
  }
  if (report.bootstrap) {
    const { resamples, pairing, pairCounts } = report.bootstrap;
    context.print(
      `\n  ${plural(resamples, 'resample')}, ${pairing}, of ${pairCounts.join(' / ')} pairs; ` +
        `certain: probability of at least ${formatPercent(report.confidence, 0)}`,
    );
  }
  for (const note of report.notes) context.print(`  note: ${note}`);
}
