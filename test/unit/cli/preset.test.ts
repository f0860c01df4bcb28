// Config file and environment: types, sections, unknown keys, and what is not read.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configPreset, environmentPreset } from '../../../lib/cli/preset.js';

const commands = ['attribute', 'circuit', 'diff', 'ablate', 'demo', 'doctor'];
const options = ['ig-steps', 'metric', 'prune', 'out', 'json', 'diff'] as const;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-config-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function config(name: string, text: string, command = 'attribute') {
  const path = join(folder, name);
  await writeFile(path, text);
  return configPreset(path, { command, commands, options });
}

describe('environmentPreset', () => {
  it('reads the options of the command by their names', () => {
    const environment = {
      HEADSPARK_IG_STEPS: '12',
      HEADSPARK_METRIC: 'kl',
      HEADSPARK_JSON: 'yes',
      HEADSPARK_PRUNE: '0',
      HEADSPARK_TOP_N: '5',
      HEADSPARK_ISA: 'portable',
    };
    expect(environmentPreset(environment, options)).toEqual({
      'ig-steps': 12,
      metric: 'kl',
      json: true,
      prune: false,
    });
  });

  it.each([
    ['HEADSPARK_IG_STEPS', 'many', /HEADSPARK_IG_STEPS is "many"; it must be a number/],
    ['HEADSPARK_JSON', 'maybe', /HEADSPARK_JSON is "maybe"; it must be true or false/],
    ['HEADSPARK_METRIC', 'loss', /HEADSPARK_METRIC is "loss"; use logit-diff/],
  ])('refuses %s=%s', (name, value, message) => {
    expect(() => environmentPreset({ [name]: value }, options)).toThrow(message);
  });
});

describe('configPreset', () => {
  it('reads JSON and YAML alike, sections over the top', async () => {
    const values = { 'ig-steps': 7, out: 'a.json', attribute: { 'ig-steps': 9 } };
    const expected = { 'ig-steps': 9, out: 'a.json' };
    expect(await config('c.json', JSON.stringify(values))).toEqual(expected);
    const yaml = 'ig-steps: 7\nout: a.json\nattribute:\n  ig-steps: 9\n';
    expect(await config('c.yaml', yaml)).toEqual(expected);
    expect(await config('c.yml', yaml, 'circuit')).toEqual({ 'ig-steps': 7, out: 'a.json' });
    expect(await config('empty.yaml', '')).toEqual({});
  });

  it('takes a name that is an option and a command by its value', async () => {
    expect(await config('c.json', '{"diff": "d.json"}', 'ablate')).toEqual({ diff: 'd.json' });
    expect(await config('c.json', '{"diff": {"prune": false}}', 'diff')).toEqual({ prune: false });
  });

  it.each([
    ['{"ig-step": 3}', /sets "ig-step", which is no option. Did you mean ig-steps\?/],
    ['{"attribute": {"metrc": "kl"}}', /sets "metrc".*Did you mean metric\?/],
    ['{"attribute": 3}', /attribute in .* must hold options/],
    ['{"ig-steps": "3"}', /ig-steps in .* must be a number/],
    ['{"prune": "no"}', /prune in .* must be true or false/],
    ['{"metric": "loss"}', /metric in .* is "loss"; use logit-diff/],
    ['[1]', /must hold named options/],
    ['{', /cannot be parsed/],
  ])('refuses %s', async (text, message) => {
    await expect(config('bad.json', text)).rejects.toThrow(message);
    await expect(config('bad.json', text)).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CONFIG' });
  });

  it('names a file that is not there', async () => {
    const missing = configPreset(join(folder, 'none.json'), {
      command: 'diff',
      commands,
      options,
    });
    await expect(missing).rejects.toMatchObject({ code: 'ERR_HEADSPARK_FILE_NOT_FOUND' });
  });
});
