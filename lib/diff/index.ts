// Differences between circuits, how sure they are, and controls for ablating what emerged.

export * from './bootstrap-diff.js';
export * from './circuit-diff.js';
export * from './matched-controls.js';
export * from './norm-matched-controls.js';
export * from './null-diff.js';
export {
  resampledHeads,
  type HeadView,
  type ResampledHeads,
  type ResampledHeadsRequest,
} from './resampled-heads.js';
export { headStatus, type HeadStatus } from './sets.js';
export { weightedMeans, type MeansRequest, type WeightedMeans } from './weighted-means.js';
