// What a run's manifest says of the machine.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { gpuName } from '../../../lib/study/facts.js';
import { checkBegunAlike, readManifest, writeManifest } from '../../../lib/study/manifest.js';
import { largeStudy } from '../report/large-study.js';

const { manifest } = largeStudy(0.02);

let run: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'headspark-manifest-'));
});
afterEach(() => rm(run, { recursive: true }));

it('names the GPU that the device is', () => {
  const devices = [
    { index: 0, name: 'NVIDIA A100', computeCapability: '8.0' },
    { index: 10, name: 'NVIDIA H200', computeCapability: '9.0' },
  ];
  expect(gpuName('cuda:10', devices)).toBe('NVIDIA H200, compute 9.0');
  expect(gpuName('cuda:1', devices)).toBeNull();
  expect(gpuName('cpu', devices)).toBeNull();
});

it('keeps the GPU when a task without one goes on with the run', async () => {
  const write = (device: string, gpu: string | null) =>
    writeManifest(run, { ...manifest, device, gpu }, 'study: large');
  const gpu = async () => (await readManifest(run)).gpu;
  await write('cuda:0', null);
  expect(await gpu()).toBeNull();
  await write('cuda:0', 'NVIDIA H200, compute 9.0');
  await write('cuda:0', null);
  expect(await gpu()).toBe('NVIDIA H200, compute 9.0');
  await write('cuda:0', 'NVIDIA A100, compute 8.0');
  expect(await gpu()).toBe('NVIDIA A100, compute 8.0');
  await write('cpu', null);
  expect(await gpu()).toBeNull();
});

it('refuses to go on with a run on another kind of GPU', async () => {
  const on = (gpu: string | null) => ({ ...manifest, device: 'cuda:0', gpu });
  await writeManifest(run, on('NVIDIA A100, compute 8.0'), 'study: large');
  const check = (gpu: string | null) => checkBegunAlike(run, on(gpu), 'study: large');
  await check('NVIDIA A100, compute 8.0');
  await check(null);
  const other = check('NVIDIA H200, compute 9.0');
  await expect(other).rejects.toMatchObject({ code: 'ERR_HEADSPARK_SETTINGS_MISMATCH' });
  await expect(other).rejects.toThrow(
    /begun with gpu NVIDIA A100, compute 8\.0, and \S+ has NVIDIA H200.*gpus: TYPE:NUMBER/,
  );
});
