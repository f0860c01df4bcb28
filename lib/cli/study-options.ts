// The part of the vocabulary that only studies use: which stages, and how they go to a cluster.

import type { OptionSpec } from './option-types.js';

const studies = 'Studies:';
const cluster = 'Cluster (with --slurm; otherwise from slurm in the study file):';

export const studyOptions = {
  only: {
    type: 'string',
    group: studies,
    describe: 'stages to run, with what they need: attribution, diff, ablation, …; default: all',
  },
  strict: {
    type: 'boolean',
    group: studies,
    describe: "with --shard: an error where another shard's results are not there yet",
  },
  each: {
    type: 'boolean',
    group: studies,
    describe: 'plan and status: a line for every stage too, not for every kind alone',
  },
  watch: {
    type: 'boolean',
    group: studies,
    describe: 'follow a run until it is complete: the page is drawn again when results arrive',
  },
  slurm: {
    type: 'boolean',
    group: cluster,
    describe: 'submit the stages as job arrays, or what is missing of them',
  },
  submit: {
    type: 'boolean',
    group: cluster,
    default: true,
    describe: '--no-submit only writes the scripts',
  },
  tasks: {
    type: 'number',
    group: cluster,
    integer: true,
    min: 1,
    max: 10_000,
    describe: 'parts of every array; default: one for each checkpoint',
  },
  partition: { type: 'string', group: cluster, describe: 'partition of the cluster' },
  account: { type: 'string', group: cluster, describe: 'account that is charged' },
  time: { type: 'string', group: cluster, describe: 'limit of a task, for instance 04:00:00' },
  gpus: {
    type: 'string',
    group: cluster,
    describe: 'GPUs of a task that runs models: a number, or TYPE:NUMBER',
  },
} as const satisfies Record<string, OptionSpec>;

export const slurmOptionNames = ['tasks', 'partition', 'account', 'time', 'gpus'] as const;
