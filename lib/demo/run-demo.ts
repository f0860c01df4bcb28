// The demo: a whole study of the embedded family (lib/demo/models/study.yaml) and its report. The
// same calls as a user's own study; what is printed is read from the stored results.
import type { CallbackResult } from '../callbacks.js';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import type { AblationTable } from '../ablation/types.js';
import type { DiffReport } from '../circuit-diff.js';
import { HeadsparkError } from '../errors.js';
import { makeFolder } from '../file-errors.js';
import type { EvaluationTable } from '../evaluation/types.js';
import type { Interval } from '../stats/quantile.js';
import { readRun, resultId, type RunData } from '../report/run-data.js';
import { writeReport } from '../report/index.js';
import { readStudy, runStudy, type RunProgress } from '../study/index.js';
import type { PoolOptions } from '../study/model-pool.js';
import type { CircuitSummaryFile } from '../study/stages/circuit.js';
import type { EvaluationFile } from '../study/stages/evaluation.js';
import { demoSeries, type DemoCheckpoint, type DemoSeries } from './checkpoints.js';
import { summaryText } from './summary.js';

/** Where the demo runs; only `out` must be given. */
export interface DemoOptions {
  /** Folder of the run and its report; made if it is not there. A stopped demo goes on from it. */
  readonly out: string;
  /** Folder of the series; default: the one in this package. */
  readonly models?: string;
  readonly load?: Pick<PoolOptions, 'threads' | 'device' | 'memoryBytes'>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RunProgress) => CallbackResult;
}

/** One checkpoint with thinking on: its circuit, and how well it does. */
export interface DemoCircuit {
  readonly checkpoint: DemoCheckpoint;
  readonly circuit: CircuitSummaryFile;
  readonly evaluation: EvaluationFile;
  /** Share of right answers when it writes them, with and without thinking. */
  readonly solves: { readonly thinking: Interval; readonly direct: Interval };
}

/** A post-trained checkpoint against the base, and its emergent heads tested. */
export interface DemoTest {
  readonly checkpoint: DemoCheckpoint;
  readonly diff: DiffReport;
  /** On the pairs, and while problems are solved; null where no head emerged. */
  readonly ablation: AblationTable | null;
  readonly solving: EvaluationTable | null;
}

/** What the demo found, and where it lies. */
export interface DemoResult {
  readonly out: string;
  /** The page to open. */
  readonly report: string;
  readonly stages: number;
  readonly checkpoints: number;
  readonly pairs: number;
  readonly circuits: readonly DemoCircuit[];
  readonly tests: readonly DemoTest[];
  readonly seconds: number;
  /** Of this process on all cores, this far. */
  readonly cpuSeconds: number;
  /** Files and folders in `out`, with what they hold. */
  readonly files: readonly (readonly [string, string])[];
}

/** The task and prompt form that the tables are of. */
const view = { task: 'sums', form: 'thinking' } as const;

const files: DemoResult['files'] = [
  ['report.html', 'every figure of the study on one page; open it in a browser'],
  ['summary.md', 'what was found, and the commands that repeat it'],
  ['study.yaml', 'the study: checkpoints, prompt forms, pairs, benchmarks, ablations'],
  ['manifest.json', 'what the results are made of: versions, hashes, seeds'],
  ['results', 'the result of every stage: scores, circuits, diffs, answers, tables'],
];

function stored<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new HeadsparkError('ERR_HEADSPARK_INTERNAL', `the demo's study has no ${what}.`);
}

function circuitOf(checkpoint: DemoCheckpoint, data: RunData): DemoCircuit {
  const { label } = checkpoint;
  const id = resultId(label, view);
  const solved = (form: string): Interval => {
    const file = data.benchmarks.find((one) => one.checkpoint === label && one.form === form);
    return stored(file, `answers of ${label}`).table.rows[0].accuracy;
  };
  return {
    checkpoint,
    circuit: stored(data.circuits.get(id), `circuit ${id}`),
    evaluation: stored(data.evaluations.get(id), `evaluation ${id}`),
    solves: { thinking: solved('thinking'), direct: solved('direct') },
  };
}

function testOf(checkpoint: DemoCheckpoint, data: RunData): DemoTest {
  const { label } = checkpoint;
  const of = (plan: string) => (file: { name: string; checkpoint: string }) =>
    file.name === plan && file.checkpoint === label;
  const id = resultId(label, view);
  return {
    checkpoint,
    diff: stored(data.diffs.get(id), `diff ${id}`),
    ablation: stored(data.ablations.find(of('emergent')), `ablation of ${label}`).table,
    solving: stored(data.benchmarkAblations.find(of('solving')), `ablation while ${label} solves`)
      .table,
  };
}

async function resultsOf(
  series: DemoSeries,
  of: { out: string; stages: number },
): Promise<Omit<DemoResult, 'seconds' | 'cpuSeconds' | 'report'>> {
  const data = await readRun(of.out);
  const circuits = [series.base, ...series.post].map((one) => circuitOf(one, data));
  return {
    ...of,
    checkpoints: data.manifest.checkpoints.length,
    pairs: circuits[0].evaluation.pairs,
    circuits,
    tests: series.post.map((checkpoint) => testOf(checkpoint, data)),
    files,
  };
}

/**
 * Runs the demo's study and writes its report. Under two minutes on two cores.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND when the series is missing, ERR_HEADSPARK_FILE_WRITE when
 *   `out` cannot be written, ERR_HEADSPARK_SETTINGS_MISMATCH where `out` holds another study, ERR_HEADSPARK_CANCELLED.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const { signal, load = {}, onProgress } = options;
  const series = await demoSeries(options.models);
  const out = resolve(options.out);
  await makeFolder(out);
  const study = await readStudy(join(series.folder, 'study.yaml'));
  const { stages } = await runStudy(study, {
    ...load,
    out,
    signal,
    ...(onProgress ? { onProgress } : {}),
  });
  const report = join(out, 'report.html');
  await writeReport(out, { out: report });
  const results = await resultsOf(series, { out, stages });
  const { user, system } = process.cpuUsage();
  const seconds = (performance.now() - start) / 1000;
  const result = { ...results, report, seconds, cpuSeconds: (user + system) / 1e6 };
  await writeFileAtomic(join(out, 'summary.md'), summaryText(result, series));
  return result;
}
