// `headspark circuit`: selects a circuit from scores, and measures how faithful it is.

import { rm } from 'node:fs/promises';
import { extname } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import type { Metric } from '../attribution.js';
import {
  buildCircuit,
  circuitHeads,
  countEdges,
  countNodes,
  type BuildCircuitOptions,
  type Circuit,
} from '../circuit/circuit.js';
import { emptyCircuitNote } from '../circuit/empty-note.js';
import { graphOf } from '../circuit/graph.js';
import { selectEdges } from '../circuit/select.js';
import {
  circuitCurve,
  evaluateCircuits,
  type CircuitCurve,
  type CircuitEvaluation,
  type ExcludedEdges,
} from '../circuit-evaluation.js';
import {
  SCORE_EXTENSIONS,
  readScoreFile,
  writeScoreFile,
  type ScoreFile,
} from '../formats/score-file.js';
import { formatHead } from '../head-gate.js';
import type { Model } from '../model.js';
import type { JobProgress } from '../native.js';
import { mean } from '../stats/quantile.js';
import { usageError, type Arguments } from './arguments.js';
import {
  curveJson,
  evaluationJson,
  measurementsCsv,
  type Measurements,
} from './circuit-measurements.js';
import type { Command } from './command.js';
import type { Context, Task } from './context.js';
import { loadFrom, pairsFrom } from './inputs.js';
import {
  journalOf,
  journalOutput,
  resumeAnnouncer,
  resumeHintOf,
  type JournalPlace,
} from './journal-option.js';
import { formatBounds, formatNumber, formatPercent, plural } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { describeSelection, greedyOption, selectionMeta, selectionOf } from './selection.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

function warnOtherModel(circuit: Circuit, model: Model, context: Context): void {
  const { fingerprint } = circuit.meta;
  if (typeof fingerprint !== 'string' || fingerprint === model.fingerprint()) return;
  context.warn(
    `the scores were made with another model (${circuit.meta.model ?? 'unnamed'}) ` +
      `than ${model.info.label}, on which the circuit is evaluated.`,
  );
}

interface Chosen {
  readonly circuit: Circuit;
  /** Null: the circuit that the file holds. */
  readonly selection: BuildCircuitOptions | null;
  /** Nothing is printed of the graph whose parts a curve measures. */
  readonly description?: string;
}

function printCircuit({ circuit, selection, description }: Chosen, context: Context): void {
  if (description === undefined) return;
  const graph = graphOf(circuit.shape);
  const heads = circuitHeads(circuit);
  const edges = countEdges(circuit);
  const { layers, heads: width } = circuit.shape;
  context.print(`${context.paint('bold', 'Circuit')}: ${description}`);
  context.print(
    `  ${plural(edges, 'edge')} of ${graph.edgeCount.toLocaleString('en-US')}, ` +
      `${plural(countNodes(circuit), 'node')}, ${plural(heads.length, 'head')} of ${layers * width}`,
  );
  const names = heads.map(formatHead);
  const shown = names.slice(0, 40).join(' ');
  const more = names.length > 40 ? ` … and ${names.length - 40} more` : '';
  context.print(`  heads: ${shown || 'none'}${more}`);
  if (selection) {
    const pruned = selectEdges(graph, graph.compact(circuit.scores), selection).length - edges;
    if (pruned > 0) {
      context.print(`  pruned: ${plural(pruned, 'edge')} on no path from the input to the logits`);
    }
  }
  if (edges === 0) context.warn(emptyCircuitNote('the circuit', selection, greedyOption));
}

function printEvaluation(evaluation: CircuitEvaluation, context: Context): void {
  const [result] = evaluation.circuits;
  context.heading(
    `Faithfulness on ${plural(evaluation.pairs, 'pair')}, excluded edges: ${evaluation.excluded}`,
  );
  context.table(
    [{ title: evaluation.metric }, { title: 'mean', align: 'right' }],
    [
      ['whole model', formatNumber(mean(evaluation.clean))],
      ['circuit', formatNumber(result.mean)],
      ['empty circuit', formatNumber(mean(evaluation.empty))],
      ['corrupted run', formatNumber(mean(evaluation.corrupted))],
    ],
  );
  const { undefinedResamples } = result.interval;
  const without =
    undefinedResamples === undefined
      ? ''
      : ` (undefined in ${plural(undefinedResamples, 'resample')}, which may lie anywhere)`;
  const interval =
    evaluation.pairs === 1
      ? 'one pair has no interval, which needs at least 2'
      : `95 % interval over pairs ${formatBounds(result.interval)}${without}`;
  context.print(`  faithfulness ${formatNumber(result.faithfulness)}, ${interval}`);
}

