// Evaluation on benchmarks in one place: plans, resumable runs, merging, tables, files. None of it
// loads the addon.

export * from './evaluate.js';
export * from './files.js';
export * from './merge.js';
export * from './near-ties.js';
export * from './plan.js';
export * from './replacements.js';
export * from './run.js';
export * from './table.js';
export type * from './types.js';
