// What Tab offers, asked as bash asks: the printed script is sourced and its function called.
import { spawn } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bin, headspark, newFolder } from './bin.js';

let folder: string;
beforeAll(async () => {
  folder = await newFolder();
  const program = join(folder, 'headspark');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`);
  await chmod(program, 0o755);
});

/** What bash would offer for each of the command lines, whose last word is at the cursor. */
function offers(lines: readonly string[][]): Promise<{ offered: string[][]; stderr: string }> {
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(' ');
  const script = [
    'set -e',
    'headspark completion > script',
    'source ./script',
    'offer() {',
    '  COMP_WORDS=(headspark "$@"); COMP_CWORD=$#; COMPREPLY=()',
    '  _headspark_yargs_completions; echo "${COMPREPLY[*]}"',
    '}',
    ...lines.map((words) => `offer ${quoted(words)}`),
  ].join('\n');
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      cwd: folder,
      env: { ...process.env, PATH: `${folder}:${process.env['PATH']}`, SHELL: '/bin/bash' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => {
      const offered = stdout.split('\n').slice(0, -1);
      if (code !== 0) reject(new Error(`bash ended with ${code}: ${stderr}`));
      resolve({ offered: offered.map((line) => line.split(' ').filter(Boolean)), stderr });
    });
  });
}

describe('completion in bash', () => {
  it('offers commands, options, choices and actions', async () => {
    const { offered, stderr } = await offers([
      ['at'],
      ['attribute', '--me'],
      ['attribute', 'x', '--metric', ''],
      ['attribute', 'x', '--metric', 'p'],
      ['attribute', 'x', '--metric', '=', 'p'],
      ['attribute', 'x', '--method', 'exa'],
      ['study', ''],
      ['study', 'r'],
      ['circuit', 's.json', '--no-pru'],
      ['generate', 'x', '--prompt', 'Hi', '--promp'],
      ['attribute', 'x', '--pairs', 'p.jsonl', '--pai'],
    ]);
    expect(stderr).toBe('');
    expect(offered).toEqual([
      ['attribute'],
      ['--method', '--metric', '--memory'],
      ['logit-diff', 'kl', 'nll', 'prob-diff'],
      ['prob-diff'],
      ['prob-diff'],
      ['exact'],
      ['init', 'plan', 'run', 'status', 'merge'],
      ['run'],
      ['--no-prune'],
      ['--prompt', '--prompts'],
      [],
    ]);
  });

  it('leaves paths to the shell', async () => {
    const { offered, stderr } = await offers([
      ['circuit', ''],
      ['evaluate', '--benchmark', ''],
      ['evaluate', 'x', '--out', ''],
      ['diff', 'a.json', 'b.json', ''],
      ['study', 'run', ''],
      ['nonsense', ''],
    ]);
    expect(stderr).toBe('');
    expect(offered).toEqual([[], [], [], [], [], []]);
  });

  it('lists the options where no path can stand', async () => {
    const { offered } = await offers([
      ['evaluate', 'x', ''],
      ['doctor', ''],
    ]);
    expect(offered[0]).toEqual(expect.arrayContaining(['--benchmark', '--no-share-prefix']));
    expect(offered[1]).toContain('--measure');
  });
});

describe('the answer to a shell', () => {
  it.each([
    ['a mistyped option', ['attribute', '--nonsense', 'x', '--me']],
    ['a missing value', ['attribute', 'x', '--ig-steps', '--me']],
    ['a wrong value', ['attribute', 'x', '--metric', 'x', '--me']],
    ['a config file that is missing', ['attribute', '--config', 'none.yaml', '--me']],
    ['no words', []],
  ])('is no error after %s', async (_, words) => {
    const environment = { SHELL: '/bin/bash', HEADSPARK_CONFIG: 'none.yaml' };
    const asked = ['--get-yargs-completions', 'headspark', ...words];
    const { code, stdout, stderr } = await headspark(asked, { environment });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(words.length > 0 ? '--method\n' : 'attribute\n');
  });

  it('describes its offers in zsh, up to the cursor', async () => {
    const environment = { SHELL: '/usr/bin/zsh', COMP_CWORD: '2' };
    const asked = [
      '--get-yargs-completions',
      'headspark',
      'attribute',
      '--meth',
      '--out',
      's.json',
    ];
    const { stdout } = await headspark(asked, { environment });
    expect(stdout).toBe('--method:how edges are scored\n');
  });
});
