// The form of a study file: what keys there are, what each takes, and what it is when left out.
// Whether names, files and shapes fit each other is checked in check.ts and facts.ts.

import { z } from 'zod';
import { ablationKinds } from '../ablation-sweep.js';
import { controlMatches } from '../ablation/types.js';
import { answerSources } from '../answers/extract.js';
import { attributionMethods, igGrids, kvEdgeKinds, metrics } from '../attribution.js';
import { excludedKinds } from '../circuit-evaluation.js';
import { headGroups } from '../diff-report.js';
import { gatePositions, largestFactor } from '../head-gate.js';
import { headQueries } from '../heads/types.js';
import { headChoices, logReductions } from './study.js';

const text = z.string().min(1);
const whole = (low: number, high: number) => z.number().int().min(low).max(high);
const count = whole(1, 1_000_000);
const seed = whole(0, Number.MAX_SAFE_INTEGER);
/** Names become parts of file names. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}$/, 'a name of letters, digits, spaces and . _ + -');

const base = z.strictObject({
  name: name.default('base'),
  /** Folder or hub id (ORG/NAME or ORG/NAME@REVISION). */
  model: text,
  step: whole(0, Number.MAX_SAFE_INTEGER).default(0),
});

const checkpoint = z.strictObject({
  name: name.optional(),
  step: whole(0, Number.MAX_SAFE_INTEGER),
  model: text.optional(),
  adapter: text.optional(),
});

/** A training log: JSON, JSONL or CSV with one entry a step. */
const log = z.strictObject({
  name,
  file: text,
  /** Dotted path to the list of entries in a JSON file. */
  at: text.optional(),
  /** Only entries with these values. */
  where: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  step: text.default('step'),
  /** Dotted path to the number in an entry. */
  value: text,
  /** The last entry up to a checkpoint, or the mean since the checkpoint before. */
  reduce: z.enum(logReductions).default('last'),
});

const series = z.strictObject({
  label: name,
  regime: name,
  base: base.optional(),
  /** Label of the series that was trained with the true reward. */
  'corrupted-reward-of': name.optional(),
  logs: z.array(log).default([]),
  checkpoints: z.array(checkpoint).min(1),
});

const promptForm = z.strictObject({ name, thinking: z.boolean().optional() });

const generate = z.strictObject({
  task: z.enum(['ioi', 'greater-than', 'arithmetic']),
  count: count.default(64),
  seed: seed.optional(),
  terms: whole(2, 8).optional(),
  operators: z
    .array(z.enum(['+', '-', '*']))
    .min(1)
    .optional(),
  'min-operand': whole(0, 9999).optional(),
  'max-operand': whole(0, 9999).optional(),
});

/** Pairs from the way in which two models begin to answer the same problems. */
const openings = z.strictObject({
  /** A file of problems, or the name of a known benchmark, whose file lies in `data`. */
  problems: text,
  data: text.optional(),
  limit: count.optional(),
  /** The post-trained model; default: the last checkpoint of the base's first series. */
  by: name.optional(),
  template: z.enum(['chat', 'plain']).optional(),
  system: text.optional(),
  suffix: text.optional(),
  'opening-length': whole(1, 4096).default(16),
});

const task = z.strictObject({
  name,
  /** A file for every prompt form, or one file per form. */
  pairs: z
    .union([text, z.record(z.string(), text)], 'a file name, or a file name for each prompt form')
    .optional(),
  generate: generate.optional(),
  openings: openings.optional(),
  limit: count.optional(),
});

const attribution = z.strictObject({
  method: z.enum(attributionMethods).default('eap-ig'),
  metric: z.enum(metrics).default('logit-diff'),
  'ig-steps': whole(1, 10_000).default(5),
  'ig-grid': z.enum(igGrids).optional(),
  'kv-edges': z.enum(kvEdgeKinds).default('per-query-head'),
});

const selection = z.strictObject({
  rule: z.enum(['top-n', 'threshold', 'greedy']),
  n: whole(1, 1_000_000_000).optional(),
  tau: z.number().optional(),
  ranking: z.enum(['absolute', 'signed']).default('absolute'),
  prune: z.boolean().default(true),
});

