// Ablation of heads in one place: plans, resumable runs, tables. None of it loads the addon.

export * from './ablate.js';
export * from './csv.js';
export * from './merge.js';
export * from './pair-notes.js';
export * from './plan.js';
export * from './row.js';
export * from './run.js';
export * from './share.js';
export * from './shard-journal.js';
export * from './table.js';
export * from './types.js';
export * from './verdict.js';
