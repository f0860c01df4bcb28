// `headspark demo`: the whole method on the embedded checkpoints.

import { DEMO_METRIC, DEMO_TAU, runDemo, type DemoResult } from '../demo/run-demo.js';
import { formatHead } from '../head-gate.js';
import { circuitHeads } from '../circuit/circuit.js';
import { formatDuration } from '../progress.js';
import { printAblation } from './ablation-table.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { printDiff } from './diff-tables.js';
import { deviceFrom, parseBytes } from './inputs.js';
import { formatBounds, formatNumber, formatPercent } from './output.js';
import { optionGroups } from './vocabulary.js';

function printCircuits({ circuits, pairs }: DemoResult, context: Context): void {
  context.print(
    context.paint('bold', `A base model and its post-trained descendants on ${pairs} pairs`),
  );
  context.table(
    [
      { title: 'checkpoint' },
      { title: 'solves problems', align: 'right' },
      { title: 'right on pairs', align: 'right' },
      { title: DEMO_METRIC, align: 'right' },
      { title: 'edges', align: 'right' },
      { title: 'heads', align: 'right' },
      { title: 'faithfulness', align: 'right' },
      { title: 'interval' },
    ],
    circuits.map(({ checkpoint, evaluation, ...row }) => [
      checkpoint.label,
      formatPercent(checkpoint.accuracyThinking),
      formatPercent(row.accuracy),
      formatNumber(row.cleanMetric, 2),
      String(row.edges),
      String(row.heads),
      formatNumber(evaluation.faithfulness, 2),
      formatBounds(evaluation.interval, 2),
    ]),
  );
}

function printAll(result: DemoResult, context: Context, top: number): void {
  printCircuits(result, context);
  context.heading(`Differences (circuits: edges with a |score| of at least ${DEMO_TAU}, pruned)`);
  printDiff(result.diff, context, top);
  for (const { checkpoint, table } of result.ablations) {
    context.heading(`Ablation of the emergent heads of ${checkpoint.label}`);
    if (table) printAblation(table, context, top);
    else context.print('  no emergent heads: nothing to ablate');
  }
  context.print(
    `\nDone in ${formatDuration(result.seconds)}. Results lie in ${result.out}; ` +
      'begin with summary.md there.',
  );
}

function resultJson(result: DemoResult): Record<string, unknown> {
  return {
    out: result.out,
    seconds: result.seconds,
    pairs: result.pairs,
    files: result.files.map(([name]) => name),
    circuits: result.circuits.map(({ checkpoint, circuit, evaluation, ...row }) => ({
      ...checkpoint,
      accuracy: row.accuracy,
      cleanMetric: row.cleanMetric,
      corruptedMetric: row.corruptedMetric,
      edges: row.edges,
      heads: circuitHeads(circuit).map(formatHead),
      faithfulness: evaluation.faithfulness,
      interval: evaluation.interval,
    })),
    diff: result.diff,
    ablations: result.ablations.map(({ checkpoint, table }) => ({
      checkpoint: checkpoint.label,
      table: table ?? null,
    })),
  };
}

export const demoCommand: Command = {
  name: 'demo',
  usage: 'demo',
  describe: 'Run the whole method on the embedded checkpoints (under a minute)',
  positionals: [],
  options: ['out', 'seed', 'top', 'threads', 'memory', 'device', ...optionGroups.every],
  examples: [['$0 demo --out ./headspark-demo', 'results go to that folder']],
  async run(args, context) {
    const [threads, memory] = [args.number('threads'), args.text('memory')];
    const device = deviceFrom(args, context);
    const result = await context.task('demo', 'steps', ({ reporter }) =>
      runDemo({
        out: args.text('out') ?? './headspark-demo',
        seed: args.value('seed'),
        load: {
          device,
          ...(threads === undefined ? {} : { threads }),
          ...(memory === undefined ? {} : { memoryBytes: parseBytes(memory) }),
        },
        signal: context.signal,
        onStep: (step, done, total) => reporter.update(done, total, step),
      }),
    );
    printAll(result, context, args.value('top'));
    return resultJson(result);
  },
};
