// The exact type of the addon: what bindings/*.cc export. Changes here and there go together.

/** A running native job. `promise` settles exactly once; `cancel()` may be called at any time. */
export interface NativeJob<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

/** Called on the JavaScript thread at most ~10 times a second; the last progress always arrives. */
export type NativeProgress = (done: number, total: number, phase: string) => void;

/** Levels of CPU kernels, lowest first. */
export type Isa = 'specification' | 'portable' | 'avx2' | 'avx512' | 'amx';

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
}

export interface GpuDevice {
  index: number;
  name: string;
  /** For instance `9.0`. */
  computeCapability: string;
  memoryTotalBytes: number;
  memoryFreeBytes: number;
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
  gpu: { status: string; devices: GpuDevice[] };
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

export interface NativeAddon {
  readonly version: string;
  buildInfo(): BuildInfo;
  deviceInfo(): DeviceInfo;
  measurePeak(options: PeakOptions, onProgress?: NativeProgress): NativeJob<PeakResult>;
}