/** Post-trained checkpoints; `final`: the last of every series. */
const chosen = z
  .union(
    [z.enum(['final', 'all']), z.array(text).min(1)],
    'final, all, or a list of names of checkpoints and series',
  )
  .default('final');

const ablation = z.strictObject({
  name,
  group: z.enum(headGroups).optional(),
  /** Sets of heads as on the command line: "3.1,5.0;4.*". */
  heads: text.optional(),
  single: z.boolean().optional(),
  /** Of a group; default 10. */
  'top-k': whole(1, 10_000).optional(),
  /** Default 20; single heads have none. */
  controls: whole(0, 100_000).optional(),
  /** 0 ablates, 0.5 weakens, 1.3 amplifies. */
  factors: z.array(z.number().min(-largestFactor).max(largestFactor)).min(1).default([0]),
  ablation: z.enum(ablationKinds).default('zero'),
  positions: z.enum(gatePositions).default('all'),
  /** What random sets have in common with their set. */
  match: z.enum(controlMatches).default('layer'),
  /** Stages of about equal work that the variants are cut into, for several machines. */
  parts: whole(1, 10_000).default(1),
  /** Problems whose runs means and resampled activations come from, with benchmarks. */
  references: whole(1, 100_000).optional(),
  checkpoints: chosen,
  /** Names of benchmarks that are answered under ablation; default: none, the pairs are. */
  benchmarks: z.array(name).min(1).optional(),
  /** Names of tasks and prompt forms; default: all. */
  tasks: z.array(name).min(1).optional(),
  'prompt-forms': z.array(name).min(1).optional(),
});

/** What heads do, on the pairs: attention, writes, copying. */
const heads = z.strictObject({
  name,
  which: z.enum(headChoices).optional(),
  /** Heads as on the command line: "3.1,5.0". */
  heads: text.optional(),
  queries: z.enum(headQueries).default('all'),
  /** Name of an ablation with single: true; default: the first that ablates (factor 0) there. */
  effects: name.optional(),
  /** Attention maps to draw, of the strongest heads. */
  maps: whole(0, 64).default(2),
  /** The pair whose clean prompt is drawn, from 1. */
  'map-pair': count.default(1),
  'think-markers': z.array(text).min(1).optional(),
  checkpoints: chosen,
  tasks: z.array(name).min(1).optional(),
  'prompt-forms': z.array(name).min(1).optional(),
});

const statistics = z.strictObject({
  confidence: z.number().gt(0).lt(1).default(0.95),
  resamples: whole(1, 10_000_000).optional(),
  'null-repeats': whole(0, 100_000).default(100),
  permutations: whole(1, 10_000_000).default(9_999),
  'block-length': whole(1, 10_000).optional(),
});

/** How problems are answered; what a benchmark leaves out is as the study's. */
const sampling = z.strictObject({
  /** Answers to every problem. Default 1. */
  samples: whole(1, 10_000).optional(),
  /** Default: greedy with one sample, temperature 0.6 and top-p 0.95 with several (the paper's). */
  temperature: z.number().min(0).max(100).optional(),
  'top-p': z.number().gt(0).max(1).optional(),
  'top-k-tokens': whole(0, 0x7fffffff).optional(),
  'min-p': z.number().min(0).lt(1).optional(),
  'repetition-penalty': z.number().gt(0).max(100).optional(),
  /** Default 1024. */
  'max-new-tokens': whole(1, 1_000_000).optional(),
  stop: z.array(text).min(1).optional(),
  /** Ids of tokens that end an answer, beside those of the tokenizer. */
  'stop-tokens': z.array(whole(0, 0x7fffffff)).min(1).optional(),
  /** Default: the study's. */
  seed: seed.optional(),
  /** Of pass@k and success@k; default 1, 2, 4, … and all samples. */
  k: z.array(whole(1, 10_000)).min(1).optional(),
});

