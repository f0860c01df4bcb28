// Which device a computation runs on: what a user wrote, checked, and `auto` decided by what this
// build and machine can really use.
import { HeadsparkError } from './errors.js';
import { native } from './native.js';
import { shown } from './option-checks.js';
import type { GpuProbe } from './native-types.js';

export interface DeviceChoice {
  /** `cpu` or `cuda:N`. */
  readonly device: string;
  /** One sentence, given where `auto` means the CPU: why no GPU is used. */
  readonly reason?: string;
}

/** The first GPU that computes, else the CPU with the reason. */
function automatic({ status, devices }: Pick<GpuProbe, 'status' | 'devices'>): DeviceChoice {
  const usable = devices.find(({ problem }) => problem === null);
  if (usable) return { device: `cuda:${usable.index}` };
  if (devices.length === 0) return { device: 'cpu', reason: status };
  const [{ index, name, problem }] = devices;
  return { device: 'cpu', reason: `GPU ${index} (${name}) is not used: ${problem}` };
}

/**
 * Resolves `cpu`, `cuda` (the first GPU), `cuda:N` or `auto`. Only `auto` looks at the machine.
 * @param probe What this build sees of the GPUs; tests give their own.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for any other text.
 */
export function chooseDevice(
  device: string,
  probe: () => Pick<GpuProbe, 'status' | 'devices'> = () => native().deviceInfo(true).gpu,
): DeviceChoice {
  if (device === 'auto') return automatic(probe());
  if (device === 'cuda') return { device: 'cuda:0' };
  if (device === 'cpu' || /^cuda:(0|[1-9]\d{0,2})$/.test(device)) return { device };
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `device is ${shown(device)}; it must be cpu, auto or cuda:N.`,
  );
}
