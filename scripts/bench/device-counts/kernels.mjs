// From counted accesses to cycles of units, and from addresses to lines of code.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { UserError } from '../user-error.mjs';

/**
 * What one multiprocessor of an H200 does in a cycle of its 1.98 GHz. Shared memory: a wavefront of
 * 128 bytes. L1: 128 bytes. L2: 64 bytes. Device memory: 4.8 TB/s of 132 of them. Tensor cores: an
 * mma.sync m16n8k16 is 2048 multiply-adds, and they do 2048 a cycle with wgmma, of which mma.sync
 * reaches about 5/8.
 */
const SECTOR = 32;
const PER_CYCLE = { tensor: 5 / 8, shared: 1, l1: 128, l2: 64, device: 4.8e12 / 132 / 1.98e9 };
export const UNITS = Object.keys(PER_CYCLE);

const hexadecimal = (number) => `0x${number.toString(16)}`;
/** Of the call that an address returns from. */
const callOf = ({ caller }) => hexadecimal(BigInt(caller) - 1n);

/** resolve(addresses) for a program: { address: [{ name, line }, …] }, the function and callers. */
export const programLines = (program) => (addresses) => {
  let output;
  try {
    const flags = ['-a', '-f', '-C', '-i', '-e', program];
    output = execFileSync('addr2line', [...flags, ...addresses], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    });
  } catch (error) {
    throw new UserError(`addr2line could not be run (${error.message}); install GNU binutils.`);
  }
  const frames = new Map();
  let current;
  const lines = output.split('\n');
  for (let i = 0; i + 1 < lines.length; ++i) {
    if (lines[i].startsWith('0x')) {
      current = [];
      frames.set(hexadecimal(BigInt(lines[i])), current);
    } else {
      current.push({ name: lines[i], line: lines[++i].replace(/ \(.*/, '') });
    }
  }
  return frames;
};

const sum = (sites, amount) => sites.reduce((total, site) => total + amount(site), 0);

function cyclesOf(kernel) {
  const global = kernel.sites.filter(({ shared }) => !shared);
  const written = sum(
    global.filter(({ write }) => write),
    ({ units }) => units,
  );
  const amounts = {
    tensor: kernel.products,
    shared: sum(kernel.sites, ({ shared, units }) => (shared ? units : 0)),
    l1: SECTOR * sum(global, ({ units }) => units),
    l2: SECTOR * (kernel.blockSectors + written),
    device: SECTOR * kernel.launchSectors,
  };
  return Object.fromEntries(UNITS.map((unit) => [unit, amounts[unit] / PER_CYCLE[unit]]));
}

/** What a kernel function is called without its namespaces and parameters. */
const shortName = (name) =>
  name
    .replace(/headspark::|cuda::|\(anonymous namespace\)::|^void /g, '')
    .replace(/\(.*$/, '')
    .trim();

/** The lines of headspark that led to an access, the innermost first. */
const linesOf = (frames) =>
  frames
    .map(({ line }) => line)
    .filter((line) => line.includes('/native/src/'))
    .map((line) => path.basename(line));

/**
 * The kernels of a counts file, the busiest first: { name, cycles: { unit: … }, sites, … }. `resolve`
 * finds the lines of addresses (programLines).
 */
export function countedKernels(counts, resolve) {
  const addresses = counts.flatMap(({ kernel, sites }) => [kernel, ...sites.map(callOf)]);
  const frames = resolve([...new Set(addresses)]);
  const kernels = counts.map(({ kernel, sites, ...numbers }) => ({
    name: shortName(frames.get(kernel)?.[0]?.name ?? kernel),
    ...numbers,
    cycles: cyclesOf({ sites, ...numbers }),
    sites: sites.map((site) => ({ ...site, lines: linesOf(frames.get(callOf(site)) ?? []) })),
  }));
  const busiest = ({ cycles }) => Math.max(...Object.values(cycles));
  return kernels.sort((a, b) => busiest(b) - busiest(a));
}
