// What heads do: pure functions on tokens, tables and correlations. The measurement itself is
// lib/head-properties.ts.
export * from './correlation.js';
export * from './effects.js';
export * from './profile.js';
export * from './properties.js';
export * from './token-classes.js';
export type * from './types.js';
export { headQueries } from './types.js';
