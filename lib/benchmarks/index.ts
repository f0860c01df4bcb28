// Benchmarks: reading them, and putting their problems to a model. No addon needed.

export * from './prompts.js';
export { benchmarkNames, readBenchmark, type ReadBenchmarkOptions } from './read.js';
export type * from './types.js';
