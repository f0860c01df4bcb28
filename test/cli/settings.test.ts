// Help, versions, completion, doctor, and which of command line, environment, config file and
// default wins.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { version } from '../../lib/version.js';
import { base, headspark, newFolder, pairs } from './bin.js';

describe('help', () => {
  it('lists the commands', async () => {
    const { code, stdout } = await headspark(['--help']);
    expect(code).toBe(0);
    for (const name of ['attribute', 'circuit', 'diff', 'ablate', 'demo', 'doctor', 'completion']) {
      expect(stdout).toContain(`headspark ${name}`);
    }
  });

  it.each(['attribute', 'circuit', 'diff', 'ablate', 'demo', 'doctor'])(
    'of %s shows its options',
    async (name) => {
      const { code, stdout } = await headspark([name, '--help']);
      expect(code).toBe(0);
      for (const option of ['--json', '--quiet', '--config']) expect(stdout).toContain(option);
      expect(stdout).not.toContain('[default: []]');
    },
  );

  it('has a version and a completion script', async () => {
    expect((await headspark(['--version'])).stdout).toBe(`${version}\n`);
    const { code, stdout } = await headspark(['completion'], {
      environment: { SHELL: '/bin/bash' },
    });
    expect(code).toBe(0);
    expect(stdout).toContain('--get-yargs-completions');
    expect(stdout).toContain('headspark');
    const words = await headspark(['--get-yargs-completions', 'headspark', 'at']);
    expect(words.stdout).toContain('attribute');
    const help = await headspark(['completion', '--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain('headspark completion >> ~/.bashrc');
    expect(help.stdout).not.toContain('###-begin');
  });
});

describe('doctor', () => {
  it('reports as JSON and nothing else', async () => {
    const { code, stdout } = await headspark(['doctor', '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.versions.headspark).toBe(version);
    expect(report.device.usableThreads).toBeGreaterThan(0);
    expect(report.device.gpu.status).toEqual(expect.any(String));
    // A level that runs without being announced can be forced, and then nothing above it is hidden.
    const forced = report.hiddenIsa ?? report.device.isa;
    const again = await headspark(['doctor', '--json'], { environment: { HEADSPARK_ISA: forced } });
    expect(JSON.parse(again.stdout).device.isa).toBe(forced);
  });

  it('reports for a person, and measures when asked to', async () => {
    const { stdout } = await headspark(['doctor', '--measure', '--threads', '1']);
    expect(stdout).toMatch(/kernels {2,}\w/);
    expect(stdout).toMatch(/GFLOP\/s fp32 with 1 threads/);
    expect(stdout).toMatch(/GB\/s/);
  });
});

describe('settings', () => {
  let cwd: string;
  const run = ['attribute', base, '--pairs', pairs, '--count', '2', '--json'];
  beforeAll(async () => {
    cwd = await newFolder();
    await writeFile(join(cwd, 'c.yaml'), 'ig-steps: 2\nattribute:\n  ig-grid: right\n');
  });

  async function metaOf(args: string[], environment: Record<string, string> = {}) {
    const { code, stdout, stderr } = await headspark(args, { cwd, environment });
    expect(stderr).not.toContain('ERR_');
    expect(code).toBe(0);
    return JSON.parse(stdout);
  }

  it('come from the file, the environment over it, the command line over both', async () => {
    const environment = { HEADSPARK_IG_STEPS: '3' };
    expect(await metaOf(run)).toMatchObject({ igSteps: 5, igGrid: 'left' });
    const file = [...run, '--config', 'c.yaml'];
    expect(await metaOf(file)).toMatchObject({ igSteps: 2, igGrid: 'right' });
    expect(await metaOf(file, environment)).toMatchObject({ igSteps: 3, igGrid: 'right' });
    const line = [...file, '--ig-steps', '4'];
    expect(await metaOf(line, environment)).toMatchObject({ igSteps: 4, igGrid: 'right' });
    const named = { ...environment, HEADSPARK_CONFIG: 'c.yaml' };
    expect(await metaOf(run, named)).toMatchObject({ igSteps: 3, igGrid: 'right' });
  });

  it('refuse what they do not know, naming the place', async () => {
    await writeFile(join(cwd, 'bad.json'), '{"ig-stepz": 2}');
    const file = await headspark([...run, '--config', 'bad.json'], { cwd });
    expect(file.code).toBe(1);
    expect(file.stderr).toContain('bad.json sets "ig-stepz"');
    const variable = await headspark(run, { cwd, environment: { HEADSPARK_IG_STEPS: 'x' } });
    expect(variable.code).toBe(1);
    expect(variable.stderr).toContain('HEADSPARK_IG_STEPS');
  });
});
