// The help of every command speaks of options that the command has, and gives defaults of its own.
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../lib/cli/command.js';
import { loadCommands } from '../../../lib/cli/commands.js';
import { optionSpec, type OptionName } from '../../../lib/cli/vocabulary.js';

const commands = await loadCommands([]);
const told = (command: Command, name: OptionName): string =>
  command.meanings?.[name] ?? optionSpec(name).describe;
const help = (name: string, option: OptionName): string =>
  told(
    commands.find((command) => command.name === name)!,
    option,
  );

describe.each(commands.map((command) => [command.name, command] as const))('%s', (_, command) => {
  it('speaks of its own options alone', () => {
    for (const name of command.options) {
      for (const [, other] of told(command, name).matchAll(/--(?:no-)?([a-z][a-z-]+)/g)) {
        expect(command.options, `--${name} speaks of --${other}`).toContain(other);
      }
    }
  });

  it('gives a meaning to its own options alone', () => {
    for (const name of Object.keys(command.meanings ?? {})) {
      expect(command.options).toContain(name);
    }
  });
});

it('says where results go without --out', () => {
  expect(help('study', 'out')).toContain('./NAME-run');
  expect(help('report', 'out')).toContain('./report.html');
  expect(help('demo', 'out')).toContain('./headspark-demo');
});

it('says what --parquet holds', () => {
  expect(help('heads', 'parquet')).toBe('also write the table as Parquet');
  expect(help('evaluate', 'parquet')).toBe('also write every sample as Parquet');
});

it('gives the defaults that the command has', () => {
  expect(help('generate', 'max-new-tokens')).toBe('longest completion; default 256');
  expect(help('evaluate', 'max-new-tokens')).toBe('longest completion; default 2048');
  expect(help('generate', 'temperature')).not.toContain('0.6');
  expect(help('evaluate', 'temperature')).toContain('with several --samples 0.6');
  const resamples = { diff: 1_000, ablate: 10_000, evaluate: 10_000, merge: 10_000, heads: 2_000 };
  for (const [name, count] of Object.entries(resamples)) {
    expect(help(name, 'resamples')).toContain(`auto (default): ${count.toLocaleString('en-US')}`);
  }
  expect(help('heads', 'heads')).toMatch(/default: all$/);
  expect(help('diff', 'confidence')).toContain('certain');
  expect(help('ablate', 'confidence')).toBe('of intervals');
});

it('says which kind of file --out writes', () => {
  for (const command of commands.filter(({ options }) => options.includes('out'))) {
    expect(told(command, 'out'), command.name).toMatch(/\.json|folder|page/);
  }
});
