// scripts/bench/child: programs with a limit of time.
import { expect, it } from 'vitest';
import { benchScript } from './scripts.js';

const { runChild } = await benchScript('child.mjs');
const piped = { stdio: ['ignore', 'pipe', 'pipe'] };
const node = (text: string, options: object): Promise<unknown> =>
  runChild(process.execPath, ['-e', text], { ...piped, ...options });

it('gives what a program printed and how it ended', async () => {
  const text = "console.log('out'); console.error('err'); process.exitCode = 3";
  expect(await node(text, { seconds: 60 })).toEqual({ code: 3, output: 'out\n', errors: 'err\n' });
});

it('ends a program that takes too long, with what it started', async () => {
  // Its own child would hold the pipe open for a minute.
  const text =
    "require('child_process').spawn('sleep', ['60'], { stdio: 'inherit' }); setTimeout(() => {}, 60000)";
  const begin = performance.now();
  await expect(node(text, { seconds: 0.5 })).rejects.toThrow(/more than 0\.5 s/);
  expect(performance.now() - begin).toBeLessThan(20_000);
});

it('asks a program that takes too long to end, and gives what it printed until then', async () => {
  const text =
    "process.on('SIGTERM', () => { console.log('kept'); process.exit(0); }); console.log('begun'); setInterval(() => {}, 1000)";
  const begin = performance.now();
  const error = await node(text, { seconds: 2 }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ output: 'begun\nkept\n' });
  expect((error as Error).message).toMatch(/more than 2 s/);
  expect(performance.now() - begin).toBeLessThan(14_000);
});

it('ends a program that does not listen', async () => {
  const text = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)";
  const begin = performance.now();
  await expect(node(text, { seconds: 1, grace: 1 })).rejects.toThrow(/more than 1 s/);
  expect(performance.now() - begin).toBeLessThan(14_000);
});

it('says what could not be started, or was ended by a signal', async () => {
  await expect(runChild('/no/such/program', [], piped)).rejects.toThrow(/could not be started/);
  await expect(node("process.kill(process.pid, 'SIGKILL')", {})).rejects.toThrow(/SIGKILL/);
});
