// The statistics that headspark uses, in one place. Pure TypeScript; all of it is deterministic
// for a given seed.

export * from './binomial.js';
export {
  bootstrapMean,
  bootstrapPairedDifference,
  bootstrapStatistic,
  pairedDifferences,
  resampleWeights,
  standardError,
} from './bootstrap.js';
export type { BootstrapOptions } from './bootstrap.js';
export * from './hypergeometric.js';
export * from './kaplan-meier.js';
export * from './normal.js';
export * from './paired-shares.js';
export * from './pass-at-k.js';
export { pairedPermutationTest } from './permutation.js';
export type { PermutationOptions, PermutationResult } from './permutation.js';
export * from './power.js';
export * from './proportion.js';
export * from './quantile.js';
export * from './random.js';
export * from './rounding.js';
export * from './several-tests.js';
export { bootstrapShare, shareChangeInterval } from './shares.js';
export type { ShareChangeOptions } from './shares.js';
export * from './spearman.js';
export * from './two-samples.js';
