// The public API: everything that `import … from 'headspark'` gives.
export * from './ablation-sweep.js';
export * from './ablation.js';
export * from './answers/index.js';
export * from './attribution.js';
export * from './benchmarks/index.js';
export * from './chat-template.js';
export { loadCheckpointText } from './checkpoint-text.js';
export type { CheckpointText, LoadTextOptions } from './checkpoint-text.js';
export * from './circuit-diff.js';
export * from './circuit-evaluation.js';
export * from './circuit/index.js';
export * from './device-choice.js';
export { runDemo } from './demo/run-demo.js';
export type { DemoCircuit, DemoOptions, DemoResult, DemoTest } from './demo/run-demo.js';
export * from './diff-report.js';
export * from './diff/index.js';
export * from './doctor.js';
export { ERROR_CODES, HeadsparkError, isHeadsparkError } from './errors.js';
export type { ErrorCode } from './errors.js';
export * from './evaluation.js';
export * from './failures/index.js';
export * from './formats/index.js';
export * from './generate.js';
export * from './generation-types.js';
export { generate } from './generation.js';
export * from './head-effects.js';
export * from './head-activations.js';
export {
  allHeads,
  checkFactors,
  checkGate,
  checkHeads,
  checkVariants,
  compareHeads,
  formatGate,
  formatHead,
  formatHeads,
  gatePositions,
  gateReplacements,
  largestFactor,
  parseHeads,
  parseHeadSets,
  uniqueHeads,
} from './head-gate.js';
export type {
  AblationVariant,
  GatePositions,
  GateReplacement,
  HeadGateSpec,
  HeadRef,
  HeadShape,
} from './head-gate.js';
export * from './head-properties.js';
export { readHeadSets } from './head-sets.js';
export * from './heads/index.js';
export * from './logits.js';
export * from './model.js';
export type { JobOptions, JobProgress } from './native.js';
export * from './native-resampling.js';
export * from './pairs.js';
export * from './prompts.js';
export * from './report/index.js';
export * from './shard.js';
export * from './stats/index.js';
export * from './study/index.js';
export * from './tasks/index.js';
export * from './tracking/index.js';
export { loadTokenizer, Tokenizer } from './tokenizer.js';
export type {
  DecodeOptions,
  EncodeOptions,
  SpecialTokenName,
  TokenizerFiles,
} from './tokenizer.js';
export { version } from './version.js';

// Types that those above name.
export type { VariantPlan } from './ablation/run.js';
export type { CallbackResult } from './callbacks.js';
export type { DemoCheckpoint } from './demo/checkpoints.js';
export type { CircuitEdge, CircuitSummaryFile } from './study/stages/circuit.js';
export type { EvaluationFile } from './study/stages/evaluation.js';
export type { HubOptions, HubProgress } from './checkpoint-source.js';
export type { EdgeList } from './circuit/prune.js';
export type { LoopOptions, ResamplingOptions } from './diff/resample.js';
export type {
  AtK,
  ControlsComparison,
  EvaluationVariant,
  NearestTie,
  NearTie,
  NearTies,
  PowerLine,
  StatisticsOptions,
  TestedChange,
} from './evaluation/types.js';
export type {
  BuildInfo,
  CpuFeatures,
  DeviceInfo,
  GpuDevice,
  GpuProbe,
  Isa,
  PeakResult,
  Precision,
} from './native-types.js';
export type { RunningStage } from './study/running.js';
export type { Estimate } from './study/estimate.js';
export type { ManifestCheckpoint, ManifestStage } from './study/manifest.js';
export type { PoolOptions } from './study/model-pool.js';
export type { Kept, KindStatus, NodeState } from './study/plan-study.js';
export type { TaskState } from './study/slurm/status.js';
export type {
  AblationSpec,
  AttributionSettings,
  BenchmarkSpec,
  Checkpoint as StudyCheckpoint,
  ChosenCheckpoints,
  HeadsSpec,
  LogReduction,
  LogSpec,
  PairsInput,
  PromptForm as StudyPromptForm,
  SamplingSettings,
  Series as StudySeries,
  SlurmSettings,
  SlurmTask,
  StatisticsSettings,
  Task as StudyTask,
} from './study/study.js';
export type { Operator } from './tasks/arithmetic.js';
