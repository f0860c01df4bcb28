// The exact type of the addon: what bindings/*.cc export. Changes here and there go together.

/** A running native job. `promise` settles exactly once; `cancel()` may be called at any time. */
export interface NativeJob<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

/** Called on the JavaScript thread at most ~10 times a second; the last progress always arrives. */
export type NativeProgress = (done: number, total: number, phase: string) => void;

/** Levels of CPU kernels, lowest first. */
export type Isa =
  | 'specification'
  | 'portable'
  | 'avx2'
  | 'avx512'
  | 'avx512_bf16'
  | 'amx'
  | 'amx_fp16'
  | 'amx_emulated'
  | 'amx_fp16_emulated';

/**
 * How matrix products run. `exact`: fp32-faithful. `fast`: one bf16 term per operand with fp32
 * sums, on levels with bf16 instructions (avx512_bf16, amx, amx_fp16); the same as `exact` on the others.
 */
export type Precision = 'exact' | 'fast';

export interface BuildInfo {
  version: string;
  compiler: string;
  buildType: string;
  napiVersion: number;
  cuda: boolean;
}

export interface CpuFeatures {
  avx2: boolean;
  fma: boolean;
  f16c: boolean;
  avx512f: boolean;
  avx512bw: boolean;
  avx512vl: boolean;
  avx512dq: boolean;
  avx512Bf16: boolean;
  amxTile: boolean;
  amxBf16: boolean;
  amxFp16: boolean;
}

export interface GpuDevice {
  index: number;
  name: string;
  /** For instance `9.0`. */
  computeCapability: string;
  memoryTotalBytes: number;
  /** 0 where it was not asked for. */
  memoryFreeBytes: number;
  /** One sentence on why nothing can be computed on it; null: it is usable. */
  problem: string | null;
}

/** What this build sees of the GPUs. */
export interface GpuProbe {
  /** One sentence: what was found, or why there is nothing. */
  status: string;
  devices: GpuDevice[];
  /** Path of the cuBLASLt that was found; null: headspark's own kernels, which are slower. */
  cublasLt: string | null;
  /** One sentence on what computes matrix products; empty without GPUs. */
  products: string;
}

export interface DeviceInfo {
  cpuName: string;
  architecture: string;
  /** The kernels that run here (see HEADSPARK_ISA). */
  isa: Isa;
  features: CpuFeatures;
  logicalCpus: number;
  physicalCores: number;
  /** The lesser of the affinity mask and the control group's quota. */
  usableThreads: number;
  memoryTotalBytes: number;
  /** What may still be allocated, the control group's limit included. */
  memoryAvailableBytes: number;
  /** CPU quota of the control group in CPUs; null: unlimited. */
  cgroupCpus: number | null;
  cgroupMemoryBytes: number | null;
  gpu: GpuProbe;
}

export interface PeakOptions {
  /** For each of the two measurements, 1 to 60000. */
  milliseconds: number;
  /** 0: all usable threads. */
  threads: number;
  /** Copied per thread and round, 4096 to 2^32. */
  copyBytes: number;
}

export interface PeakResult {
  threads: number;
  isa: Isa;
  /** fp32 operations, 1e9 per second; a fused multiply-add counts as two. */
  fmaGflops: number;
  /** Bytes read plus bytes written, 1e9 per second. */
  copyGbPerS: number;
}

declare const modelBrand: unique symbol;
declare const sweepBrand: unique symbol;

/** An opaque handle of a loaded model. It belongs to the thread that loaded it. */
export interface NativeModel {
  readonly [modelBrand]: true;
}

/** An opaque handle of a prepared ablation sweep. */
export interface NativeSweep {
  readonly [sweepBrand]: true;
}

export interface NativeLoadOptions {
  /** Folder with config.json and safetensors. */
  folder: string;
  /** PEFT LoRA folder, or absent. */
  adapter?: string;
  /** Refuse NaN and infinite weights (one pass over the files). */
  checkValues: boolean;
  /** 0: all usable threads. */
  threads: number;
  /** Workspace budget; 0: a quarter of the free memory. */
  memoryBytes: number;
  /** `cpu` or `cuda:0`. */
  device: string;
  /** Tokens of one micro-batch; 0: chosen by the core. */
  batchTokens: number;
  sharePrefix: boolean;
  precision: Precision;
}

export interface NativeModelInfo {
  architecture: string;
  modelType: string;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  hidden: number;
  intermediate: number;
  vocab: number;
  maxPositions: number;
  parallelBlock: boolean;
  parameterCount: number;
  mappedBytes: number;
  isa: Isa;
  precision: Precision;
  threads: number;
  device: string;
  folder: string;
  adapterFolder: string;
}

/** Ragged rows: row r is values[offsets[r] .. offsets[r + 1]); offsets start at 0 and never fall. */
export interface PackedRows {
  values: Int32Array;
  /** [rows + 1] */
  offsets: Int32Array;
}

