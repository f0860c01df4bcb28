// The demo's summary.md: what was computed, what was found, which file holds what, and the same
// steps as commands for a user's own checkpoints.
import { formatFixed, formatPercent as percent, formatPoints } from '../format-number.js';
import { formatHead } from '../head-gate.js';
import { headsOfGroup } from '../diff-report.js';
import type { EvaluationTable } from '../evaluation/types.js';
import type { Interval } from '../stats/quantile.js';
import type { DemoSeries } from './checkpoints.js';
import type { DemoResult, DemoTest } from './run-demo.js';

type Results = Omit<DemoResult, 'seconds' | 'cpuSeconds'>;

const fixed = (value: number | null): string =>
  value !== null && Number.isFinite(value) ? formatFixed(value, 2) : '–';
/** As the report has it. */
const rankText = ({ controls }: { controls?: { rankAdjusted: number } }): string =>
  `rank p = ${(controls?.rankAdjusted ?? NaN).toFixed(3)} (Holm)`;

/** What a command needs to answer a benchmark as the study did. */
function answerOptions({ settings, problems }: EvaluationTable): string {
  const { samples, maxNewTokens } = settings;
  return ` --samples ${samples} --max-new-tokens ${maxNewTokens} --count ${problems.length}`;
}

const bounds = ({ estimate, low, high }: Interval): string =>
  `${percent(estimate)} [${percent(low)}, ${percent(high)}]`;

function checkpointLines({ circuits }: Results): string[] {
  const { metric } = circuits[0].evaluation;
  return [
    `| checkpoint | solves, thinking | solves, direct | right on the pairs | ${metric} | circuit edges | heads | faithfulness |`,
    '|---|---|---|---|---|---|---|---|',
    ...circuits.map(({ checkpoint, circuit, evaluation, solves }) => {
      const { estimate, low, high } = evaluation.faithfulness;
      return (
        `| ${checkpoint.label} | ${bounds(solves.thinking)} | ${bounds(solves.direct)} ` +
        `| ${percent(evaluation.accuracy.estimate)} | ${fixed(evaluation.clean.estimate)} ` +
        `| ${circuit.edges} | ${circuit.heads.length} ` +
        `| ${fixed(estimate)} [${fixed(low)}, ${fixed(high)}] |`
      );
    }),
  ];
}

function diffLine({ checkpoint, diff }: DemoTest): string {
  const [comparison] = diff.comparisons;
  const { base, counts } = comparison;
  const { heads } = headsOfGroup(diff, 'emergent');
  const certain = comparison.heads.filter(
    (head) => head.status === 'emergent' && head.certain,
  ).length;
  return (
    `- ${checkpoint.label} against ${base}: ${counts.retained} retained, ${counts.emergent} emergent ` +
    `(${certain} certain at ${percent(diff.confidence)}), ${counts.vanished} vanished; ` +
    `Jaccard ${fixed(comparison.headJaccard)}. ` +
    `Emergent, most important first: ${heads.map(formatHead).join(', ') || 'none'}.` +
    (diff.nullDiff
      ? ` The base against itself on two halves of the pairs makes ` +
        `${fixed(diff.nullDiff.emergent.mean)} emergent heads on average (p = ` +
        `${(comparison.nullPValue ?? 1).toFixed(3)}).`
      : '')
  );
}

function ablationLines({ tests }: Results): string[] {
  return tests.flatMap(({ checkpoint, ablation }) => {
    if (!ablation) return [`- ${checkpoint.label}: no emergent heads to ablate.`];
    const { metric } = ablation.settings;
    const rows = ablation.variants.map(
      (row) =>
        `  - ${row.name} (${row.heads.join(', ')}): ${metric} ` +
        `${fixed(ablation.baseline.metric)} → ${fixed(row.metric)}, right ` +
        `${percent(ablation.baseline.accuracy)} → ${percent(row.accuracy)}; random sets change it by ` +
        `${fixed(row.controls?.change.mean ?? NaN)} on average, ${rankText(row)}`,
    );
    return [
      `- ${checkpoint.label}:`,
      ...rows,
      ...ablation.notes.map((note) => `  - Note: ${note}.`),
    ];
  });
}

