// Every job of the addon: settles once, reports thinned progress, obeys an AbortSignal while it
// runs, waits or has not begun, and gives its memory back.
import { describe, expect, it } from 'vitest';
import { native, runJob, type JobOptions, type JobProgress } from '../../lib/native.js';

const megabyte = 2 ** 20;

function measure(milliseconds: number, options?: JobOptions, copyBytes = megabyte) {
  return runJob(
    (addon, onProgress) => addon.measurePeak({ milliseconds, threads: 1, copyBytes }, onProgress),
    options,
  );
}

const abortAfter = (delayMs: number, reason?: unknown): AbortSignal => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), delayMs);
  return controller.signal;
};

describe('a job', () => {
  it('resolves with plausible figures', async () => {
    const peak = await measure(60);
    expect(peak.threads).toBe(1);
    expect(peak.isa).toBe(native().deviceInfo().isa);
    expect(peak.fmaGflops).toBeGreaterThan(0.01);
    expect(peak.copyGbPerS).toBeGreaterThan(0.01);
    expect(Number.isFinite(peak.fmaGflops + peak.copyGbPerS)).toBe(true);
  });

  it('reports progress in order, thinned, and always the last one', async () => {
    const seen: JobProgress[] = [];
    const started = performance.now();
    await measure(400, { onProgress: (progress) => seen.push(progress) });
    const seconds = (performance.now() - started) / 1000;
    expect(seen.at(-1)).toEqual({ done: 400, total: 400, phase: 'copy' });
    expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['fma', 'copy']));
    expect(seen.length).toBeGreaterThanOrEqual(3);
    expect(seen.length).toBeLessThanOrEqual(10 * seconds + 3);
    for (const { done, total } of seen) expect(done).toBeLessThanOrEqual(total);
  });

  it('rejects with what onProgress threw, and stops', async () => {
    const thrown = new RangeError('from the callback');
    const started = performance.now();
    const run = measure(30_000, {
      onProgress: () => {
        throw thrown;
      },
    });
    await expect(run).rejects.toBe(thrown);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('cancelling', () => {
  it('in mid-run rejects with ERR_HEADSPARK_CANCELLED and the reason as cause', async () => {
    const reason = new Error('changed my mind');
    const started = performance.now();
    await expect(measure(30_000, { signal: abortAfter(100, reason) })).rejects.toMatchObject({
      name: 'HeadsparkError',
      code: 'ERR_HEADSPARK_CANCELLED',
      cause: reason,
    });
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('before the start runs nothing', async () => {
    const started = performance.now();
    const run = measure(30_000, { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('takes a job out of the queue while another one holds the device', async () => {
    const order: string[] = [];
    const note = (name: string) => () => {
      order.push(name);
    };
    const holder = measure(500).then(note('holder'));
    const waiting = measure(30_000, { signal: abortAfter(50) }).catch(note('waiting cancelled'));
    const next = measure(10).then(note('next'));
    await Promise.all([holder, waiting, next]);
    expect(order).toEqual(['waiting cancelled', 'holder', 'next']);
  });

  it('after the end, and many times, does nothing', async () => {
    const job = native().measurePeak({ milliseconds: 5, threads: 1, copyBytes: 4096 });
    const result = await job.promise;
    job.cancel();
    job.cancel();
    expect(await job.promise).toBe(result);
    const detached = native().measurePeak({ milliseconds: 30_000, threads: 1, copyBytes: 4096 });
    const { cancel } = detached; // works without its object
    cancel();
    await expect(detached.promise).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    await measure(5, { signal });
    expect(listeners).toBe(0);
  });

  it('frees the memory of aborted jobs', async () => {
    const bytes = 64 * megabyte; // twice that per job: source and target
    const abortOne = async () => {
      const controller = new AbortController();
      const onProgress = ({ phase }: JobProgress) => {
        if (phase === 'copy') controller.abort();
      };
      const run = measure(150, { signal: controller.signal, onProgress }, bytes);
      await run.catch((error: { code?: string }) => {
        expect(error.code).toBe('ERR_HEADSPARK_CANCELLED');
      });
      expect(controller.signal.aborted).toBe(true);
    };
    await abortOne();
    const before = process.memoryUsage.rss();
    for (let round = 0; round < 8; round++) await abortOne();
    // Eight leaked jobs would hold 1 GiB.
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * megabyte);
  });
});

describe('many jobs', () => {
  it('run one after the other, in the order they were started', async () => {
    const order: number[] = [];
    const runs = Array.from({ length: 12 }, (_, index) => measure(5).then(() => order.push(index)));
    await Promise.all(runs);
    expect(order).toEqual(Array.from({ length: 12 }, (_, index) => index));
  });

  it('do not occupy the threads that files and name look-ups use', async () => {
    const { readFile } = await import('node:fs/promises');
    const controller = new AbortController();
    const runs = Array.from({ length: 8 }, () =>
      measure(10_000, { signal: controller.signal }).catch((error: unknown) => error),
    );
    const started = performance.now();
    await readFile(new URL(import.meta.url));
    expect(performance.now() - started).toBeLessThan(5000);
    controller.abort();
    for (const outcome of await Promise.all(runs)) {
      expect(outcome).toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    }
  });
});
