// Reports of study runs: one self-contained page, and the figures as files on request.

export { exportFormats, type ExportFormat } from './export-formats.js';
export type { RunState } from './run-state.js';
export { watchReport, type WatchLook, type WatchOptions, type WatchSummary } from './watch.js';
export { writeReport, type ReportOptions, type ReportSummary } from './write-report.js';