function printCurve(curve: CircuitCurve, context: Context): void {
  context.heading(
    `Faithfulness over circuit sizes (CPR ${formatNumber(curve.cpr)}, CMD ${formatNumber(curve.cmd)})`,
  );
  context.table(
    [
      { title: 'edges', align: 'right' },
      { title: 'share', align: 'right' },
      { title: 'by signed score', align: 'right' },
      { title: 'interval' },
      { title: 'by |score|', align: 'right' },
      { title: 'interval' },
    ],
    curve.points.map(({ fraction, selected, signed, absolute }) => [
      selected.toLocaleString('en-US'),
      formatPercent(fraction),
      formatNumber(signed.faithfulness),
      formatBounds(signed.interval),
      formatNumber(absolute.faithfulness),
      formatBounds(absolute.interval),
    ]),
  );
}

interface Measured {
  /** As in --json. */
  readonly json: Record<string, unknown>;
  readonly found: Measurements;
}

async function measure(
  circuit: Circuit,
  model: Model,
  place: { args: Arguments; context: Context; journal: JournalPlace | undefined },
): Promise<Measured> {
  const { args, context, journal } = place;
  warnOtherModel(circuit, model, context);
  const { pairs, name } = await pairsFrom(model, args, context);
  const options = {
    metric: args.choice<Metric>('metric'),
    excluded: args.choice<ExcludedEdges>('excluded'),
    bootstrap: { seed: args.value('seed') },
    signal: context.signal,
  };
  const { label, device, isa, precision, sharePrefix } = model.info;
  const [task, seed] = [name, args.value('seed')];
  const measuredOn = { model: label, device, isa, precision, sharePrefix, task, seed };
  let [evaluation, curve]: [CircuitEvaluation?, CircuitCurve?] = [];
  if (journal) context.resumeHint = resumeHintOf(journal);
  const kept = (path: string | undefined, { onJob, onRemark }: Task) => {
    const announce = resumeAnnouncer(path, 'pairs', context);
    return {
      journal: path,
      onRemark,
      onProgress: (progress: JobProgress) => {
        if (progress.phase === 'pairs') announce(progress.done, progress.total);
        else onJob(progress);
      },
    };
  };
  if (args.flag('evaluate')) {
    evaluation = await context.task('evaluate', 'circuits', (task) =>
      evaluateCircuits(model, pairs, [circuit], { ...options, ...kept(journal?.path, task) }),
    );
    printEvaluation(evaluation, context);
  }
  if (args.flag('curve')) {
    curve = await context.task('curve', 'circuits', (task) =>
      circuitCurve(model, pairs, circuit, {
        ...options,
        prune: args.switch('prune') !== false,
        ...kept(journal && curveJournal(journal), task),
      }),
    );
    printCurve(curve, context);
  }
  return {
    json: {
      ...measuredOn,
      ...(evaluation ? { evaluation: evaluationJson(evaluation) } : {}),
      ...(curve ? { curve: curveJson(curve) } : {}),
    },
    found: { edges: countEdges(circuit), evaluation, curve },
  };
}

/** The curve has circuits of its own. */
const curveJournal = ({ path }: JournalPlace): string => `${path}.curve`;

const measures = (args: Arguments): boolean => args.flag('evaluate') || args.flag('curve');

function checkCombination(args: Arguments): void {
  const measuring = measures(args);
  if (measuring && args.text('model') === undefined) {
    throw usageError(`--${args.flag('evaluate') ? 'evaluate' : 'curve'} needs --model and pairs.`);
  }
  const pairs = (['pairs', 'task'] as const).find((name) => args.text(name) !== undefined);
  if (!measuring && args.text('journal') !== undefined) {
    throw usageError('--journal keeps what is measured: add --evaluate or --curve.');
  }
  if (!measuring && args.text('csv') !== undefined) {
    throw usageError('--csv holds what is measured: add --evaluate or --curve.');
  }
  if (!measuring && pairs !== undefined) {
    throw usageError(`--${pairs} is read to measure a circuit: add --evaluate or --curve.`);
  }
  if (!measuring) {
    const names = ['metric', 'excluded', 'seed', 'count', 'skip-unfit', 'enable-thinking'] as const;
    const why = 'is read to measure a circuit: add --evaluate or --curve, or leave it out.';
    refuseUnread(args, names, why);
  }
  if (args.text('model') === undefined) {
    const names = ['adapter', 'base', 'revision', 'device', 'precision', 'kv-edges'] as const;
    refuseUnread(args, names, 'is of a model: add --model, or leave it out.');
  }
}

