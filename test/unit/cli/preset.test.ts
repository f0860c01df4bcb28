// Config file and environment: types, sections, unknown keys, and what is not read.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configPreset, environmentPreset } from '../../../lib/cli/preset.js';

const commands = ['attribute', 'circuit', 'diff', 'ablate', 'demo', 'doctor'];
const options = ['ig-steps', 'metric', 'prune', 'out', 'json', 'diff', 'memory', 'top'] as const;

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
    ['HEADSPARK_MEMORY', 'foo', /^HEADSPARK_MEMORY "foo" is not a size/],
    ['HEADSPARK_TOP', '-1', /^HEADSPARK_TOP needs a whole number from/],
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
    ['{"top": [1, 2]}', /^top in .*bad\.json takes one value, not a list\.$/],
    ['{"top": -1}', /^top in .*bad\.json needs a whole number from \d+.*, not -1\.$/],
    ['{"top": 1e999}', /^top in .*bad\.json needs a whole number/],
    ['{"memory": "foo"}', /^memory in .*bad\.json "foo" is not a size/],
    ['{"top": 1, "top": 2}', /bad\.json cannot be parsed: "top" stands there twice\.$/],
    [
      '{"config": "other.json"}',
      /sets "config", which the command line and HEADSPARK_CONFIG alone/,
    ],
  ])('refuses %s', async (text, message) => {
    await expect(config('bad.json', text)).rejects.toThrow(message);
    await expect(config('bad.json', text)).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CONFIG' });
  });

  it('refuses YAML in a sentence, and has no word for a tag of its own', async () => {
    const message = /bad\.yaml cannot be parsed: Map keys must be unique at line 2, column 1\.$/;
    await expect(config('bad.yaml', 'top: 1\ntop: 2\n')).rejects.toThrow(message);
    await expect(config('nan.yaml', 'top: .nan\n')).rejects.toThrow(/^top in .*nan\.yaml needs/);
    const warnings: Error[] = [];
    const hear = (warning: Error): void => void warnings.push(warning);
    process.on('warning', hear);
    expect(await config('tag.yaml', 'out: !!mine a.json\n')).toEqual({ out: 'a.json' });
    await new Promise(setImmediate);
    process.off('warning', hear);
    expect(warnings).toEqual([]);
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
