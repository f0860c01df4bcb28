// Pairs as a person reads them: the first ones, all of them in figures, and what is refused.

import type { MetricSupport, PairDescription, PairsReport, RefusedLine } from '../pairs.js';
import type { Column, DataTable } from '../report/data-table.js';
import type { Context } from './context.js';
import { excerpt, excerpts, wrapped } from './excerpt.js';
import { formatPercent, formatTable, plural } from './output.js';

const answersShown = 3;

/** Some answers, and how many more there are. */
function answersText(answers: readonly string[]): string {
  if (answers.length === 0) return '–';
  const shown = answers.slice(0, answersShown).map((answer) => excerpt(answer, 16));
  const more = answers.length - shown.length;
  return shown.join(' ') + (more > 0 ? ` … ${more} more` : '');
}

function differText({ firstDifference, lastDifference }: PairDescription): string {
  if (firstDifference === null) return 'nowhere';
  return firstDifference === lastDifference
    ? String(firstDifference)
    : `${firstDifference}–${lastDifference}`;
}

const textLines = 3;

/** The texts below a pair's row. */
function printTexts(pair: PairDescription, context: Context): void {
  const label = (name: string): string => `    ${name.padEnd(11)}`;
  const width = Math.max(20, context.columns - label('').length);
  const [clean, corrupted] = excerpts([pair.clean, pair.corrupted], {
    width,
    lines: textLines,
    paint: context.paint,
  });
  const print = (name: string, lines: readonly string[]): void => {
    lines.forEach((line, index) => {
      context.print(label(index === 0 ? name : '') + line);
    });
  };
  print('clean', clean);
  print('corrupted', corrupted);
  if (pair.continuation !== null) print('continues', [excerpt(pair.continuation, width)]);
}

/** The first pairs: a row of figures and answers for each, and its texts below. */
function printFirst(first: readonly PairDescription[], total: number, context: Context): void {
  const count =
    first.length < total ? `First ${first.length} of ${plural(total, 'pair')}` : 'Pairs';
  context.heading(count);
  const table = formatTable(
    [
      { title: 'line', align: 'right' },
      { title: 'tokens', align: 'right' },
      { title: 'shared', align: 'right' },
      { title: 'differ' },
      { title: 'correct' },
      { title: 'incorrect' },
    ],
    first.map((pair) => [
      String(pair.line),
      String(pair.tokens),
      String(pair.sharedPrefix),
      differText(pair),
      answersText(pair.correct),
      answersText(pair.incorrect),
    ]),
    context.paint,
  );
  const [titles, ...rows] = table.split('\n');
  context.print(titles);
  rows.forEach((row, index) => {
    context.print(row);
    printTexts(first[index], context);
  });
  context.print('\n  shared: tokens before they differ; differ: first and last place, from 1');
}

/** Metrics that all pairs have answers for, and one line for each of the others. */
function metricLines(metrics: readonly MetricSupport[], pairs: number): string[] {
  const full = metrics.filter(({ lack }) => lack === null).map(({ metric }) => metric);
  const partial = metrics.flatMap((support) => {
    const { metric, lack } = support;
    if (lack === null) return [];
    const reason = lack.reason.replace(/^metric \S+ /, '').replace(/\.$/, '');
    return [`${metric} on ${support.pairs} of ${pairs}: line ${lack.line} ${reason}`];
  });
  return [...(full.length === 0 ? [] : [full.join(', ')]), ...partial];
}

function printFigures(report: PairsReport, context: Context): void {
  const { pairs, tokens, shortest, longest, sharedTokens, hash } = report;
  const lengths = shortest === longest ? `${longest} each` : `${shortest} to ${longest} each`;
  const room = Math.max(20, context.columns - 11);
  const metrics = metricLines(report.metrics, pairs).flatMap((line) => wrapped(line, room));
  context.heading('All pairs');
  context.print(
    `  tokens   ${tokens.toLocaleString('en-US')} of clean prompts, ${lengths}; corrupted ones have as many`,
  );
  context.print(
    `  shared   ${sharedTokens.toLocaleString('en-US')} of them, ${formatPercent(sharedTokens / tokens)}, ` +
      'before the first difference',
  );
  metrics.forEach((line, index) => {
    context.print(`  ${index === 0 ? 'metrics' : '       '}  ${line}`);
  });
  context.print(`  hash     ${hash}`);
}

/** What other commands would do about refused lines. */
function consequence(refused: readonly RefusedLine[]): string {
  const hard = refused.find(({ kind }) => kind !== 'unfit');
  if (!hard)
    return 'Other commands stop at the first of them, or leave them out with --skip-unfit.';
  const rest = refused.some(({ kind }) => kind === 'unreadable')
    ? ` What comes after line ${refused.at(-1)!.line} was not read.`
    : '';
  return `Other commands stop at line ${hard.line}, with --skip-unfit too.${rest}`;
}

function printRefused(refused: readonly RefusedLine[], top: number, context: Context): void {
  context.heading(`Refused: ${plural(refused.length, 'line')}`);
  const digits = String(refused.at(-1)!.line).length;
  for (const { line, reason } of refused.slice(0, top)) {
    const label = `  line ${String(line).padStart(digits)}  `;
    wrapped(reason, Math.max(20, context.columns - label.length)).forEach((part, index) => {
      context.print((index === 0 ? label : ' '.repeat(label.length)) + part);
    });
  }
  if (refused.length > top) context.print(`  … and ${refused.length - top} more (--top)`);
  for (const part of wrapped(consequence(refused), Math.max(20, context.columns - 2))) {
    context.print(`  ${part}`);
  }
}

/** Prints pairs: the first, all in figures, and what is refused. */
export function printPairs(
  of: {
    readonly first: readonly PairDescription[];
    readonly report: PairsReport;
    readonly refused: readonly RefusedLine[];
  },
  top: number,
  context: Context,
): void {
  const { first, report, refused } = of;
  if (report.pairs > 0) {
    printFirst(first, report.pairs, context);
    printFigures(report, context);
  }
  if (refused.length > 0) printRefused(refused, top, context);
}

const text = (key: string): Column => ({ key, title: key, kind: 'text' });
const number = (key: string): Column => ({ key, title: key, kind: 'number' });

/** A row for every pair; several answers as a list in JSON. */
export function pairsTable(pairs: readonly PairDescription[]): DataTable {
  const answers = (list: readonly string[]): string | null =>
    list.length === 0 ? null : list.length === 1 ? list[0] : JSON.stringify(list);
  return {
    columns: [
      ...['line', 'tokens', 'shared_prefix', 'first_difference', 'last_difference'].map(number),
      ...['clean', 'corrupted', 'correct', 'incorrect', 'continuation'].map(text),
    ],
    rows: pairs.map((pair) => ({
      line: pair.line,
      tokens: pair.tokens,
      shared_prefix: pair.sharedPrefix,
      first_difference: pair.firstDifference,
      last_difference: pair.lastDifference,
      clean: pair.clean,
      corrupted: pair.corrupted,
      correct: answers(pair.correct),
      incorrect: answers(pair.incorrect),
      continuation: pair.continuation,
    })),
  };
}
