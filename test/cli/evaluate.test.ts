// `evaluate`, `merge` and `ablate --generate` through the real bin on the embedded demo: recorded
// accuracies, files, shards, and kills at random moments.
import { parquetReadObjects } from 'hyparquet';
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../lib/stats/random.js';
import { headspark, models, newFolder, sft, type Ended } from './bin.js';

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
});

const read = (name: string): Promise<string> => readFile(join(cwd, name), 'utf8').catch(() => '');
const demo = ['--benchmark', 'demo', '--max-new-tokens', '64', '--answer-from', 'boxed'];
const run = (...args: string[]): Promise<Ended> => headspark(args, { cwd });

async function json(...args: string[]) {
  const { code, stdout, stderr } = await run(...args, '--json', '--quiet');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

describe('evaluate', () => {
  it.each(['base', 'sft-step120', 'grpo-step120'])(
    'reproduces the recorded accuracies of %s, thinking on and off',
    async (label) => {
      const log = JSON.parse(await readFile(join(models, 'log.json'), 'utf8'));
      const recorded = log.checkpoints.find((entry: { label: string }) => entry.label === label);
      for (const [option, key] of [
        ['--enable-thinking', 'thinkingOn'],
        ['--no-enable-thinking', 'thinkingOff'],
      ]) {
        const table = await json('evaluate', join(models, label), ...demo, option);
        const { accuracy, meanTokens } = table.rows[0];
        expect(accuracy.estimate.toFixed(4)).toBe(recorded[key].accuracy.toFixed(4));
        expect(Math.abs(meanTokens - recorded[key].meanTokens)).toBeLessThan(0.006);
      }
    },
  );

  it('prints a table, and writes JSON, CSV and Parquet', async () => {
    const files = ['--out', 'r.json', '--csv', 'r.csv', '--parquet', 'r.parquet'];
    const sampled = ['--samples', '3', '--temperature', '0.8', '--count', '10'];
    const heads = ['--heads', '0.5', '--enable-thinking'];
    const { code, stdout } = await run('evaluate', sft, ...demo, ...sampled, ...heads, ...files);
    expect(code).toBe(0);
    expect(stdout).toMatch(/10 problems × 3 samples, temperature 0\.8, top-p 1, thinking on/);
    expect(stdout).toContain('heads ablated: zero in place of their output\n');
    expect(stdout).toMatch(/variant +accuracy +interval +pass@3 +interval +success@3 +majority/);
    expect(stdout).toMatch(/with 10 problems × 3 samples this contrast could show a change of/);
    expect(stdout).not.toMatch(/\n {2}a\d+\.h\d+.*undefined|NaN/);
    const table = JSON.parse(await read('r.json'));
    expect(table).toMatchObject({ format: 'headspark-evaluation', version: 1 });
    expect(table.rows.map(({ name }: { name: string }) => name)).toEqual(['unablated', 'a0.h5']);
    expect((await read('r.csv')).trim().split('\n').length).toBe(3);
    const bytes = await readFile(join(cwd, 'r.parquet'));
    const file = new Uint8Array(bytes).buffer;
    expect((await parquetReadObjects({ file })).length).toBe(10 * 2 * 3);
    expect(await read('r.json.journal')).toBe('');
  });

  it('remarks on problems that repeat others', async () => {
    const line = (a: number): string => `${JSON.stringify({ problem: `${a}+1=`, answer: '2' })}\n`;
    await writeFile(join(cwd, 'twice.jsonl'), line(1) + line(2) + line(1));
    const { code, stderr } = await run(
      ...['evaluate', sft, '--benchmark', 'twice.jsonl', '--template', 'plain'],
      ...['--suffix', 'none', '--max-new-tokens', '2'],
    );
    expect(code).toBe(0);
    expect(stderr).toContain('note: 1 of 3 problems repeat an earlier one (the first is "2")');
  });

  it('splits into shards that merge gives back as the whole', async () => {
    const args = ['evaluate', sft, ...demo, '--count', '20', '--heads', '0.3', '--samples', '2'];
    expect((await run(...args, '--out', 'whole.json')).code).toBe(0);
    const journals = ['1.jsonl', '2.jsonl', '3.jsonl'];
    for (const [index, journal] of journals.entries()) {
      const { code, stdout } = await run(
        ...args,
        '--shard',
        `${index + 1}/3`,
        '--journal',
        journal,
      );
      expect(code).toBe(0);
      expect(stdout).toMatch(/these are \d of 20 problems; merge the shards for the rest/);
    }
    const merged = await run('merge', ...journals, '--out', 'merged.json');
    expect(merged.code).toBe(0);
    expect(await read('merged.json')).toBe(await read('whole.json'));
    const missing = await run('merge', '1.jsonl', '3.jsonl');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/28 of 80 samples are missing/);
    await run(...args, '--factor', '0.5', '--shard', '2/3', '--journal', 'other.jsonl');
    const mixture = await run('merge', '1.jsonl', 'other.jsonl', '3.jsonl');
    expect(mixture.code).toBe(1);
    expect(mixture.stderr).toMatch(/different settings .*factors \(\[0\] and \[0.5\]\)/);
  }, 300_000);
});

