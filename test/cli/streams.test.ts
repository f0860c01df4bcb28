// What stands on stdout when a run fails, a stdout that cannot be written, and a folder that is gone.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { base, bin, headspark, newFolder, pairs } from './bin.js';

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
  await writeFile(join(cwd, 'c.yaml'), 'json: true\n');
});

const shell = (line: string) =>
  spawnSync('bash', ['-c', line.replaceAll('HEADSPARK', `${process.execPath} ${bin}`)], {
    cwd,
    encoding: 'utf8',
  });

describe('an error is a document on stdout', () => {
  const args = ['attribute', base, '--pairs', 'none.jsonl'];
  const code = (stdout: string): string => JSON.parse(stdout).error.code;

  it.each([
    ['--json', ['--json'], {}],
    ['--json=true', ['--json=true'], {}],
    ['a config file', ['--config', 'c.yaml'], {}],
    ['the environment', [], { HEADSPARK_JSON: '1' }],
    [
      'the environment, though another variable is wrong',
      [],
      { HEADSPARK_JSON: '1', HEADSPARK_SEED: 'x' },
    ],
  ])('by %s', async (_, own, environment) => {
    const ended = await headspark([...args, ...own], { cwd, environment });
    expect(code(ended.stdout)).toMatch(/^ERR_HEADSPARK_(FILE_NOT_FOUND|INVALID_ARGUMENT)$/);
    expect(ended.code).toBe(1);
  });

  it('not where the line says --no-json', async () => {
    const ended = await headspark([...args, '--no-json'], {
      cwd,
      environment: { HEADSPARK_JSON: '1' },
    });
    expect(ended.stdout).toBe('');
    expect(ended.code).toBe(1);
  });

  it('also for a run that is interrupted', async () => {
    const work = ['--task', 'arithmetic', '--count', '64', '--ig-steps', '4000', '--threads', '1'];
    const ended = await headspark(['attribute', base, ...work, '--json'], {
      cwd,
      onStart: (child) => void setTimeout(5000).then(() => child.kill('SIGINT')),
    });
    expect(code(ended.stdout)).toBe('ERR_HEADSPARK_CANCELLED');
    expect(ended.code).toBe(130);
  });
});

describe.skipIf(!existsSync('/dev/full'))('a standard output that cannot be written', () => {
  const sentence = /standard output cannot be written \(no space left on the disk\)/;

  it('does not keep a run from writing its files', async () => {
    const line = `HEADSPARK attribute ${base} --pairs ${pairs} --count 4 --out full.json >/dev/full`;
    const { status, stderr } = shell(line);
    expect(stderr).toMatch(sentence);
    expect(status).toBe(1);
    const files = await readdir(cwd);
    expect(files.filter((name) => name.includes('full')).sort()).toEqual([
      'full.json',
      'full.json.pairs.npy',
    ]);
  });

  it('ends a run that only prints', () => {
    const { status, stderr } = shell(`HEADSPARK generate ${base} --prompt 1+1= >/dev/full`);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(status).toBe(1);
  });
});

it('says that the current folder is gone', () => {
  const { status, stderr } = shell('mkdir gone; cd gone; rmdir ../gone; HEADSPARK doctor');
  expect(stderr).toContain('the current folder does not exist any more; change to another one.');
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(status).toBe(1);
});
