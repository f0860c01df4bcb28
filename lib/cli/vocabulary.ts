// Every option of every command, once. A command lists the names it takes; the help, the config
// file, the HEADSPARK_ environment and the checks all read this table.

import { controlMatches } from '../ablation/types.js';
import { ablationKinds } from '../ablation-kinds.js';
import { attributionMethods, igGrids, kvEdgeKinds, metrics } from '../attribution.js';
import { answerSources } from '../answers/extract.js';
import { excludedKinds } from '../circuit-evaluation.js';
import { sizeProblem } from './byte-size.js';
import { commonOptions } from './common-options.js';
import { headOptions } from './head-options.js';
import type { OptionSpec } from './option-types.js';
import { studyOptions } from './study-options.js';

export { optionGroups } from './option-groups.js';

const model = 'Model:';
const pairs = 'Pairs:';
const selection = 'Selection of edges:';
const attribution = 'Attribution:';
const ablation = 'Ablation:';
const generation = 'Generation:';
const statistics = 'Statistics:';
const evaluation = 'Evaluation:';
const output = 'Output:';

export const vocabulary = {
  adapter: {
    type: 'string',
    group: model,
    describe: 'LoRA adapter folder or hub id on top of MODEL',
  },
  base: {
    type: 'string',
    group: model,
    describe: 'base model, where MODEL is an adapter whose base is not found',
  },
  threads: {
    type: 'number',
    group: model,
    integer: true,
    min: 0,
    max: 1024,
    describe: 'threads; 0 (default): all that may be used',
  },
  memory: {
    type: 'string',
    group: model,
    problem: sizeProblem,
    describe:
      'workspace, for instance 8GiB; default: a quarter of the free memory (on a GPU four fifths of what ' +
      'the weights leave)',
  },
  device: { type: 'string', group: model, describe: 'cpu, cuda:N or auto', default: 'cpu' },
  precision: {
    type: 'string',
    group: model,
    choices: ['exact', 'fast'],
    default: 'exact',
    describe: 'of matrix products: exact is fp32-faithful, fast is bf16 where the CPU has it',
  },
  'batch-tokens': {
    type: 'number',
    group: model,
    integer: true,
    min: 0,
    max: 1_000_000,
    describe:
      'tokens of one micro-batch; never changes a result (128 for each thread, 512 at least; on a GPU 8192)',
  },
  'share-prefix': {
    type: 'boolean',
    group: model,
    default: true,
    describe:
      'compute what clean and corrupted share once; --no-share-prefix changes last bits of scores',
  },
  offline: { type: 'boolean', group: model, describe: 'hub models from the cache only' },
  revision: {
    type: 'string',
    group: model,
    describe: 'of a hub model: branch, tag or commit; default: main',
  },

  pairs: { type: 'string', group: pairs, describe: 'pairs file: JSONL or CSV' },
  task: {
    type: 'string',
    group: pairs,
    choices: ['ioi', 'greater-than', 'arithmetic'],
    describe: 'generate pairs instead',
  },
  count: {
    type: 'number',
    group: pairs,
    integer: true,
    min: 1,
    max: 1_000_000,
    describe: 'pairs to generate (default 100), or most pairs to read (default: all)',
  },
  seed: {
    type: 'number',
    group: statistics,
    integer: true,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    default: 0,
    describe: 'of generated pairs, sampling, resampling and control sets',
  },
  'skip-unfit': {
    type: 'boolean',
    group: pairs,
    describe: 'leave out pairs that do not fit the tokenizer instead of stopping',
  },
  metric: {
    type: 'string',
    group: pairs,
    choices: metrics,
    default: 'logit-diff',
    describe: 'what is measured on a pair',
  },
  'enable-thinking': {
    type: 'boolean',
    group: pairs,
    describe: "the chat template's thinking switch; --no-enable-thinking turns it off",
  },

  method: {
    type: 'string',
    group: attribution,
    default: 'eap-ig',
    choices: attributionMethods,
    describe: 'how edges are scored',
  },
  'ig-steps': {
    type: 'number',
    group: attribution,
    integer: true,
    min: 1,
    max: 10_000,
    default: 5,
    describe: 'steps of integrated gradients',
  },
  'ig-grid': {
    type: 'string',
    group: attribution,
    choices: igGrids,
    describe: 'places of the steps; default left (right for eap-ig-activations)',
  },
  'kv-edges': {
    type: 'string',
    group: attribution,
    choices: kvEdgeKinds,
    default: 'per-query-head',
    describe: 'k and v inputs per query head, or one per key/value head',
  },
  'keep-pairs': {
    type: 'string',
    group: attribution,
    choices: ['auto', 'yes', 'no'],
    default: 'auto',
    describe: 'keep the scores of every pair, which intervals need; auto: up to 256 MB',
  },

  'top-n': {
    type: 'number',
    group: selection,
    integer: true,
    min: 0,
    describe: 'the n highest edges',
  },
  tau: { type: 'number', group: selection, describe: 'of --top-n, only edges that reach tau' },
  'tau-all': { type: 'number', group: selection, describe: 'every edge that reaches tau' },
  greedy: {
    type: 'number',
    group: selection,
    integer: true,
    min: 0,
    describe: 'n edges, best first from the logits backwards',
  },
  ranking: {
    type: 'string',
    group: selection,
    choices: ['absolute', 'signed'],
    describe: 'rank |score| (default) or the signed score',
  },
  prune: {
    type: 'boolean',
    group: selection,
    default: true,
    describe: 'remove what does not connect input and logits; --no-prune keeps it',
  },

  model: { type: 'string', group: evaluation, describe: 'the model that the scores belong to' },
  evaluate: {
    type: 'boolean',
    group: evaluation,
    describe: 'measure faithfulness (needs --model and pairs)',
  },
  excluded: {
    type: 'string',
    group: evaluation,
    choices: excludedKinds,
    default: 'patch',
    describe: 'what edges outside the circuit carry',
  },
  curve: {
    type: 'boolean',
    group: evaluation,
    describe: 'faithfulness over circuit sizes with CPR and CMD (needs --model and pairs)',
  },

  resamples: {
    type: 'string',
    group: statistics,
    describe: 'bootstrap resamples of intervals; auto (default): 10,000',
  },
  'null-repeats': {
    type: 'number',
    group: statistics,
    integer: true,
    min: 0,
    max: 100_000,
    default: 100,
    describe: 'random splits of the base against itself; 0 leaves the null diff out',
  },
  confidence: {
    type: 'number',
    group: statistics,
    default: 0.95,
    describe: 'of intervals',
  },

  heads: {
    type: 'string',
    group: ablation,
    describe: 'sets of heads: "3.1,5.0" or "3.1,5.0;4.*" for two sets',
  },
  'heads-file': {
    type: 'string',
    group: ablation,
    describe:
      'file of sets of heads with names: CSV with the columns name and heads, or JSONL with these keys',
  },
  single: { type: 'boolean', group: ablation, describe: 'every head, one at a time' },
  diff: { type: 'string', group: ablation, describe: 'report of headspark diff' },
  'top-k': {
    type: 'number',
    group: ablation,
    integer: true,
    min: 1,
    max: 10_000,
    default: 10,
    describe: 'with --diff: the most important head, the first two, … the first k',
  },
  group: {
    type: 'string',
    group: ablation,
    choices: ['emergent', 'vanished', 'retained'],
    default: 'emergent',
    describe: 'with --diff: which heads',
  },
  post: {
    type: 'string',
    group: ablation,
    describe: 'with --diff: name of the compared circuit; default: the last',
  },
  controls: {
    type: 'number',
    group: ablation,
    integer: true,
    min: 0,
    max: 100_000,
    default: 20,
    describe: 'matched random sets for every set',
  },
  match: {
    type: 'string',
    group: ablation,
    choices: controlMatches,
    default: 'layer',
    describe: 'random sets: as many heads in every layer, or heads whose writes are as long',
  },
  factor: {
    type: 'string',
    group: ablation,
    default: '0',
    describe:
      'of the heads: 0 ablates, 0.5 weakens, 1.3 amplifies; 0,0.5,2 makes three variants of every set',
  },
  ablation: {
    type: 'string',
    group: ablation,
    choices: ablationKinds,
    default: 'zero',
    describe: 'what takes the place of a head',
  },
  references: {
    type: 'number',
    group: ablation,
    integer: true,
    min: 1,
    max: 100_000,
    default: 32,
    describe: 'with --benchmark: problems whose runs give means and resampled activations',
  },
  positions: {
    type: 'string',
    group: ablation,
    choices: ['all', 'prompt', 'generated'],
    default: 'all',
    describe: 'where heads are gated',
  },
  journal: {
    type: 'string',
    group: output,
    describe:
      'file of what is finished, to resume from; default: beside the results until they are done',
  },

  generate: {
    type: 'boolean',
    group: generation,
    describe: 'answer a benchmark with every variant and control instead of pairs',
  },
  benchmark: {
    type: 'string',
    group: generation,
    describe: 'aime24, aime25, amc23, math500, gsm8k, gpqa, demo, or a file of problems',
  },
  data: {
    type: 'string',
    group: generation,
    default: 'data',
    describe: 'folder of the named benchmarks',
  },
  template: {
    type: 'string',
    group: generation,
    choices: ['chat', 'plain'],
    describe: 'ask through the chat template (default where there is one), or the text alone',
  },
  suffix: {
    type: 'string',
    group: generation,
    describe:
      'after each problem: boxed (asks for \\boxed{}), none or a text; default by benchmark',
  },
  prompt: {
    type: 'string',
    group: generation,
    describe: 'text to continue; several are several rows',
  },
  prompts: {
    type: 'string',
    group: generation,
    describe: 'JSONL file of prompts: {"prompt": text or token ids} or {"messages": [...]}',
  },
  chat: {
    type: 'boolean',
    group: generation,
    describe: 'prompts are what the user says, rendered through the chat template',
  },
  system: { type: 'string', group: generation, describe: 'system message before it; means --chat' },
  samples: {
    type: 'number',
    group: generation,
    integer: true,
    min: 1,
    max: 100_000,
    default: 1,
    describe: 'answers per problem, each with a seed of its own',
  },
  temperature: {
    type: 'number',
    group: generation,
    min: 0,
    describe: '0: the likeliest token; default 0, with several --samples 0.6',
  },
  'top-p': {
    type: 'number',
    group: generation,
    max: 1,
    describe:
      'of the likeliest tokens that reach this probability; default 1, where 0.6 is the default temperature 0.95',
  },
  'top-k-tokens': {
    type: 'number',
    group: generation,
    integer: true,
    min: 0,
    max: 0x7fffffff,
    default: 0,
    describe: 'of the k likeliest tokens; 0: all',
  },
  'min-p': {
    type: 'number',
    group: generation,
    min: 0,
    default: 0,
    describe: "of tokens with this share of the likeliest one's probability",
  },
  'repetition-penalty': {
    type: 'number',
    group: generation,
    default: 1,
    describe: 'divides logits of tokens seen so far; 1: none',
  },
  'max-new-tokens': {
    type: 'number',
    group: generation,
    integer: true,
    min: 0,
    max: 1_000_000,
    describe: 'longest completion; default 2048',
  },
  stop: { type: 'string', group: generation, describe: 'text that ends a completion' },
  'stop-token': {
    type: 'number',
    group: generation,
    integer: true,
    min: 0,
    max: 0x7fffffff,
    describe: 'id of a token that ends a completion, beside those of the tokenizer',
  },
  'ignore-eos': {
    type: 'boolean',
    group: generation,
    describe: 'go on after end-of-sequence tokens',
  },
  'log-probs': {
    type: 'boolean',
    group: generation,
    describe:
      'with --out or --json: the log probability of every token under its variant (temperature 1, no filters)',
  },
  'answer-from': {
    type: 'string',
    group: generation,
    choices: ['any', ...answerSources],
    default: 'any',
    describe: 'which way of giving an answer counts',
  },
  'max-rows': {
    type: 'number',
    group: generation,
    integer: true,
    min: 1,
    max: 65536,
    default: 64,
    describe: 'rows decoded together; never changes a result',
  },
  shard: {
    type: 'string',
    group: output,
    describe: 'only part i/n of the problems; needs --journal, which headspark merge reads',
  },

  parquet: { type: 'string', group: output, describe: 'also write every sample as Parquet' },

  ...headOptions,

  ...studyOptions,

  figures: {
    type: 'string',
    group: output,
    describe: 'folder for every figure as SVG, PNG, CSV, Parquet and a LaTeX table',
  },
  formats: {
    type: 'string',
    group: output,
    describe: 'with --figures: some of svg,png,csv,parquet,latex; default: all',
  },
  out: { type: 'string', group: output, describe: 'table to write, as .json' },
  csv: { type: 'string', group: output, describe: 'also write the table as CSV' },
  top: {
    type: 'number',
    group: output,
    integer: true,
    min: 1,
    max: 1000,
    default: 10,
    describe: 'rows of the printed tables',
  },
  ...commonOptions,
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof vocabulary;

/** The specification of an option, without the narrow types of the table. */
export function optionSpec(name: OptionName): OptionSpec {
  return vocabulary[name];
}

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(vocabulary, name);
}