describe('ablate --generate', () => {
  const args = (out: string): string[] => [
    ...['ablate', sft, '--generate', ...demo, '--enable-thinking', '--count', '12'],
    ...['--heads', '0.5;1.0,1.1', '--factor', '0,0.5', '--controls', '2'],
    ...['--samples', '3', '--temperature', '1'],
    ...['--max-rows', '16', '--resamples', '200', '--out', out],
  ];

  let quiet: Ended;
  beforeAll(async () => {
    quiet = await run(...args('quiet.json'));
  });

  it('compares every set at every factor with its controls', async () => {
    const { code, stdout } = quiet;
    expect(code).toBe(0);
    expect(stdout).toContain('Against matched random sets (same number of heads in every layer)');
    const { rows, controls } = JSON.parse(await read('quiet.json'));
    expect(stdout).toContain('heads scaled by 0, 0.5\n');
    expect(stdout).toMatch(/a1\.h0,a1\.h1 × 0\.5 +\d/);
    expect(rows.map(({ name }: { name: string }) => name)).toEqual([
      'unablated',
      ...['a0.h5 × 0', 'a0.h5 × 0.5', 'a1.h0,a1.h1 × 0', 'a1.h0,a1.h1 × 0.5'],
    ]);
    expect(controls.length).toBe(8);
    expect(rows[1].controls.sets).toBe(2);
  });

  it.each(['mean', 'mean-per-position', 'resample'])(
    'puts %s activations in the place of heads, the same from shards',
    async (ablation) => {
      const own = (out: string): string[] => [
        ...['ablate', sft, '--generate', ...demo, '--enable-thinking', '--count', '8'],
        ...['--heads', '0.5;1.0,1.1', '--controls', '2', '--references', '5'],
        ...['--match', 'write-norm'],
        ...['--ablation', ablation, '--factor', '0.5', '--resamples', '200', '--out', out],
      ];
      const whole = await run(...own('whole-r.json'));
      expect(whole.stderr).not.toContain('error');
      expect(whole.code).toBe(0);
      expect(whole.stdout).toContain('random sets (heads of any layer that write as much)');
      expect(whole.stdout).toMatch(/a0\.h5: mean write norm .*, of its controls .* to /);
      expect(whole.stdout).toMatch(/heads scaled by 0\.5, plus 0\.5 of .* 5 (reference )?runs/);
      const table = JSON.parse(await read('whole-r.json'));
      expect(table.settings).toMatchObject({ ablation, factors: [0.5] });
      expect(table.settings.references.length).toBe(5);
      expect(table.rows.map(({ kind }: { kind: string }) => kind)).toEqual([
        'unablated',
        'set',
        'set',
      ]);
      expect(table.controls.length).toBe(4);
      expect(table.rows[1].controls.sets).toBe(2);
      const journals = [1, 2].map((index) => `${ablation}-${index}.jsonl`);
      for (const [index, journal] of journals.entries()) {
        const shard = ['--shard', `${index + 1}/2`, '--journal', journal];
        expect((await run(...own('part.json'), ...shard)).code).toBe(0);
      }
      const merged = ['merge', ...journals, '--resamples', '200', '--out', 'merged-r.json'];
      expect((await run(...merged)).code).toBe(0);
      expect(await read('merged-r.json')).toBe(await read('whole-r.json'));
    },
    300_000,
  );

  it('killed at 20 random moments ends in the same bytes', async () => {
    const whole = await read('quiet.json');
    const random = new Random(20);
    let [kills, kept] = [0, 0];
    while (kills < 20) {
      let child: ChildProcess | undefined;
      const ended = headspark(args('killed.json'), {
        cwd,
        onStart: (started) => (child = started),
      });
      const goal = kept + 1 + random.below(18);
      const lines = async (): Promise<number> =>
        (await read('killed.json.journal')).split('\n').length - 1;
      while ((await lines()) < goal && child?.exitCode === null)
        await setTimeout(1 + random.below(8));
      child?.kill('SIGKILL');
      if ((await ended).code !== null) break;
      kills++;
      // What was on disk stays there.
      const now = await lines();
      expect(now).toBeGreaterThanOrEqual(kept);
      kept = now;
    }
    expect(kills).toBe(20);
    const { code, stderr } = await run(...args('killed.json'));
    expect(stderr).toMatch(/killed.json.journal holds \d+ of 468 samples; going on from there/);
    expect(code).toBe(0);
    expect(await read('killed.json')).toBe(whole);
    expect(await read('killed.json.journal')).toBe('');
  }, 600_000);

  /** What the command ends with that Ctrl-C meets once its journal holds a few samples. */
  async function interrupted(command: string[], journal: string): Promise<Ended> {
    let child: ChildProcess | undefined;
    const ended = headspark(command, { cwd, onStart: (started) => (child = started) });
    while ((await read(journal)).length < 20_000 && child?.exitCode === null) {
      await setTimeout(2);
    }
    child?.kill('SIGINT');
    return ended;
  }

  it('stopped by Ctrl-C says how to go on', async () => {
    const { code, stderr } = await interrupted(args('stopped.json'), 'stopped.json.journal');
    expect(code).toBe(130);
    expect(stderr).toContain('stopped.json.journal keeps what is finished');
    expect((await run(...args('stopped.json'))).code).toBe(0);
    expect(await read('stopped.json')).toBe(await read('quiet.json'));
  });

  it('stopped by Ctrl-C it goes on beside the only file that was asked for, a table', async () => {
    const table = [...args('never.json').filter((arg) => !/never|--out/.test(arg)), '--csv'];
    const { code, stderr } = await interrupted([...table, 'stopped.csv'], 'stopped.csv.journal');
    expect(code).toBe(130);
    expect(stderr).toContain('stopped.csv.journal keeps what is finished');
    const again = await run(...table, 'stopped.csv');
    expect(again.stderr).toContain('stopped.csv.journal holds');
    expect(again.code).toBe(0);
    expect(await read('stopped.csv.journal')).toBe('');
    expect((await run(...table, 'quiet.csv')).code).toBe(0);
    expect(await read('stopped.csv')).toBe(await read('quiet.csv'));
  });
});
