// `auto` goes to a GPU that computes or to the CPU with one sentence; everything else is literal.
import { describe, expect, it } from 'vitest';
import { chooseDevice } from '../../lib/device-choice.js';
import type { GpuDevice } from '../../lib/native-types.js';

const gpu = (index: number, problem: string | null): GpuDevice => ({
  index,
  name: `GPU ${index}`,
  computeCapability: '9.0',
  memoryTotalBytes: 2 ** 36,
  memoryFreeBytes: 2 ** 35,
  problem,
});

describe('chooseDevice', () => {
  it('auto takes the first GPU that computes', () => {
    const devices = [gpu(0, 'its compute capability is 7.5.'), gpu(1, null), gpu(2, null)];
    expect(chooseDevice('auto', () => ({ status: '3 GPUs', devices }))).toEqual({
      device: 'cuda:1',
    });
  });

  it('auto falls back to the CPU where there is no GPU, with what the probe said', () => {
    const status = 'No GPU is usable: no CUDA-capable device is detected.';
    expect(chooseDevice('auto', () => ({ status, devices: [] }))).toEqual({
      device: 'cpu',
      reason: status,
    });
  });

  it('auto falls back to the CPU where GPUs are there but none computes', () => {
    const choice = chooseDevice('auto', () => ({
      status: '1 GPU found.',
      devices: [gpu(0, 'it is in exclusive use by another process.')],
    }));
    expect(choice.device).toBe('cpu');
    expect(choice.reason).toMatch(/GPU 0 .* is not used: it is in exclusive use/);
  });

  it('a named device is taken at its word, without a look at the machine', () => {
    const probe = (): never => {
      throw new Error('probed');
    };
    expect(chooseDevice('cpu', probe)).toEqual({ device: 'cpu' });
    expect(chooseDevice('cuda', probe)).toEqual({ device: 'cuda:0' });
    expect(chooseDevice('cuda:12', probe)).toEqual({ device: 'cuda:12' });
    for (const text of ['gpu', 'cuda:', 'cuda:1000', 'cuda:00', 'CPU', '']) {
      expect(() => chooseDevice(text, probe)).toThrow(/must be cpu, auto or cuda:N/);
    }
  });
});