function solvingLines({ tests }: Results): string[] {
  return tests.flatMap(({ checkpoint, solving }) => {
    if (!solving) return [`- ${checkpoint.label}: no emergent heads to ablate.`];
    const [unablated, ...sets] = solving.rows;
    const rows = sets.map((row) => {
      const { flipCounts, controls } = row;
      const flips = flipCounts
        ? `; ${flipCounts.rightToWrong} answers went wrong, ${flipCounts.wrongToRight} right`
        : '';
      return (
        `  - ${row.name} (${row.heads.join(', ')}): solves ${percent(unablated.accuracy.estimate)} → ` +
        `${bounds(row.accuracy)}${flips}; random sets change it by ` +
        `${formatPoints(controls?.change.mean ?? NaN)} points on average, ${rankText(row)}`
      );
    });
    return [`- ${checkpoint.label}:`, ...rows, `  - ${solving.power.text}.`];
  });
}

function commandLines({ circuits, tests }: Results, { folder, pairsFile }: DemoSeries): string[] {
  const labels = circuits.map(({ checkpoint }) => checkpoint.label);
  const scores = labels.map((label) => `${label}.scores.json`).join(' ');
  const last = tests.at(-1)!.checkpoint.label;
  const { metric } = circuits[0].evaluation;
  const solving = tests.find((test) => test.solving)?.solving;
  const { selection } = circuits[0].circuit;
  const tau = 'tau' in selection ? selection.tau : undefined;
  return [
    '```sh',
    `headspark study run ${folder}/study.yaml --out run && headspark report run --out report.html`,
    '# or step by step:',
    ...labels.map(
      (label) =>
        `headspark attribute ${folder}/${label} --pairs ${pairsFile} --metric ${metric} ` +
        `--out ${label}.scores.json`,
    ),
    `headspark diff ${scores} --tau-all ${tau} --out diff.json --csv diff.csv`,
    `headspark ablate ${folder}/${last} --pairs ${pairsFile} --metric ${metric} ` +
      `--diff diff.json --top-k 5 --controls 20 --out ${last}.ablation.json`,
    `headspark evaluate ${folder}/${last} --benchmark demo --enable-thinking${solving ? answerOptions(solving) : ''}`,
    '```',
  ];
}

/** The text of summary.md. */
export function summaryText(results: Results, series: DemoSeries): string {
  return [
    '# headspark demo',
    '',
    `A study of ${results.checkpoints} checkpoints: a base model, its SFT and GRPO descendants and a ` +
      'GRPO series with a corrupted reward, on chains of sums modulo 10, thinking on and off. Below: ' +
      `the base and the last checkpoint of SFT and GRPO with thinking on, on ${results.pairs} pairs ` +
      'cut before the result of the last step. The metric is the probability of the right digit ' +
      'minus that of the wrong one. Edges are scored by EAP-IG; a circuit is every edge that reaches ' +
      'the threshold, pruned. The report has all checkpoints.',
    '',
    '## Checkpoints and circuits',
    '',
    ...checkpointLines(results),
    '',
    '## Differences',
    '',
    ...results.tests.map(diffLine),
    '',
    'Post-training here mostly strengthens what the base already has: heads emerge by passing the ' +
      'threshold, not out of nothing. With a fixed number of edges instead (`rule: top-n`), or with ' +
      'logit differences, few heads change sets and hardly any is certain; the metric and threshold ' +
      'above were chosen with this series in view.',
    '',
    '## Ablation of the emergent heads, on the pairs',
    '',
    'Heads are set to zero, most important first, against random sets with as many heads in every layer.',
    '',
    ...ablationLines(results),
    '',
    '## The same while problems are solved',
    '',
    ...solvingLines(results),
    '',
    '## Files',
    '',
    ...results.files.map(([name, text]) => `- \`${name}\`: ${text}`),
    '',
    '## The same by hand',
    '',
    ...commandLines(results, series),
    '',
  ].join('\n');
}
