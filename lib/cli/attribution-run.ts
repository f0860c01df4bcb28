// What `attribute` and `merge` do with a score table: its summary, printed, and its files.

import type { AttributionResult } from '../attribution.js';
import { SCORE_EXTENSIONS, writeScoreFile } from '../formats/score-file.js';
import { formatDuration } from '../progress.js';
import { mean } from '../stats/quantile.js';
import type { Context } from './context.js';
import { formatBounds, formatNumber, formatPercent, formatSigned } from './output.js';
import type { Output } from './outputs.js';
import {
  completenessOf,
  rankEdges,
  rankHeads,
  type Completeness,
  type RankedEdge,
  type RankedHead,
} from './score-summary.js';

interface Summary {
  readonly heads: readonly RankedHead[];
  readonly edges: readonly RankedEdge[];
  readonly completeness: Completeness | undefined;
  readonly seconds: number;
}

function printMetric(result: AttributionResult, summary: Summary, context: Context): void {
  const { clean, corrupted } = result.pairMetrics;
  context.print(
    `  ${result.meta.metric}: clean ${formatNumber(mean(clean))}, ` +
      `corrupted ${formatNumber(mean(corrupted))}`,
  );
  const { completeness } = summary;
  if (completeness) {
    const { inputScores, expected } = completeness;
    const off = Math.abs(inputScores - expected) / Math.max(1e-12, Math.abs(expected));
    context.print(
      `  completeness: scores from input sum to ${formatNumber(inputScores)}, ` +
        `${formatNumber(expected)} with endless steps (off by ${formatPercent(off)})`,
    );
  }
  context.print(`  time: ${formatDuration(summary.seconds)}`);
}

function printSummary(result: AttributionResult, summary: Summary, context: Context): void {
  const intervals = summary.heads.some(({ low }) => low !== undefined);
  printMetric(result, summary, context);
  context.heading(
    `Top heads, by share of all heads' outgoing |score|${intervals ? ', with 95 % intervals over pairs' : ''}`,
  );
  context.table(
    [
      { title: 'head' },
      { title: 'share', align: 'right' },
      ...(intervals ? [{ title: 'interval' }] : []),
    ],
    summary.heads.map(({ name, scoreShare, low, high }) => [
      name,
      formatNumber(scoreShare, 4),
      ...(low === undefined || high === undefined ? [] : [formatBounds({ low, high }, 4)]),
    ]),
  );
  context.heading('Top edges, by |score|');
  context.table(
    [{ title: 'edge' }, { title: 'score', align: 'right' }],
    summary.edges.map(({ name, score }) => [name, formatSigned(score, 5)]),
  );
}

export const scoreOutputs = (outputs: readonly string[]): Output[] =>
  outputs.map((path) => ({ option: '--out', path, kind: 'file', extensions: SCORE_EXTENSIONS }));

interface Finish {
  /** Files to write. */
  readonly outputs: readonly string[];
  /** Of the table: rows to print, and of the resamples behind intervals. */
  readonly top: number;
  readonly seed: number;
  /** When the work began, in ms. */
  readonly start: number;
}

/** Prints and writes a table; gives what --json prints of it. */
export async function finishScores(
  result: AttributionResult,
  { outputs, top, seed, start }: Finish,
  context: Context,
) {
  const seconds = (performance.now() - start) / 1000;
  const heads = await context.task('intervals', 'resamples', ({ onJob }) =>
    rankHeads(result, { seed, signal: context.signal, onProgress: onJob }),
  );
  const summary: Summary = {
    heads: heads.slice(0, top),
    edges: rankEdges(result, top),
    completeness: completenessOf(result),
    seconds,
  };
  printSummary(result, summary, context);
  for (const path of outputs) await writeScoreFile(path, result);
  context.print();
  for (const path of outputs) context.print(`Wrote ${path}`);
  return { ...result.meta, shape: result.shape, files: outputs, ...summary };
}