/** Pairs as ragged rows, one row a pair in each member. */
export interface PackedPairs {
  clean: PackedRows;
  corrupted: PackedRows;
  correct: PackedRows;
  incorrect: PackedRows;
  continuation: PackedRows;
}

/** Gated heads of several rows (variants, prompts): row r has the heads offsets[r] .. offsets[r + 1]. */
export interface PackedHeads {
  layers: Int32Array;
  heads: Int32Array;
  factors: Float32Array;
  /** [rows + 1] */
  offsets: Int32Array;
}

export interface NativeAttributeOptions {
  pairs: PackedPairs;
  /** Scores are of pairs [begin, end); all are checked. */
  begin: number;
  end: number;
  method: string;
  metric: string;
  igSteps: number;
  igGrid: string;
  kvEdges: string;
  keepPairScores: boolean;
  /** Of `exact`: only edges into destinations [beginColumn, endColumn) are patched; -1: to the last. */
  beginColumn: number;
  endColumn: number;
}

/** Of the pairs asked for. */
export interface NativeAttribution {
  /** [sources, destinations] */
  scores: Float32Array;
  /** [pairs, edges], or null. */
  pairScores: Float32Array | null;
  /** [pairs] */
  clean: Float32Array;
  /** [pairs] */
  corrupted: Float32Array;
  fingerprint: string;
}

export interface NativeCircuitOptions {
  pairs: PackedPairs;
  /** Values are of pairs [begin, end); all are checked, and means are of all. */
  begin: number;
  end: number;
  /** [circuits, sources, destinations] of 0 and 1. */
  circuits: Uint8Array;
  metric: string;
  kvEdges: string;
  excluded: string;
}

export interface NativeCircuitValues {
  /** [circuits, pairs] */
  values: Float32Array;
  /** [pairs] */
  clean: Float32Array;
  /** [pairs] */
  corrupted: Float32Array;
}

export interface NativeSweepOptions {
  pairs: PackedPairs;
  metric: string;
  ablation: string;
  positions: string;
}

export interface NativeSweepSharing {
  /** Layers times tokens that a plan computes, summed over rows. */
  layerTokens: number;
  /** The same if every variant ran by itself. */
  unsharedLayerTokens: number;
}

export interface NativeSweepValues {
  /** [variants, pairs] */
  values: Float32Array;
  /** [variants, pairs], 1 where every supervised position has the right token on top. */
  correct: Uint8Array;
}

export interface NativeLogitsOptions {
  prompts: PackedRows;
  /** One row: the same gates for every prompt. */
  heads: PackedHeads;
  allPositions: boolean;
}

export interface NativeHeadPropertiesOptions {
  prompts: PackedRows;
  /** Like `prompts`: for every token the bits of its classes. */
  classes: PackedRows;
  /** One row per answer, prompt by prompt. */
  correct: PackedRows;
  incorrect: PackedRows;
  /** [prompts] answers, at the last tokens of each. */
  answerCounts: Int32Array;
  /** [heads] ascending by layer, then head. */
  layers: Int32Array;
  heads: Int32Array;
  /** Maps to return: prompt and index into the heads. */
  mapPrompts: Int32Array;
  mapHeads: Int32Array;
  classCount: number;
  queries: string;
  copying: boolean;
}

export interface NativeHeadProperties {
  columns: number;
  /** [prompts, heads, columns]; NaN where nothing counts. */
  values: Float32Array;
  /** [prompts, columns] under uniform attention. */
  uniform: Float32Array;
  /** [heads], or empty. */
  copying: Float32Array;
  /** The maps one after the other, each [tokens, tokens] of its prompt. */
  maps: Float32Array;
}

export interface NativeGenerationOptions {
  /** Rows decoded together, 1 to 65536. */
  maxRows: number;
  /** Budget for keys, values and workspace; 0: the model's workspace budget. */
  memoryBytes: number;
  /** [layers, rows, heads, headDim] r of the gates; absent: zero. */
  replacement?: Float32Array;
}

/** Requests with one row or value each (seeds: two). */
export interface PackedGenerationRequests {
  prompts: PackedRows;
  heads: PackedHeads;
  stopTokens: PackedRows;
  /** 0 all, 1 prompt, 2 generated. */
  positions: Uint8Array;
  temperature: Float32Array;
  topP: Float32Array;
  minP: Float32Array;
  repetitionPenalty: Float32Array;
  topK: Int32Array;
  maxNewTokens: Int32Array;
  /** Low and high 32 bits of each seed. */
  seeds: Int32Array;
  /** Begin, length and loop of each request's rows of the replacement. */
  replacements: Int32Array;
  /** [requests], 1 where log probabilities are asked for. */
  logProbs: Uint8Array;
}

export interface NativeActivationsOptions {
  sequences: PackedRows;
  /** `mean`, `mean-per-position` or `tokens`. */
  rows: string;
  writeNorms: boolean;
}

export interface NativeActivations {
  rows: number;
  /** [layers, rows, heads, headDim] */
  z: Float32Array;
  /** [layers, heads], or empty. */
  writeNorms: Float32Array;
}

