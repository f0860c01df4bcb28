// `headspark attribute`: scores of every edge of a model on pairs.

import {
  attribute,
  type AttributeOptions,
  type AttributionMethod,
  type AttributionResult,
  type IgGrid,
  type Metric,
} from '../attribution.js';
import { removeScoreJournal } from '../attribution/journal.js';
import { graphOf } from '../circuit/graph.js';
import type { KvEdges } from '../circuit/shape.js';
import { SCORE_EXTENSIONS, writeScoreFile } from '../formats/score-file.js';
import { formatDuration } from '../progress.js';
import { hasSamePrompts } from '../pairs/same-prompts.js';
import type { TokenizedPair } from '../pairs/types.js';
import { mean } from '../stats/quantile.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { loadFrom, pairsFrom } from './inputs.js';
import { formatBounds, formatNumber, formatPercent, formatSigned, plural } from './output.js';
import { journalBeside, journalOutput, resumeAnnouncer, resumeHintOf } from './journal-option.js';
import { checkOutputs, type Output } from './outputs.js';
import {
  completenessOf,
  rankEdges,
  rankHeads,
  type Completeness,
  type RankedEdge,
  type RankedHead,
} from './score-summary.js';
import { optionGroups } from './vocabulary.js';

interface Summary {
  readonly heads: readonly RankedHead[];
  readonly edges: readonly RankedEdge[];
  readonly completeness: Completeness | undefined;
  readonly seconds: number;
}

const keepPairs = { auto: 'auto', yes: true, no: false } as const;

function optionsOf(args: Arguments): AttributeOptions {
  const igGrid = args.optionalChoice<IgGrid>('ig-grid');
  return {
    method: args.choice<AttributionMethod>('method'),
    metric: args.choice<Metric>('metric'),
    igSteps: args.value('ig-steps'),
    ...(igGrid ? { igGrid } : {}),
    kvEdges: args.choice<KvEdges>('kv-edges'),
    keepPairScores: keepPairs[args.choice<keyof typeof keepPairs>('keep-pairs')],
  };
}

function printMetric(result: AttributionResult, summary: Summary, context: Context): void {
  const { clean, corrupted } = result.pairMetrics;
  context.print(
    `  ${result.meta.metric}: clean ${formatNumber(mean(clean))}, ` +
      `corrupted ${formatNumber(mean(corrupted))}`,
  );
  const { completeness } = summary;
  if (completeness) {
    const { inputScores, expected } = completeness;
    const off = Math.abs(inputScores - expected) / Math.max(1e-12, Math.abs(expected));
    context.print(
      `  completeness: scores from input sum to ${formatNumber(inputScores)}, ` +
        `${formatNumber(expected)} with endless steps (off by ${formatPercent(off)})`,
    );
  }
  context.print(`  time: ${formatDuration(summary.seconds)}`);
}

function printSummary(result: AttributionResult, summary: Summary, context: Context): void {
  const intervals = summary.heads.some(({ low }) => low !== undefined);
  printMetric(result, summary, context);
  context.heading(
    `Top heads, by share of |score| over all edges${intervals ? ', with 95 % intervals over pairs' : ''}`,
  );
  context.table(
    [
      { title: 'head' },
      { title: 'share', align: 'right' },
      ...(intervals ? [{ title: 'interval' }] : []),
    ],
    summary.heads.map(({ name, scoreShare, low, high }) => [
      name,
      formatNumber(scoreShare, 4),
      ...(low === undefined || high === undefined ? [] : [formatBounds({ low, high }, 4)]),
    ]),
  );
  context.heading('Top edges, by |score|');
  context.table(
    [{ title: 'edge' }, { title: 'score', align: 'right' }],
    summary.edges.map(({ name, score }) => [name, formatSigned(score, 5)]),
  );
}

async function writeOutputs(
  result: AttributionResult,
  place: { outputs: readonly string[]; task: string },
  context: Context,
): Promise<void> {
  const named = { ...result, meta: { ...result.meta, task: place.task } };
  for (const path of place.outputs) await writeScoreFile(path, named);
  context.print();
  if (place.outputs.length === 0) {
    context.print('Nothing was written; keep the scores with --out scores.json.');
  }
  for (const path of place.outputs) context.print(`Wrote ${path}`);
}

/** Remarks on pairs that add nothing to the scores; where all are such, attribution refuses them. */
function remarkSamePrompts(
  pairs: readonly TokenizedPair[],
  { method }: AttributeOptions,
  context: Context,
): void {
  const same = pairs.filter(hasSamePrompts);
  if (same.length === 0 || same.length === pairs.length) return;
  if (method === 'information-flow-routes') return;
  context.warn(
    `${same.length} of ${pairs.length} pairs have the same clean and corrupted prompt (the first on ` +
      `line ${same[0].line}) and add nothing to the scores.`,
  );
}

export const attributeCommand: Command = {
  name: 'attribute',
  usage: 'attribute <model>',
  describe: 'Score every edge of a model on pairs',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'method',
    'ig-steps',
    'ig-grid',
    'kv-edges',
    'keep-pairs',
    ...optionGroups.pairs,
    'seed',
    'out',
    'journal',
    'top',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  multiple: ['out'],
  examples: [
    [
      '$0 attribute ./qwen --pairs pairs.jsonl --out scores.json',
      'EAP-IG with 5 steps on the logit difference',
    ],
    [
      '$0 attribute ./base --adapter ./lora --task ioi --out a.json --out a.pt',
      'a LoRA checkpoint',
    ],
  ],
  async run(args, context) {
    const outputs = args.list('out');
    const journal = journalBeside(args, 'out', outputs.at(0));
    await checkOutputs([
      ...outputs.map((path): Output => ({
        option: '--out',
        path,
        kind: 'file',
        extensions: SCORE_EXTENSIONS,
      })),
      journalOutput(journal),
    ]);
    const model = await loadFrom(args.positional('model'), args, context);
    const { pairs, name } = await pairsFrom(model, args, context);
    const { signal } = context;
    const options = optionsOf(args);
    const { edgeCount } = graphOf(model.shape(options.kvEdges));
    context.print(
      `${context.paint('bold', model.info.label)}: ${options.method}, ` +
        `${plural(edgeCount, 'edge')}, ${plural(pairs.length, 'pair')} of ${name}`,
    );
    remarkSamePrompts(pairs, options, context);
    context.resumeHint = resumeHintOf(journal);
    const announce = resumeAnnouncer(journal?.path, 'pairs', context);
    const start = performance.now();
    const unit = options.method === 'exact' ? 'edges' : 'pairs';
    const result = await context.task('attribute', unit, ({ onJob }) =>
      attribute(model, pairs, {
        ...options,
        journal: journal?.path,
        signal,
        onProgress: (progress) => {
          if (progress.phase === 'attribution') announce(progress.done, progress.total);
          onJob(progress);
        },
      }),
    );
    const seconds = (performance.now() - start) / 1000;
    const top = args.value('top');
    const heads = await context.task('intervals', 'resamples', ({ onCount }) =>
      rankHeads(result, { seed: args.value('seed'), signal, onProgress: onCount }),
    );
    const summary: Summary = {
      heads: heads.slice(0, top),
      edges: rankEdges(result, top),
      completeness: completenessOf(result),
      seconds,
    };
    printSummary(result, summary, context);
    await writeOutputs(result, { outputs, task: name }, context);
    if (journal?.temporary) await removeScoreJournal(journal.path);
    model.dispose();
    return { ...result.meta, task: name, shape: result.shape, files: outputs, ...summary };
  },
};
