// The demo's summary.md: what was computed, what was found, which file holds what, and the same
// steps as commands for a user's own checkpoints.
import { formatHead } from '../head-gate.js';
import { headsOfGroup } from '../diff-report.js';
import type { DemoSeries } from './checkpoints.js';
import { DEMO_CONTROLS, DEMO_METRIC, DEMO_TAU, DEMO_TOP_K, type DemoResult } from './run-demo.js';

type Results = Omit<DemoResult, 'files'>;

const percent = (share: number): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–';
const fixed = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : '–');

function checkpointLines({ circuits }: Results): string[] {
  return [
    `| checkpoint | solves problems (thinking) | right on the pairs | ${DEMO_METRIC} | circuit edges | heads | faithfulness |`,
    '|---|---|---|---|---|---|---|',
    ...circuits.map(({ checkpoint, evaluation, ...row }) => {
      const { low, high } = evaluation.interval;
      return (
        `| ${checkpoint.label} | ${percent(checkpoint.accuracyThinking)} | ${percent(row.accuracy)} ` +
        `| ${fixed(row.cleanMetric)} | ${row.edges} | ${row.heads} ` +
        `| ${fixed(evaluation.faithfulness)} [${fixed(low)}, ${fixed(high)}] |`
      );
    }),
  ];
}

function diffLines({ diff }: Results): string[] {
  return diff.comparisons.flatMap((comparison) => {
    const { base, other, counts } = comparison;
    const { heads } = headsOfGroup(diff, 'emergent', other);
    const certain = comparison.heads.filter(
      (head) => head.status === 'emergent' && head.certain,
    ).length;
    return [
      `- ${other} against ${base}: ${counts.retained} retained, ${counts.emergent} emergent ` +
        `(${certain} certain at ${percent(diff.confidence)}), ${counts.vanished} vanished; ` +
        `Jaccard ${fixed(comparison.headJaccard)}. ` +
        `Emergent, most important first: ${heads.map(formatHead).join(', ') || 'none'}.` +
        (diff.nullDiff
          ? ` The base against itself on two halves of the pairs makes ` +
            `${fixed(diff.nullDiff.emergent.mean)} emergent heads on average (p = ` +
            `${(comparison.nullPValue ?? 1).toFixed(3)}).`
          : ''),
    ];
  });
}

function ablationLines({ ablations }: Results): string[] {
  return ablations.flatMap(({ checkpoint, table }) => {
    if (!table) return [`- ${checkpoint.label}: no emergent heads to ablate.`];
    const rows = table.variants.map(
      (row) =>
        `  - ${row.name} (${row.heads.join(', ')}): ${DEMO_METRIC} ` +
        `${fixed(table.baseline.metric)} → ${fixed(row.metric)}, right ` +
        `${percent(table.baseline.accuracy)} → ${percent(row.accuracy)}; random sets change it by ` +
        `${fixed(row.controls?.change.mean ?? NaN)} on average, rank p = ` +
        `${(row.controls?.rankPValue ?? NaN).toFixed(3)}`,
    );
    return [`- ${checkpoint.label}:`, ...rows, ...table.notes.map((note) => `  - Note: ${note}.`)];
  });
}

function commandLines({ circuits, ablations }: Results, series: DemoSeries): string[] {
  const labels = circuits.map(({ checkpoint }) => checkpoint.label);
  const scores = labels.map((label) => `${label}.scores.json`).join(' ');
  const last = ablations.at(-1)!.checkpoint.label;
  const place = series.folder;
  return [
    '```sh',
    ...labels.map(
      (label) =>
        `headspark attribute ${place}/${label} --pairs ${series.pairsFile} --metric ${DEMO_METRIC} ` +
        `--out ${label}.scores.json`,
    ),
    `headspark circuit ${last}.scores.json --tau-all ${DEMO_TAU} --evaluate --model ${place}/${last} ` +
      `--pairs ${series.pairsFile} --metric ${DEMO_METRIC} --out ${last}.circuit.json`,
    `headspark diff ${scores} --tau-all ${DEMO_TAU} --out diff.json --csv diff.csv`,
    `headspark ablate ${place}/${last} --pairs ${series.pairsFile} --metric ${DEMO_METRIC} ` +
      `--diff diff.json --top-k ${DEMO_TOP_K} --controls ${DEMO_CONTROLS} --out ${last}.ablation.json`,
    '```',
  ];
}

/** The text of summary.md. */
export function summaryText(
  results: Results,
  series: DemoSeries,
  files: readonly (readonly [string, string])[],
): string {
  return [
    '# headspark demo',
    '',
    `A base model, its SFT and its GRPO descendants on chains of sums modulo 10, on ${results.pairs} ` +
      'pairs cut before the result of the last step. The metric is the probability of the right ' +
      'digit minus that of the wrong one. Each checkpoint: edges scored by EAP-IG, the circuit is ' +
      `every edge with a |score| of at least ${DEMO_TAU}, pruned.`,
    '',
    '## Checkpoints and circuits',
    '',
    ...checkpointLines(results),
    '',
    '## Differences',
    '',
    ...diffLines(results),
    '',
    'Post-training here mostly strengthens what the base already has: heads emerge by passing the ' +
      'threshold, not out of nothing. With a fixed number of edges instead (`--top-n 100`), or with ' +
      'logit differences, few heads change sets and hardly any is certain; the metric and threshold ' +
      'above were chosen with this series in view.',
    '',
    '## Ablation of the emergent heads',
    '',
    `Heads are set to zero, most important first, against ${DEMO_CONTROLS} random sets with as many ` +
      'heads in every layer.',
    '',
    ...ablationLines(results),
    '',
    '## Files',
    '',
    ...files.map(([name, text]) => `- \`${name}\`: ${text}`),
    '',
    '## The same by hand',
    '',
    ...commandLines(results, series),
    '',
  ].join('\n');
}
