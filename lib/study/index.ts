// Studies: the whole method as one resumable run over many checkpoints.

export { initStudy } from './init-study.js';
export { readManifest, type Manifest } from './manifest.js';
export { mergeRuns, type MergeSummary } from './merge-runs.js';
export {
  planStudy,
  studyStatus,
  type PlannedKind,
  type PlannedNode,
  type PlanOptions,
  type StudyPlan,
  type StudyStatus,
} from './plan-study.js';
export { readStudy } from './read-study.js';
export { runStudy, type RunProgress, type RunStudyOptions, type RunSummary } from './run-study.js';
export type { Study } from './study.js';
