// Comparing peers: the line protocol, turns, warm-up, failures, ratios, and random pairs.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { benchScript } from './scripts.js';

const { Worker } = await benchScript('compare/worker.mjs');
const { compareTask, median, wantedTasks } = await benchScript('compare/measure.mjs');
const { findPeers, parseCpuList } = await benchScript('compare/peers.mjs');
const { makePairs } = await benchScript('pairs.mjs');
const { comparisonTable, formatMs } = await benchScript('tables.mjs');

const fakePeer = path.join(path.dirname(fileURLToPath(import.meta.url)), 'fake-peer.mjs');
const workers: any[] = [];
function start(...args: string[]) {
  const worker = new Worker([process.execPath, fakePeer, ...args], { FAKE_SETTING: 'pinned' });
  workers.push(worker);
  return worker;
}
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.close();
});

describe('a worker', () => {
  it('announces itself and answers task by task', async () => {
    const worker = start();
    expect(await worker.start()).toMatchObject({ peer: 'fake 1.0', settings: 'pinned' });
    expect(await worker.run('work', '3')).toEqual({ seconds: 3 });
    expect(await worker.run('work', 'fail')).toEqual({ error: 'RuntimeError: out of memory' });
    expect(await worker.run('work', '0.5')).toMatchObject({ seconds: 0.5 });
  });

  it('says why it could not start', async () => {
    await expect(start('broken').start()).rejects.toThrow('ended with code 3: No module named');
    const missing = new Worker(['/no/such/program']);
    workers.push(missing);
    await expect(missing.start()).rejects.toThrow(/could not be started.*ENOENT/);
  });

  it('can be ended in the middle of a run', async () => {
    const worker = start();
    await worker.start();
    worker.kill();
    expect(await worker.run('work', '3')).toEqual({ error: 'ended with SIGKILL' });
  });

  it('that dies fails its task and all later ones', async () => {
    const worker = start();
    await worker.start();
    expect(await worker.run('work', 'die')).toEqual({ error: 'ended with code 4' });
    expect(await worker.run('work', '3')).toEqual({ error: 'ended with code 4' });
  });
});

