// `headspark demo`: the whole method on the embedded checkpoints, as a study with its report.

import { runDemo, type DemoResult } from '../demo/run-demo.js';
import { formatFixed } from '../format-number.js';
import { formatDuration } from '../progress.js';
import type { Interval } from '../stats/quantile.js';
import { printAblation } from './ablation-table.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { printDiff } from './diff-tables.js';
import { printEvaluation } from './evaluation-table.js';
import { parseBytes } from './byte-size.js';
import { formatBounds, formatNumber, formatPercent, plural } from './output.js';
import { checkOutputs } from './outputs.js';
import { optionGroups } from './vocabulary.js';

const solved = ({ estimate, low, high }: Interval): string =>
  `${formatPercent(estimate, 0)} [${formatFixed(100 * low, 0)}, ${formatFixed(100 * high, 0)}]`;

function printCircuits({ circuits, pairs, checkpoints }: DemoResult, context: Context): void {
  const { metric } = circuits[0].evaluation;
  context.print(
    context.paint(
      'bold',
      `A base model and its post-trained descendants: ${checkpoints} checkpoints on ${pairs} pairs, ` +
        'the last ones with thinking on',
    ),
  );
  context.table(
    [
      { title: 'checkpoint' },
      { title: 'solves, thinking', align: 'right' },
      { title: 'direct', align: 'right' },
      { title: 'right on pairs', align: 'right' },
      { title: metric, align: 'right' },
      { title: 'edges', align: 'right' },
      { title: 'heads', align: 'right' },
      { title: 'faithfulness', align: 'right' },
      { title: 'interval' },
    ],
    circuits.map(({ checkpoint, circuit, evaluation, solves }) => [
      checkpoint.label,
      solved(solves.thinking),
      solved(solves.direct),
      formatPercent(evaluation.accuracy.estimate),
      formatNumber(evaluation.clean.estimate, 2),
      String(circuit.edges),
      String(circuit.heads.length),
      formatNumber(evaluation.faithfulness.estimate, 2),
      formatBounds(evaluation.faithfulness, 2),
    ]),
  );
}

function printAll(result: DemoResult, context: Context, top: number): void {
  printCircuits(result, context);
  for (const { checkpoint, diff, ablation, solving } of result.tests) {
    const { label } = checkpoint;
    context.heading(`Differences of ${label}`);
    printDiff(diff, context, top);
    context.heading(`Ablation of the emergent heads of ${label} on the pairs`);
    if (ablation) printAblation(ablation, context, top);
    else context.print('  no emergent heads: nothing to ablate');
    if (!solving) continue;
    context.heading(`The same while ${label} solves problems`);
    printEvaluation(solving, context, top);
  }
  context.print(
    `\n${plural(result.stages, 'stage')} in ${formatDuration(result.seconds)} ` +
      `(${formatDuration(result.cpuSeconds)} of CPU time). ` +
      `Results lie in ${result.out}; summary.md there says what they are.`,
  );
  context.print(`${context.paint('bold', 'Open the report:')} ${result.report}`);
}

function resultJson(result: DemoResult): Record<string, unknown> {
  return {
    out: result.out,
    report: result.report,
    seconds: result.seconds,
    cpuSeconds: result.cpuSeconds,
    stages: result.stages,
    pairs: result.pairs,
    files: result.files.map(([name]) => name),
    circuits: result.circuits.map(({ checkpoint, circuit, evaluation, solves }) => ({
      ...checkpoint,
      solves,
      accuracy: evaluation.accuracy.estimate,
      cleanMetric: evaluation.clean.estimate,
      corruptedMetric: evaluation.corrupted.estimate,
      edges: circuit.edges,
      heads: circuit.heads,
      faithfulness: evaluation.faithfulness.estimate,
      interval: evaluation.faithfulness,
    })),
    diffs: result.tests.map(({ diff }) => diff),
    ablations: result.tests.map(({ checkpoint, ablation }) => ({
      checkpoint: checkpoint.label,
      table: ablation,
    })),
    solving: result.tests.map(({ checkpoint, solving }) => ({
      checkpoint: checkpoint.label,
      table: solving,
    })),
  };
}

export const demoCommand: Command = {
  name: 'demo',
  usage: 'demo',
  describe:
    'Run a whole study on the embedded checkpoints and write its report (under two minutes)',
  positionals: [],
  options: ['out', 'top', 'threads', 'memory', 'device', ...optionGroups.every],
  meanings: { out: 'folder of results and report.html; default: ./headspark-demo' },
  examples: [['$0 demo --out ./headspark-demo', 'results and report.html go to that folder']],
  async run(args, context) {
    const [threads, memory] = [args.number('threads'), args.text('memory')];
    const out = args.text('out') ?? './headspark-demo';
    await checkOutputs(args, [{ option: '--out', path: out, kind: 'folder' }]);
    context.resumeHint = `${out} keeps what is finished: run the same command again to go on from there.`;
    const result = await context.task('demo', '% of the work', ({ onStudy }) =>
      runDemo({
        out,
        load: {
          device: args.choice<string>('device'),
          ...(threads === undefined ? {} : { threads }),
          ...(memory === undefined ? {} : { memoryBytes: parseBytes(memory) }),
        },
        signal: context.signal,
        onProgress: onStudy,
      }),
    );
    printAll(result, context, args.value('top'));
    return resultJson(result);
  },
};
