// Heads over the checkpoints of training runs, and training runs side by side.

export * from './cohorts.js';
export * from './depth.js';
export * from './log-correlation.js';
export * from './overlap.js';
export * from './series.js';
