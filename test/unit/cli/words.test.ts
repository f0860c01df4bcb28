// Small parts of the command line: suggestions, sizes, selections, numbers as text, tables.
import { describe, expect, it } from 'vitest';
import { Arguments } from '../../../lib/cli/arguments.js';
import { inputNames } from '../../../lib/cli/diff.js';
import { Context } from '../../../lib/cli/context.js';
import { memoryRemark, parseBytes, sizeProblem } from '../../../lib/cli/byte-size.js';
import {
  formatNumber,
  formatP,
  formatPercent,
  formatPoints,
  formatSigned,
  formatTable,
  painter,
} from '../../../lib/cli/output.js';
import {
  describeSelection,
  selectionFromMeta,
  selectionMeta,
  selectionOf,
} from '../../../lib/cli/selection.js';
import { shortNumber } from '../../../lib/report/data-table.js';
import { editDistance, nearest } from '../../../lib/nearest-word.js';
import { resamplesOf } from '../../../lib/cli/resamples.js';
import { optionSpec, vocabulary, type OptionName } from '../../../lib/cli/vocabulary.js';
import { readContext } from './terminal.js';

describe('suggestions', () => {
  it('measure edit distance', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
  });

  it('find a slip, and nothing where nothing is near', () => {
    const known = Object.keys(vocabulary);
    expect(nearest('ig-step', known)).toBe('ig-steps');
    expect(nearest('topn', known)).toBe('top-n');
    expect(nearest('igSteps', known)).toBe('ig-steps');
    expect(nearest('frobnicate', known)).toBeUndefined();
  });
});

describe('the vocabulary', () => {
  it('has defaults within its own choices and bounds', () => {
    for (const name of Object.keys(vocabulary) as OptionName[]) {
      const { type, default: value, choices, min, max } = optionSpec(name);
      if (value === undefined) continue;
      expect(typeof value, name).toBe(type);
      if (choices) expect(choices, name).toContain(value);
      if (typeof value === 'number') {
        expect(value, name).toBeGreaterThanOrEqual(min ?? -Infinity);
        expect(value, name).toBeLessThanOrEqual(max ?? Infinity);
      }
    }
  });
});

describe('parseBytes', () => {
  it.each([
    ['1024', 1024],
    ['8GiB', 8 * 2 ** 30],
    ['512M', 512 * 2 ** 20],
    ['1.5 kb', 1536],
    ['2t', 2 ** 41],
  ])('reads %s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(['', 'much', '-1', '8 QiB'])('refuses "%s"', (text) => {
    expect(sizeProblem(text)).toMatch(/is not a size; write for instance 8GiB/);
  });

  it('finds sizes that nobody means', () => {
    expect(sizeProblem('8')).toMatch(/^"8" is 8 bytes, less than any run needs; write/);
    expect(sizeProblem('999999999TB')).toMatch(/^"999999999TB" is more than any machine has/);
    for (const text of ['0', '24M', '64G']) expect(sizeProblem(text)).toBeUndefined();
  });
});

it('says that --memory is more than there is', () => {
  const machine = { cgroupMemoryBytes: 300 * 2 ** 20, memoryTotalBytes: 2 ** 33 };
  expect(memoryRemark(2 ** 33, machine)).toMatch(
    /^--memory 8\.0 GiB is more than the 300 MiB that the control group of this process may use: .* Lower it\.$/,
  );
  expect(memoryRemark(2 ** 34, { ...machine, cgroupMemoryBytes: null })).toMatch(
    /more than the 8\.0 GiB that this machine has/,
  );
  expect(memoryRemark(2 ** 28, machine)).toBeUndefined();
});

it('a dumb terminal gets lines alone', async () => {
  for (const [TERM, bar] of [
    ['dumb', false],
    ['xterm', true],
  ] as const) {
    let stderr = '';
    const context = new Context({
      json: false,
      quiet: false,
      signal: new AbortController().signal,
      terminal: {
        stdout: { write: () => undefined },
        stderr: { write: (text: string) => (stderr += text), isTTY: true },
        environment: { TERM },
      },
    });
    await context.task('work', 'steps', async ({ reporter }) => {
      reporter.update(1, 4);
      await Promise.resolve();
    });
    expect(stderr.includes('\u001b[2K')).toBe(bar);
    expect(context.interactive).toBe(bar);
  }
});

it('a zero has no sign, however it came about', () => {
  expect(formatNumber(-0)).toBe('0.000');
  expect(formatNumber(-0.04, 1)).toBe('0.0');
  expect(formatNumber(-0.06, 1)).toBe('-0.1');
  for (const change of [-0.0004, 0.0004, -0]) expect(formatPoints(change)).toBe('0.0');
  for (const change of [-0.001, 0.001, -0]) expect(formatSigned(change, 2)).toBe('0.00');
  expect(formatPercent(-0.00001)).toBe('0.0 %');
  expect(shortNumber(-0)).toBe('0');
});