/** Writes --out and --csv. */
async function write(
  circuit: Circuit,
  measured: Measured | undefined,
  { args, context }: { args: Arguments; context: Context },
): Promise<void> {
  const [out, csv] = [args.text('out'), args.text('csv')];
  if (out !== undefined) {
    await writeScoreFile(out, circuit, measured ? { measured: measured.json } : {});
    context.print(`\nWrote ${out}`);
    if (measured && csv === undefined && extname(out) === '.npy') {
      context.warn(
        `${out} holds scores alone, not what was measured: write .json or .pt, or add --csv.`,
      );
    }
  }
  if (csv !== undefined && measured) {
    await writeFileAtomic(csv, measurementsCsv(measured.found), { resumes: true });
    context.print(`Wrote ${csv}`);
  }
}

const needsSelection = 'say which edges to select: --top-n N, --tau-all T or --greedy N.';

/** The circuit of the selection, or without one the file's own, to measure it. */
function chooseCircuit(table: ScoreFile, args: Arguments): Chosen {
  const selection = selectionOf(args);
  const file = args.positional('scores');
  const { inGraph, nodesInGraph } = table;
  if (!selection && args.flag('evaluate') && inGraph?.includes(1) && nodesInGraph) {
    const circuit = { ...table, inGraph, nodesInGraph };
    return { circuit, selection: null, description: `as stored in ${file}` };
  }
  if (!selection && !args.flag('curve')) {
    throw usageError(`${file} holds scores but no circuit; ${needsSelection}`);
  }
  const chosen = selection ?? { rule: 'top-n', n: graphOf(table.shape).edgeCount };
  const built = buildCircuit(table, chosen);
  return {
    circuit: { ...built, meta: { ...built.meta, ...selectionMeta(chosen) } },
    selection: chosen,
    ...(selection ? { description: describeSelection(selection) } : {}),
  };
}

export const circuitCommand: Command = {
  name: 'circuit',
  usage: 'circuit <scores>',
  describe: 'Select a circuit from scores and measure its faithfulness',
  positionals: [{ name: 'scores', describe: 'score file: .json, .pt or (with --model) .npy' }],
  options: [
    ...optionGroups.selection,
    'model',
    'evaluate',
    'excluded',
    'curve',
    'journal',
    ...optionGroups.pairs,
    'kv-edges',
    'seed',
    'out',
    'csv',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  meanings: {
    out: 'circuit to write, with its scores: .json or .pt, which hold what is measured, too, or .npy',
    csv: 'also write what is measured as CSV, a line for every circuit',
  },
  examples: [
    ['$0 circuit scores.json --top-n 200 --out circuit.json', 'the 200 highest edges, pruned'],
    [
      '$0 circuit scores.json --top-n 200 --evaluate --model ./qwen --pairs pairs.jsonl',
      'and its faithfulness',
    ],
    [
      '$0 circuit circuit.json --evaluate --model ./qwen --pairs others.jsonl',
      'of a circuit that a file holds',
    ],
  ],
  async run(args, context) {
    checkCombination(args);
    const [out, modelName] = [args.text('out'), args.text('model')];
    if (!selectionOf(args) && !measures(args)) throw usageError(needsSelection);
    const journal = measures(args) ? journalOf(args) : undefined;
    await checkOutputs(args, [
      fileOutput(args, 'out', SCORE_EXTENSIONS),
      fileOutput(args, 'csv', ['.csv']),
      journalOutput(journal),
    ]);
    const model = modelName === undefined ? undefined : await loadFrom(modelName, args, context);
    const shape = model?.shape(args.choice<'per-query-head' | 'grouped'>('kv-edges'));
    const table = await readScoreFile(args.positional('scores'), shape ? { shape } : {});
    const chosen = chooseCircuit(table, args);
    const { circuit, selection } = chosen;
    printCircuit(chosen, context);
    const measured =
      model && measures(args)
        ? await measure(circuit, model, { args, context, journal })
        : undefined;
    model?.dispose();
    await write(circuit, measured, { args, context });
    if (journal?.temporary) {
      for (const path of [journal.path, curveJournal(journal)]) await rm(path, { force: true });
    }
    return {
      scores: args.positional('scores'),
      selection,
      edges: countEdges(circuit),
      nodes: countNodes(circuit),
      heads: circuitHeads(circuit).map(formatHead),
      ...measured?.json,
      ...(out === undefined ? {} : { file: out }),
    };
  },
};
