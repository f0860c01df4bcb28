// Failure modes of generated answers. No addon needed.

export * from './arithmetic.js';
export * from './form.js';
export * from './loops.js';
export * from './sample.js';
export { failureModes, findFlips, summarizeFailures } from './summary.js';
export type { FailureMode, FailureRate, FailureSummary, Flip, FlipSample } from './summary.js';
