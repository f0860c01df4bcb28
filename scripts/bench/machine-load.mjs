// Whether others were at work when a run began: a figure from a busy machine says so.
import { availableParallelism, loadavg } from 'node:os';

/** Runnable processes, averaged over the last minute. */
export const loadAverage = () => Math.round(loadavg()[0] * 100) / 100;

export const isBusy = (load) => load > availableParallelism() / 2;

export const busyWarning = (load) =>
  `The machine was busy (load ${load} on ${availableParallelism()} processors): times are too long, ` +
  'and ratios favour whoever suffers less from neighbours.';