describe('a comparison', () => {
  /** A contender whose runs take the given times, one after the other, then 1 s. */
  function contender(name: string, times: number[], log: string[], rest = {}) {
    const run = () => {
      log.push(name);
      return Promise.resolve({ seconds: times.shift() ?? 1 });
    };
    return { worker: { run }, peer: name, task: 't', variant: 'v', ...rest };
  }

  it('gives a short task as many runs a turn whether its first one packed weights or not', async () => {
    const log: string[] = [];
    const short = Array.from({ length: 60 }, () => 0.01);
    const list = [contender('a', [0.2, ...short], log), contender('b', [0.02, ...short], log)];
    const { contenders } = await compareTask('t', list, { rounds: 2 });
    expect(contenders.map((each: { runs: number }) => each.runs)).toEqual([40, 40]);
    expect(contenders[0]).toMatchObject({ maxMs: 10 });
    expect(log.join('')).toMatch(/^aabba{20}b{20}a{20}b{20}$/);
  });

  it('runs contenders in turn, drops warm-ups, and gives ratios of medians', async () => {
    const log: string[] = [];
    const list = [contender('a', [9e-1, 1, 3, 2], log), contender('b', [1.5, 4, 4, 5], log)];
    const { contenders } = await compareTask('t', list, { rounds: 3 });
    expect(log.join('')).toBe('abababab');
    expect(contenders[0]).toMatchObject({ medianMs: 2000, minMs: 1000, maxMs: 3000, runs: 3 });
    expect(contenders[1]).toMatchObject({
      medianMs: 4000,
      runs: 3,
      ratios: { v: { median: 2, minimum: 4 } },
    });
  });

  it('gives ratios to every variant of the first peer', async () => {
    const [a, b, c] = [
      [1, 4],
      [1, 2],
      [1, 8],
    ].map((times) => contender('a', times, []));
    const list = [a, { ...b, variant: 'fast' }, { ...c, peer: 'other', variant: 'f32' }];
    const comparison = await compareTask('t', list, { rounds: 1 });
    expect(comparison.contenders[2].ratios).toEqual({
      v: { median: 2, minimum: 2 },
      fast: { median: 4, minimum: 4 },
    });
    expect(comparisonTable([comparison])).toMatch(/of v .*of fast.*\n.*\n(.*\n)*.*2.00x.*4.00x/);
  });

  it('counts the first run of long tasks and runs very long ones once', async () => {
    const log: string[] = [];
    const list = [contender('a', [5, 5, 5], log), contender('b', [50], log)];
    const { contenders } = await compareTask('t', list, { rounds: 3 });
    expect(log.join('')).toBe('abaa');
    expect(contenders.map((c: any) => c.runs)).toEqual([3, 1]);
    expect(contenders[1].ratios.v.median).toBe(10);
  });

  it('scales and repeats what stands for more of itself', async () => {
    const log: string[] = [];
    const list = [contender('a', [], log), contender('b', [], log, { scale: 270, repeats: 10 })];
    const { contenders } = await compareTask('t', list, { rounds: 2 });
    expect(contenders[1]).toMatchObject({ medianMs: 270_000, runs: 20 });
  });

  it('goes on without a contender that fails', async () => {
    const worker = start();
    await worker.start();
    const list = ['3', 'fail', 'die'].map((variant) => ({
      worker,
      peer: 'fake',
      task: 'work',
      variant,
    }));
    const { contenders } = await compareTask('work', list.slice(0, 2), { rounds: 2 });
    expect(contenders[0]).toMatchObject({ runs: 2 });
    expect(contenders[1]).toMatchObject({ error: 'RuntimeError: out of memory' });
    expect(contenders[1].ratios).toBeUndefined();
    expect(comparisonTable([{ task: 'work', contenders }])).toMatch(/out of memory/);
  });

  it('has the usual median', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
});

it('takes tasks in the order of the filter', () => {
  const tasks = ['linear 8', 'attention forward 64', 'attention forward 512', 'eap-ig'];
  expect(wantedTasks(tasks, 'forward 512,attention,linear')).toEqual([
    'attention forward 512',
    'attention forward 64',
    'linear 8',
  ]);
  expect(wantedTasks(tasks, '')).toEqual(tasks);
});

describe('random pairs', () => {
  it('of mixed lengths share nothing and are the same every time', () => {
    const pairs = makePairs('mixed', 1000) as { clean: number[]; corrupted: number[] }[];
    expect(pairs).toEqual(makePairs('mixed', 1000));
    expect(pairs).toHaveLength(16);
    for (const { clean, corrupted } of pairs) {
      expect(corrupted).toHaveLength(clean.length);
      expect(clean[0]).not.toBe(corrupted[0]);
      expect(Math.max(...clean, ...corrupted)).toBeLessThan(1000);
    }
    const tokens = pairs.reduce((sum, { clean }) => sum + clean.length, 0);
    expect(Math.abs(tokens / 16 - 31)).toBeLessThan(1);
  });

  it('as the paper makes them share their prompt, and their answers differ', () => {
    for (const { clean, corrupted, correct, incorrect } of makePairs('paper', 300)) {
      expect(clean).toHaveLength(166);
      expect(corrupted.slice(0, 150)).toEqual(clean.slice(0, 150));
      expect(corrupted[150]).not.toBe(clean[150]);
      expect(correct[0]).not.toBe(incorrect[0]);
    }
  });
});

it('starts no peer with a checkpoint where only single ops are compared', async () => {
  const options = { device: 'cuda:0', threads: 1, wanted: [], modules: '/none', python: '/none' };
  const [{ command }, ...others] = await findPeers(options);
  expect(others).toEqual([]);
  const program = command.findIndex((word: string) => word.endsWith('bench_peer'));
  expect(command.slice(program + 1)).toEqual(['--device', 'cuda:0', '--threads', '1']);
});

it('reads lists of processors as Linux writes them', () => {
  expect(parseCpuList('0-2,5,7-8')).toEqual([0, 1, 2, 5, 7, 8]);
});

it('writes times with three digits', () => {
  expect([0.1234, 1.234, 45.67, 999.4, 1234, 45678].map(formatMs)).toEqual([
    '0.123 ms',
    '1.23 ms',
    '45.7 ms',
    '999 ms',
    '1.23 s',
    '45.7 s',
  ]);
});