describe('--resamples', () => {
  const read = (resamples: string | undefined, confidence = 0.95) => {
    const { context, stderr } = readContext();
    const count = resamplesOf(new Arguments({ resamples, confidence }), context);
    return [count, stderr()];
  };

  it('are a number or auto, and remarked on where bounds rest on hardly any', () => {
    expect(read(undefined)).toEqual([undefined, '']);
    expect(read('auto')).toEqual([undefined, '']);
    expect(read('200')).toEqual([200, '']);
    expect(read('199')).toEqual([
      199,
      'note: with --resamples 199 each bound of an interval rests on fewer than 5 draws, and ' +
        'intervals may leave out their estimate; take at least 200.\n',
    ]);
    expect(read('200', 0.99)[1]).toContain('take at least 1000');
    for (const bad of ['0', '1.5', '-3', 'many']) expect(() => read(bad)).toThrow(/nor auto/);
    expect(() => read('5', 1)).toThrow(/confidence/);
  });
});

describe('selections', () => {
  const of = (raw: Record<string, unknown>) => selectionOf(new Arguments(raw));

  it('come from the options', () => {
    expect(of({})).toBeUndefined();
    expect(of({ 'top-n': 200, tau: 0.1, prune: true })).toEqual({
      rule: 'top-n',
      n: 200,
      tau: 0.1,
      ranking: 'absolute',
      prune: true,
    });
    expect(of({ 'tau-all': 0.1, ranking: 'signed', prune: false })).toEqual({
      rule: 'threshold',
      tau: 0.1,
      ranking: 'signed',
      prune: false,
    });
    expect(of({ greedy: 7 })).toEqual({ rule: 'greedy', n: 7, ranking: 'absolute', prune: true });
  });

  it('refuse two rules and tau without top-n', () => {
    expect(() => of({ 'top-n': 1, greedy: 1 })).toThrow(/--top-n and --greedy, not both/);
    expect(() => of({ tau: 1 })).toThrow(/--tau thins out --top-n/);
    expect(() => of({ tau: 1, greedy: 3 })).toThrow(/--tau thins out --top-n/);
  });

  it('survive the meta data of a file', () => {
    for (const raw of [{ 'top-n': 5 }, { 'top-n': 5, tau: 2 }, { 'tau-all': 1 }, { greedy: 4 }]) {
      const selection = of({ ...raw, ranking: 'signed' })!;
      expect(selectionFromMeta(selectionMeta(selection))).toEqual(selection);
      expect(describeSelection(selection)).toContain('signed score');
    }
    expect(selectionFromMeta({})).toBeUndefined();
    expect(selectionFromMeta({ selectionRule: 'top-n' })).toBeUndefined();
  });
});

describe('inputNames', () => {
  it('are short where they differ, and full paths where they do not', () => {
    expect(inputNames(['x/base.json', 'y/sft.pt'])).toEqual(['base', 'sft']);
    expect(inputNames(['x/a.json', 'y/a.json'])).toEqual(['x/a.json', 'y/a.json']);
    expect(() => inputNames(['x/a.json', 'x/a.json'])).toThrow(/is given twice/);
  });
});

describe('output', () => {
  it('formats numbers for reading', () => {
    expect(formatNumber(0.12345)).toBe('0.123');
    expect(formatNumber(1234.5)).toBe('1,235');
    expect(formatNumber(0.000012)).toBe('1.2e-5');
    expect(formatNumber(0)).toBe('0.000');
    expect(formatNumber(NaN)).toBe('–');
    expect(formatP(0.0001)).toBe('<0.001');
    expect(formatPoints(0.125)).toBe('+12.5');
    expect(formatSigned(1234.5)).toBe('+1,235');
  });

  it('paints only on a terminal, and not against NO_COLOR', () => {
    const escape = String.fromCharCode(27);
    expect(painter({ isTTY: true }, {})('red', 'x')).toContain(escape);
    expect(painter({ isTTY: true }, { NO_COLOR: '1' })('red', 'x')).toBe('x');
    expect(painter({ isTTY: true }, { TERM: 'dumb' })('red', 'x')).toBe('x');
    expect(painter({}, {})('red', 'x')).toBe('x');
  });

  it('aligns columns without lines', () => {
    const table = formatTable(
      [{ title: 'head' }, { title: 'n', align: 'right' }],
      [
        ['a0.h1', '5'],
        ['a10.h1', '12'],
      ],
      (_, text) => text,
    );
    expect(table).toBe('  head     n\n  a0.h1    5\n  a10.h1  12');
  });
});
