// What can be wrong under `slurm` in the good study file of mistakes.test.ts.

import type { Mistake } from './heads-mistakes.js';

export const slurmMistakes: Record<string, Mistake> = {
  'a time that Slurm does not take': {
    change: ['statistics: {', 'slurm: { time: soon }\nstatistics: {'],
    line: 27,
    says: /slurm\.time: expected minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS, got "soon"/,
  },
  'a partition that would end its line': {
    change: ['statistics: {', 'slurm: { partition: "a\\nb" }\nstatistics: {'],
    line: 27,
    says: /slurm\.partition: expected a text without quotes, backslashes and line breaks/,
  },
  'GPUs that are none': {
    change: ['statistics: {', 'slurm: { gpus: [1] }\nstatistics: {'],
    line: 27,
    says: /slurm\.gpus: expected a text, got a list/,
  },
  'a number of GPUs that is none': {
    change: ['statistics: {', 'slurm: { gpus: 1.5 }\nstatistics: {'],
    line: 27,
    says: /slurm\.gpus: expected a number of GPUs, or TYPE:NUMBER, got 1\.5/,
  },
  'a stage for the cluster that does not exist': {
    change: ['statistics: {', 'slurm: { stages: { diffs: { cpus: 2 } } }\nstatistics: {'],
    line: 27,
    says: /slurm\.stages\.diffs: there is no stage "diffs"; did you mean "diff"/,
  },
  'a setting for a stage that does not exist': {
    change: ['statistics: {', 'slurm: { stages: { diff: { gpu: 2 } } }\nstatistics: {'],
    line: 27,
    says: /slurm\.stages\.diff\.gpu: unknown key; did you mean "gpus"/,
  },
};
