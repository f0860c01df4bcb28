// What a report is made of: the results of a run, read through its manifest. Never loads the addon.
// A run that is not finished gives what it has, and says what is missing.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiffReport } from '../circuit-diff.js';
import { readManifest, type Manifest } from '../study/manifest.js';
import { slug, type Study } from '../study/study.js';
import { ResultStore } from '../study/store.js';
import { readResult } from '../study/stages/files.js';
import type { AblationStageFile } from '../study/stages/ablation.js';
import type { BenchmarkAblationFile } from '../study/stages/benchmark-ablation.js';
import type { BenchmarkFile } from '../study/stages/benchmark.js';
import type { CircuitSummaryFile } from '../study/stages/circuit.js';
import type { EvaluationFile } from '../study/stages/evaluation.js';
import type { HeadsStageFile } from '../study/stages/heads.js';
import type { RegimesFile } from '../study/stages/regimes.js';
import type { TrackingFile } from '../study/stages/tracking.js';

/** One task under one prompt form: most figures are of one view. */
export interface View {
  readonly task: string;
  readonly form: string;
  /** `sums, thinking`, or the task alone where there is one form. */
  readonly title: string;
  /** For ids in the page and names of files. */
  readonly slug: string;
}

export interface RunData {
  readonly run: string;
  readonly manifest: Manifest;
  readonly studyText: string;
  readonly views: View[];
  /** By checkpoint, task and form, as `resultId` spells it. */
  readonly circuits: ReadonlyMap<string, CircuitSummaryFile>;
  readonly evaluations: ReadonlyMap<string, EvaluationFile>;
  readonly diffs: ReadonlyMap<string, DiffReport>;
  /** By checkpoint, task and the two forms. */
  readonly formDiffs: ReadonlyMap<string, DiffReport>;
  readonly tracking: readonly TrackingFile[];
  readonly regimes: readonly RegimesFile[];
  readonly ablations: readonly AblationStageFile[];
  readonly heads: readonly HeadsStageFile[];
  readonly benchmarks: readonly BenchmarkFile[];
  readonly benchmarkAblations: readonly BenchmarkAblationFile[];
  /** Stages of the study without a result, by kind. */
  readonly missing: ReadonlyMap<string, number>;
}

/** What a report reads of each kind of stage: a file and its format. */
const readers = {
  circuit: ['summary.json', 'headspark-circuit-summary' satisfies CircuitSummaryFile['format']],
  evaluation: ['evaluation.json', 'headspark-evaluation' satisfies EvaluationFile['format']],
  diff: ['diff.json', 'headspark-diff' satisfies DiffReport['format']],
  'form-diff': ['diff.json', 'headspark-diff' satisfies DiffReport['format']],
  tracking: ['tracking.json', 'headspark-tracking' satisfies TrackingFile['format']],
  regimes: ['regimes.json', 'headspark-regimes' satisfies RegimesFile['format']],
  ablation: ['ablation.json', 'headspark-ablation-stage' satisfies AblationStageFile['format']],
  heads: ['heads.json', 'headspark-heads-stage' satisfies HeadsStageFile['format']],
  benchmark: ['benchmark.json', 'headspark-benchmark' satisfies BenchmarkFile['format']],
  'benchmark-ablation': [
    'benchmark-ablation.json',
    'headspark-benchmark-ablation' satisfies BenchmarkAblationFile['format'],
  ],
} as const;

export const resultId = (checkpoint: string, { task, form }: Pick<View, 'task' | 'form'>): string =>
  [checkpoint, task, form].map(slug).join('.');

function viewsOf({ tasks }: Manifest): View[] {
  return tasks.flatMap(({ name: task, forms }) =>
    forms.map((form) => ({
      task,
      form,
      title: forms.length > 1 ? `${task}, ${form}` : task,
      slug: [task, form].map(slug).join('-'),
    })),
  );
}

/**
 * Reads the results of a run.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND (not the folder of a run), ERR_HEADSPARK_FILE_CORRUPT.
 */
export async function readRun(run: string): Promise<RunData> {
  const manifest = await readManifest(run);
  const store = new ResultStore(run);
  const found = new Map<string, Map<string, unknown>>();
  const missing = new Map<string, number>();
  for (const stage of manifest.stages) {
    const reader = readers[stage.kind as keyof typeof readers] as
      (typeof readers)[keyof typeof readers] | undefined;
    if (!(await (reader ? store.verify(stage, reader[0]) : store.find(stage)))) {
      missing.set(stage.kind, (missing.get(stage.kind) ?? 0) + 1);
      continue;
    }
    if (!reader) continue;
    const [file, format] = reader;
    const value = await readResult<object>(join(store.folderOf(stage), file), format);
    if (!found.has(stage.kind)) found.set(stage.kind, new Map());
    found.get(stage.kind)!.set(stage.id, value);
  }
  const all = <T>(kind: keyof typeof readers): ReadonlyMap<string, T> =>
    (found.get(kind) ?? new Map<string, unknown>()) as ReadonlyMap<string, T>;
  return {
    run,
    manifest,
    studyText: await readFile(join(run, 'study.yaml'), 'utf8').catch(() => ''),
    views: viewsOf(manifest),
    circuits: all<CircuitSummaryFile>('circuit'),
    evaluations: all<EvaluationFile>('evaluation'),
    diffs: all<DiffReport>('diff'),
    formDiffs: all<DiffReport>('form-diff'),
    tracking: [...all<TrackingFile>('tracking').values()],
    regimes: [...all<RegimesFile>('regimes').values()],
    ablations: [...all<AblationStageFile>('ablation').values()],
    heads: [...all<HeadsStageFile>('heads').values()],
    benchmarks: [...all<BenchmarkFile>('benchmark').values()],
    benchmarkAblations: [...all<BenchmarkAblationFile>('benchmark-ablation').values()],
    missing,
  };
}

/** Of all intervals of a run. */
export const confidenceOf = ({ settings }: Manifest): number =>
  (settings['statistics'] as Study['statistics']).confidence;

/** The same as a text: `95 %`. */
export const confidenceText = (manifest: Manifest): string =>
  `${Number((100 * confidenceOf(manifest)).toPrecision(6))} %`;

/** The last checkpoint of every series, with the series' label. */
export function finalCheckpoints({ series }: Manifest): { label: string; name: string }[] {
  return series.map(({ label, checkpoints }) => ({ label, name: checkpoints.at(-1)! }));
}
