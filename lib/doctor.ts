// What this machine has and what headspark makes of it: processor, kernels, memory, GPUs, versions.
import { callNative, runJob, type JobOptions } from './native.js';
import type { BuildInfo, DeviceInfo, Isa, PeakResult } from './native-types.js';
import { checkOptionNames, optionNames, wholeNumber } from './option-checks.js';
import { version } from './version.js';

/** What headspark runs on here. */
export interface DoctorReport {
  readonly versions: {
    readonly headspark: string;
    readonly node: string;
    readonly platform: string;
  };
  readonly build: BuildInfo;
  readonly device: DeviceInfo;
  /**
   * Kernels above those of `device.isa` that run here though the processor does not announce them;
   * HEADSPARK_ISA may name them. Null where there are none.
   */
  readonly hiddenIsa: Isa | null;
}

/** What the speed of this machine is measured with. */
export interface MeasurePeakOptions extends JobOptions {
  /** 0 (the default): all that this process may use. */
  readonly threads?: number | undefined;
}

const measureMs = 1000;
const copyBytes = 64 * 2 ** 20;

/**
 * Describes the machine. Asks each GPU for its free memory, which takes some of it for this process.
 * @throws ERR_HEADSPARK_NATIVE_LOAD where the addon cannot be loaded, with what to do.
 */
export function doctor(): Promise<DoctorReport> {
  const versions = { headspark: version, node: process.version, platform: process.platform };
  const report = (): DoctorReport =>
    callNative((addon) => ({
      versions,
      build: addon.buildInfo(),
      device: addon.deviceInfo(true),
      hiddenIsa: addon.hiddenIsa(),
    }));
  return Promise.resolve().then(report);
}

const peakOptions = optionNames<MeasurePeakOptions>({
  threads: true,
  signal: true,
  onProgress: true,
});

/**
 * Measures what the processor can do at most, for some two seconds: fp32 arithmetic and copying.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT, _CANCELLED.
 */
export async function measurePeak(options: MeasurePeakOptions = {}): Promise<PeakResult> {
  checkOptionNames('measurePeak', options, peakOptions);
  const threads = wholeNumber('threads', options.threads, { low: 0, high: 1024, fallback: 0 });
  const request = { milliseconds: measureMs, threads, copyBytes };
  return runJob((addon, onProgress) => addon.measurePeak(request, onProgress), options);
}
