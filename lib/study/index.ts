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
export { applySlurmOptions, type SlurmOptions } from './slurm/options.js';
export { slurmStatus, type SlurmStatus, type TaskStatus } from './slurm/status.js';
export {
  submitStudy,
  type SubmitStudyOptions,
  type SubmitSummary,
  type SubmittedArray,
} from './slurm/submit.js';
export type { Study } from './study.js';
