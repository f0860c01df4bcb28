// The door itself: the addon loads, describes the machine, explains a failure to load, and keeps
// working when it is loaded twice and in worker threads that end in mid-run.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { callNative, loadAddon, native } from '../../lib/native.js';
import { packageRoot, version } from '../../lib/version.js';

const require = createRequire(import.meta.url);
const resolveAddon = require('node-gyp-build') as { resolve(root: string): string };
const addonFile = resolveAddon.resolve(packageRoot);
const workerFile = fileURLToPath(new URL('loading-worker.mjs', import.meta.url));

type Mode = 'measure' | 'hang' | 'twice';

function startWorker(mode: Mode, milliseconds: number): Worker {
  return new Worker(workerFile, { workerData: { addonFile, mode, milliseconds } });
}

function firstMessage(worker: Worker): Promise<any> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code} and no message`)));
  });
}

describe('loading', () => {
  it('has the version of the package and Node-API 9', () => {
    const info = native().buildInfo();
    expect(native().version).toBe(version);
    expect(info).toMatchObject({ version, napiVersion: 9 });
    expect(info.compiler).toMatch(/\S+ \d+/);
  });

  it('is the same object every time', () => {
    expect(native()).toBe(native());
  });

  it('reports a load failure once, with the platform and the fix', () => {
    const empty = mkdtempSync(path.join(os.tmpdir(), 'headspark-empty-'));
    try {
      expect(() => loadAddon(empty)).toThrowError(
        expect.objectContaining({
          code: 'ERR_HEADSPARK_NATIVE_LOAD',
          message: expect.stringMatching(/cannot be loaded .*npm rebuild headspark/),
          cause: expect.anything(),
        }),
      );
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});

describe('deviceInfo', () => {
  it('describes this machine consistently', () => {
    const info = native().deviceInfo();
    expect(info.cpuName).not.toBe('');
    expect(info.usableThreads).toBeGreaterThanOrEqual(1);
    expect(info.usableThreads).toBeLessThanOrEqual(info.logicalCpus);
    expect(info.physicalCores).toBeLessThanOrEqual(info.logicalCpus);
    expect(info.memoryTotalBytes / os.totalmem()).toBeCloseTo(1, 1);
    expect(info.memoryAvailableBytes).toBeGreaterThan(0);
    expect(info.memoryAvailableBytes).toBeLessThanOrEqual(info.memoryTotalBytes);
    expect(info.gpu.status).not.toBe('');
  });

  it('agrees with the flags that the kernel lists', () => {
    const listed = spawnSync('grep', ['-m1', '^flags', '/proc/cpuinfo'], { encoding: 'utf8' }).stdout;
    if (!listed) return expect(process.arch === 'x64' && process.platform === 'linux').toBe(false);
    const { features } = native().deviceInfo();
    const has = (flag: string) => listed.split(/\s+/).includes(flag);
    expect(features).toMatchObject({
      avx2: has('avx2'),
      fma: has('fma'),
      f16c: has('f16c'),
      avx512f: has('avx512f'),
      avx512bw: has('avx512bw'),
      avx512Bf16: has('avx512_bf16'),
    });
  });

  it('obeys HEADSPARK_ISA and refuses what it does not know', () => {
    const isa = (value: string) =>
      spawnSync(
        process.execPath,
        [
          '-e',
          'try { console.log(require(process.argv[1]).deviceInfo().isa) } catch (e) { console.log(e.code, e.message) }',
          addonFile,
        ],
        { encoding: 'utf8', env: { ...process.env, HEADSPARK_ISA: value } },
      ).stdout.trim();
    expect(isa('portable')).toBe('portable');
    expect(isa('specification')).toBe('specification');
    expect(isa('sse9')).toMatch(/^ERR_HEADSPARK_INVALID_ARGUMENT .*HEADSPARK_ISA is 'sse9'/);
  });
});

describe('arguments', () => {
  const valid = { milliseconds: 1, threads: 1, copyBytes: 4096 };

  it.each([
    ['no options', undefined, 'measurePeak takes an options object'],
    ['a fraction', { ...valid, milliseconds: 1.5 }, "'milliseconds' must be an integer"],
    ['NaN', { ...valid, threads: Number.NaN }, "'threads' must be an integer"],
    ['infinity', { ...valid, copyBytes: Infinity }, "'copyBytes' must be an integer"],
    ['a string', { ...valid, threads: '1' }, "'threads' must be an integer"],
    ['out of range', { ...valid, milliseconds: 60001 }, 'from 1 to 60000'],
    ['a missing field', { milliseconds: 1, threads: 1 }, "'copyBytes' must be"],
  ])('refuses %s', (_name, options, message) => {
    expect(() => callNative((addon) => addon.measurePeak(options as typeof valid))).toThrowError(
      expect.objectContaining({
        name: 'HeadsparkError',
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('refuses an onProgress that is not a function', () => {
    expect(() =>
      callNative((addon) => addon.measurePeak(valid, 5 as unknown as () => void)),
    ).toThrowError(/onProgress must be a function/);
  });
});

describe('worker threads', () => {
  it('load the addon and run jobs side by side with the main thread', async () => {
    const workers = [startWorker('measure', 150), startWorker('measure', 150)];
    const own = native().measurePeak({ milliseconds: 50, threads: 1, copyBytes: 1 << 20 });
    const [first, second] = await Promise.all(workers.map(firstMessage));
    const result = await own.promise;
    for (const seen of [first, second, result]) expect(seen.copyGbPerS).toBeGreaterThan(0);
    for (const seen of [first, second]) expect(seen.calls).toBeGreaterThanOrEqual(2);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  it('load it twice in one environment', async () => {
    const worker = startWorker('twice', 20);
    expect(await firstMessage(worker)).toMatchObject({ count: 2 });
    await worker.terminate();
  });

  it('survive being terminated in mid-run, and the device is free afterwards', async () => {
    for (let round = 0; round < 5; round++) {
      const worker = startWorker('hang', 60_000);
      expect(await firstMessage(worker)).toBe('running');
      const started = performance.now();
      await worker.terminate();
      expect(performance.now() - started).toBeLessThan(5000);
    }
    const job = native().measurePeak({ milliseconds: 20, threads: 1, copyBytes: 1 << 20 });
    expect((await job.promise).fmaGflops).toBeGreaterThan(0);
  });

  it('survive being terminated while they wait for the device', async () => {
    const holder = native().measurePeak({ milliseconds: 60_000, threads: 1, copyBytes: 1 << 20 });
    const worker = startWorker('hang', 60_000);
    await new Promise((resolve) => worker.once('online', resolve));
    await new Promise((resolve) => setTimeout(resolve, 150));
    await worker.terminate();
    holder.cancel();
    await expect(holder.promise).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });
});

describe('process exit', () => {
  const run = (tail: string) =>
    spawnSync(
      process.execPath,
      [
        '-e',
        `const addon = require(process.argv[1]);
         const job = addon.measurePeak({ milliseconds: 60000, threads: 1, copyBytes: 4096 });
         ${tail}`,
        addonFile,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );

  it('in mid-run stops the job and ends cleanly', () => {
    const { status, stderr } = run('setTimeout(() => process.exit(7), 100);');
    expect({ status, stderr }).toEqual({ status: 7, stderr: '' });
  });

  it('waits for a running job, and an idle addon keeps nothing alive', () => {
    const { status, stdout } = run(
      `setTimeout(() => job.cancel(), 200).unref();
       job.promise.catch((error) => console.log(error.code));`,
    );
    // The timer is unreferenced, so only the job can have kept the process alive until it fired.
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ERR_HEADSPARK_CANCELLED\n' });
  });
});