const benchmark = z.strictObject({
  name,
  /** A file, or the name of a known benchmark, whose file lies in `data`. */
  file: text,
  /** Folder of known benchmarks; default: `data` beside the study file. */
  data: text.optional(),
  limit: count.optional(),
  /** `final`: the bases and the last of every series; `none`: for ablations only. */
  checkpoints: z
    .union(
      [z.enum(['all', 'final', 'none']), z.array(name).min(1)],
      'all, final, none, or a list of names of checkpoints',
    )
    .default('all'),
  'prompt-forms': z.array(name).min(1).optional(),
  /** Default: the model's chat template where it has one. */
  template: z.enum(['chat', 'plain']).optional(),
  system: text.optional(),
  /** `boxed`, `none` or a text of one's own; default: what the benchmark has. */
  suffix: text.optional(),
  'answer-from': z.enum(['any', ...answerSources]).default('any'),
  /** Stages of equal size that the problems are cut into, for several machines. */
  parts: whole(1, 10_000).default(1),
  sampling: sampling.prefault({}),
});

/** Goes between double quotes into a line of an sbatch script. */
const sbatchText = z
  .string()
  .regex(/^[^"\\\p{Cc}]+$/u, 'a text without quotes, backslashes and line breaks');

/** YAML reads `2` as a number and `a100:2` as a text. */
const numberOrText = (pattern: RegExp, expected: string) =>
  z.preprocess(
    (value) => (typeof value === 'number' ? String(value) : value),
    z.string().regex(pattern, expected),
  );

/** A number is minutes. */
const slurmTime = numberOrText(
  /^(?:\d{1,9}|\d{1,4}(?::\d{1,2}){1,2}|\d{1,4}-\d{1,2}(?::\d{1,2}){0,2})$/,
  'minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS',
);

const slurmGpus = numberOrText(
  /^(?:[A-Za-z][\w.-]*:)?\d{1,2}$/,
  'a number of GPUs, or TYPE:NUMBER',
);

/** What every task of an array asks for. */
const slurmTask = {
  partition: sbatchText.optional(),
  account: sbatchText.optional(),
  qos: sbatchText.optional(),
  constraint: sbatchText.optional(),
  time: slurmTime.optional(),
  gpus: slurmGpus.optional(),
  cpus: whole(1, 4096).optional(),
  memory: z
    .string()
    .regex(/^\d+[KMGT]?$/, 'a size as sbatch takes it, for instance 32G')
    .optional(),
};

const slurm = z.strictObject({
  ...slurmTask,
  /** Parts that a stage's checkpoints are divided into; default: one for each checkpoint. */
  tasks: whole(1, 10_000).optional(),
  /** Most tasks of one array that run at the same time. */
  concurrent: whole(1, 10_000).optional(),
  /** Shell lines before headspark starts: modules, environments. */
  setup: z.string().optional(),
  /** How headspark is called on a node; default: this installation. */
  command: z.string().min(1).optional(),
  /** Further options of sbatch, as they stand. */
  options: z.array(z.string().regex(/^--[^\p{Cc}]+$/u, 'an option of sbatch (--…)')).default([]),
  /** By kind of stage: what it asks for instead. */
  stages: z.record(z.string(), z.strictObject(slurmTask)).default({}),
});

export const studySchema = z.strictObject({
  study: name,
  description: z.string().optional(),
  seed: seed.default(0),
  base,
  series: z.array(series).min(1),
  'prompt-forms': z
    .array(promptForm)
    .min(1)
    .default([{ name: 'plain' }]),
  tasks: z.array(task).min(1),
  attribution: attribution.prefault({}),
  selection,
  evaluation: z.strictObject({ excluded: z.enum(excludedKinds).default('patch') }).prefault({}),
  ablations: z.array(ablation).default([]),
  heads: z.array(heads).default([]),
  statistics: statistics.prefault({}),
  benchmarks: z.array(benchmark).default([]),
  sampling: sampling.optional(),
  slurm: slurm.optional(),
});

/** A study file after the schema: keys as in the file, defaults filled in. */
export type StudyFile = z.output<typeof studySchema>;
