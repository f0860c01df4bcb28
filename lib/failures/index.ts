// Failure modes of generated answers. No addon needed.

export * from './arithmetic.js';
export * from './form.js';
export * from './loops.js';
export * from './sample.js';
export * from './summary.js';