export interface NativeGenerationStats {
  /** Decode passes. */
  steps: number;
  /** Tokens fed to them. */
  decodedTokens: number;
  /** Prompt tokens times the layers they ran through. */
  prefilledLayerTokens: number;
  /** Rows that gave up their pages and were computed again. */
  preemptions: number;
  mostPagesUsed: number;
  pageCapacity: number;
}

/** A running generation. Requests are numbered from 0 in the order in which they were added. */
export interface NativeGeneration extends NativeJob<NativeGenerationStats> {
  add(requests: PackedGenerationRequests): void;
  /** Ends requests without an event. */
  stop(requests: { requests: Int32Array }): void;
  /** No more requests will come: the promise resolves when all have ended. */
  end(): void;
  /**
   * `events`: triples (request, token or -1, finish: 0 none, 1 stop token, 2 length, 3 context);
   * `margins`: one an event, the largest logit minus the second of a greedy token, else -1.
   * `logProbs`: one an event, above 0 where the request did not ask.
   */
  take(): { events: Int32Array; margins: Float32Array; logProbs: Float32Array };
}

/** As MeansRequest of lib/diff/weighted-means.ts. */
export interface NativeWeightedMeans {
  /** [pairs, columns], finite. */
  values: Float32Array;
  /** [rows, pairs] below 2^29, no row all 0. */
  weights: Uint32Array;
  rows: number;
  /** [rows, columns], written. */
  means: Float32Array;
}

/** As ResampledHeadsRequest of lib/diff/resampled-heads.ts; the graph's sizes are of its shape. */
export interface NativeResampledHeads extends NativeWeightedMeans {
  layers: number;
  heads: number;
  keyValueHeads: number;
  parallelBlock: boolean;
  kvEdges: string;
  rule: string;
  ranking: string;
  prune: boolean;
  n?: number;
  tau?: number | undefined;
  /** [rows, layers * heads], written. */
  masks: Uint8Array;
  /** [rows, layers * heads], written. */
  importances: Float64Array;
}

export interface NativeAddon {
  readonly version: string;
  buildInfo(): BuildInfo;
  /** @param freeMemory asks each GPU, which makes the process take some memory of it. */
  deviceInfo(freeMemory?: boolean): DeviceInfo;
  /**
   * A level of kernels above the one that is chosen, which runs here though the processor does not
   * announce it, as in some virtual machines: HEADSPARK_ISA may name it. Null where there is none. It is
   * found by trying an instruction.
   */
  hiddenIsa(): Isa | null;
  measurePeak(options: PeakOptions, onProgress?: NativeProgress): NativeJob<PeakResult>;
  weightedMeans(request: NativeWeightedMeans): void;
  resampledHeads(request: NativeResampledHeads): void;

  loadModel(options: NativeLoadOptions, onProgress?: NativeProgress): NativeJob<NativeModel>;
  withAdapter(
    model: NativeModel,
    options: { folder: string; checkValues: boolean },
    onProgress?: NativeProgress,
  ): NativeJob<NativeModel>;
  modelInfo(model: NativeModel): NativeModelInfo;
  /** Content hash; the first call of a base model reads all its weights. */
  fingerprint(model: NativeModel): string;
  /** A handle of its own to the same model, which lasts where the first is released. */
  shareModel(model: NativeModel): NativeModel;
  /** Drops the handle's hold on the model; running jobs keep theirs. Later use is an error. */
  releaseModel(model: NativeModel): void;

  attribute(
    model: NativeModel,
    options: NativeAttributeOptions,
    onProgress?: NativeProgress,
  ): NativeJob<NativeAttribution>;
  evaluateCircuits(
    model: NativeModel,
    options: NativeCircuitOptions,
    onProgress?: NativeProgress,
  ): NativeJob<NativeCircuitValues>;
  createSweep(
    model: NativeModel,
    options: NativeSweepOptions,
    onProgress?: NativeProgress,
  ): NativeJob<NativeSweep>;
  sweepSharing(sweep: NativeSweep, options: { variants: PackedHeads }): NativeSweepSharing;
  runSweep(
    sweep: NativeSweep,
    options: { variants: PackedHeads },
    onProgress?: NativeProgress,
  ): NativeJob<NativeSweepValues>;
  releaseSweep(sweep: NativeSweep): void;
  computeLogits(
    model: NativeModel,
    options: NativeLogitsOptions,
    onProgress?: NativeProgress,
  ): NativeJob<Float32Array>;
  headProperties(
    model: NativeModel,
    options: NativeHeadPropertiesOptions,
    onProgress?: NativeProgress,
  ): NativeJob<NativeHeadProperties>;
  headActivations(
    model: NativeModel,
    options: NativeActivationsOptions,
    onProgress?: NativeProgress,
  ): NativeJob<NativeActivations>;
  /** `onWake` is called when there is something to take. */
  createGeneration(
    model: NativeModel,
    options: NativeGenerationOptions,
    onWake: () => void,
  ): NativeGeneration;
}
