// `headspark attribute`: scores of every edge of a model on pairs.

import { existsSync } from 'node:fs';
import {
  attribute,
  type AttributeOptions,
  type AttributionMethod,
  type IgGrid,
  type Metric,
} from '../attribution.js';
import { isIntegrated, usualGrid, zeroGradient } from '../attribution/gradients.js';
import { removeScoreJournal, scoresPath } from '../attribution/journal.js';
import { graphOf } from '../circuit/graph.js';
import type { KvEdges } from '../circuit/shape.js';
import { hasSamePrompts } from '../pairs/same-prompts.js';
import type { TokenizedPair } from '../pairs/types.js';
import { usageError, type Arguments } from './arguments.js';
import { finishScores, scoreOutputs } from './attribution-run.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { loadFrom, pairsFrom } from './inputs.js';
import { plural } from './output.js';
import {
  journalBeside,
  journalOutput,
  resumeAnnouncer,
  resumeHintOf,
  shardOf,
} from './journal-option.js';
import { checkOutputs } from './outputs.js';
import { refuseUnread } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

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

const words = { method: '--method', metric: '--metric', steps: '--ig-steps', grid: '--ig-grid' };

/** Before a model is loaded: scores that would be rounding noise. */
function refuseZeroGradient(args: Arguments, method: AttributionMethod): void {
  const igGrid = args.optionalChoice<IgGrid>('ig-grid') ?? usualGrid(method);
  const metric = args.choice<Metric>('metric');
  const settings = { method, metric, igSteps: args.value('ig-steps'), igGrid };
  const noise = zeroGradient(settings, words);
  if (noise !== undefined) throw usageError(`${noise}.`);
}

const nothingWritten = 'Nothing was written; keep the scores with --out scores.json.';

/** What a run of a journal alone says. */
function writtenJournal(path: string): string {
  const scores = existsSync(scoresPath(path)) ? ` and ${scoresPath(path)}` : '';
  return (
    `Wrote ${path}${scores}, which hold every pair: the same command with --out scores.json ` +
    'writes the scores from there.'
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
    'shard',
    'top',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  meanings: {
    out: 'score file to write, .json, .pt or .npy; several are written alike',
    shard: 'only part i/n of the pairs; needs --journal, which headspark merge reads',
  },
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
    [
      '$0 attribute ./qwen --pairs pairs.jsonl --shard 1/8 --journal 1.journal',
      'an eighth, for merge',
    ],
  ],
  async run(args, context) {
    const outputs = args.list('out');
    const shard = shardOf(args);
    // Its scores would pass for those of all pairs.
    if (shard && args.has('out')) {
      throw usageError('--shard writes its journal alone: give --out to headspark merge.');
    }
    const method = args.choice<AttributionMethod>('method');
    if (!isIntegrated(method)) {
      const why = `is of integrated gradients, which --method ${method} does not take; leave it out.`;
      refuseUnread(args, ['ig-steps', 'ig-grid'], why);
    }
    refuseZeroGradient(args, method);
    const journal = journalBeside(args, 'out', outputs.at(0));
    await checkOutputs(args, [...scoreOutputs(outputs), journalOutput(journal)]);
    const model = await loadFrom(args.positional('model'), args, context);
    const { pairs, name } = await pairsFrom(model, args, context);
    const { signal } = context;
    const options = { ...optionsOf(args), shard, task: name };
    const { edgeCount } = graphOf(model.shape(options.kvEdges));
    context.print(
      `${context.paint('bold', model.info.label)}: ${options.method}, ` +
        `${plural(edgeCount, 'edge')}, ${plural(pairs.length, 'pair')} of ${name}` +
        (shard ? `, shard ${args.text('shard')}` : ''),
    );
    remarkSamePrompts(pairs, options, context);
    context.resumeHint = resumeHintOf(journal);
    const announce = resumeAnnouncer(journal?.path, 'pairs', context);
    const start = performance.now();
    const unit = options.method === 'exact' ? 'edges' : 'pairs';
    const result = await context.task('attribute', unit, ({ onJob, onRemark }) =>
      attribute(model, pairs, {
        ...options,
        journal: journal?.path,
        keepJournal: args.has('journal'),
        signal,
        onRemark,
        onProgress: (progress) => {
          announce(progress.done, progress.total, progress.phase === 'edges' ? 'edges' : 'pairs');
          onJob(progress);
        },
      }),
    );
    const [top, seed] = [args.value('top'), args.value('seed')];
    const found = await finishScores(result, { outputs, top, seed, start }, context);
    if (shard) {
      context.print(`Wrote ${journal!.path} and ${journal!.path}.scores, for headspark merge`);
    } else if (outputs.length === 0) {
      context.print(journal ? writtenJournal(journal.path) : nothingWritten);
    }
    if (journal?.temporary) await removeScoreJournal(journal.path);
    model.dispose();
    return found;
  },
};
