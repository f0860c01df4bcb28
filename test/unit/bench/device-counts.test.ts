// Counts of the emulated device as cycles, and as a table: numbers small enough to reckon by hand.
import { describe, expect, it } from 'vitest';
import { benchScript } from './scripts.js';

const { countedKernels } = await benchScript('device-counts/kernels.mjs');
const { countsTable } = await benchScript('device-counts/table.mjs');

const site = (over: object) => ({
  ...{ caller: '0x21', shared: false, write: false, warps: 1, lanes: 32, bytes: 128 },
  ...{ units: 4, needed: 4 },
  ...over,
});
const kernel = (over: object) => ({
  ...{ kernel: '0x10', launches: 1, blocks: 2, threads: 32, sharedBytes: 0, products: 10 },
  ...{ blockSectors: 8, launchSectors: 4, sites: [] as object[] },
  ...over,
});

/** What addr2line would say of addresses 0x10, the kernel, and of every other. */
const resolve = (addresses: string[]) =>
  new Map(
    addresses.map((address) => [
      address,
      address === '0x10'
        ? [{ name: 'void headspark::(anonymous namespace)::some_kernel<1, 64>(Params)', line: '' }]
        : [
            { name: 'load', line: '/x/native/test/cuda_emulation/device.h:9' },
            { name: 'body', line: '/x/native/src/cuda/some.cu:12' },
          ],
    ]),
  );

describe('bench:device-counts', () => {
  it('gives the cycles of each unit', () => {
    const sites = [
      site({ caller: '0x21', units: 32 }),
      site({ caller: '0x31', write: true, units: 8 }),
      site({ caller: '0x41', shared: true, units: 6, needed: 2 }),
    ];
    const [counted] = countedKernels([kernel({ sites })], resolve);
    expect(counted.name).toBe('some_kernel<1, 64>');
    expect(counted.cycles.tensor).toBeCloseTo(16);
    expect(counted.cycles.shared).toBe(6);
    expect(counted.cycles.l1).toBe((32 * 40) / 128);
    expect(counted.cycles.l2).toBe((32 * (8 + 8)) / 64);
    expect(counted.cycles.device).toBeCloseTo((32 * 4) / (4.8e12 / 132 / 1.98e9));
    expect(counted.sites[0].lines).toEqual(['some.cu:12']);
  });

  it('puts the busiest kernel first and names the lines that waste', () => {
    const wasteful = kernel({ products: 100, sites: [site({ units: 4000, needed: 500 })] });
    const kernels = countedKernels([kernel({}), wasteful], resolve);
    expect(kernels.map(({ products }: { products: number }) => products)).toEqual([100, 10]);
    const table = countsTable(kernels, 3);
    expect(table).toContain('some.cu:12 reads 4000 sectors for 500');
    expect(table.match(/sectors for/g)).toHaveLength(1);
    expect(countsTable(kernels, 0)).not.toContain('sectors for');
  });
});
