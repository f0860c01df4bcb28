// From a study file to a study: the schema, then what a schema cannot say (unique names, rising
// steps, references that exist). Nothing is loaded here; folders and files are checked in facts.ts.

import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkText } from '../argument-checks.js';
import { usualGrid } from '../attribution/gradients.js';
import type { BuildCircuitOptions } from '../circuit/circuit.js';
import { checkStudyFile } from './check.js';
import { benchmarksOf, problemsFile } from './read-benchmarks.js';
import type { StudyFile } from './schema.js';
import { applySchema } from './schema-problems.js';
import { StudySource } from './source.js';
import {
  slug,
  type AblationSpec,
  type Checkpoint,
  type HeadsSpec,
  type PairsInput,
  type PromptForm,
  type Series,
  type SlurmSettings,
  type Study,
  type Task,
} from './study.js';

/** A folder beside the study file, or the text as it is where there is none (a hub id). */
function placeOf(text: string, folder: string): string {
  const path = resolve(folder, text);
  return existsSync(path) || /^[./~]/.test(text) ? path : text;
}

function baseOf(
  { name, model, step }: StudyFile['base'],
  folder: string,
  path: Checkpoint['path'],
): Checkpoint {
  return { name, step, model: placeOf(model, folder), base: name, path };
}

function seriesOf(file: StudyFile, folder: string, common: Checkpoint): Series[] {
  return file.series.map((entry, index) => {
    const base = entry.base ? baseOf(entry.base, folder, ['series', index, 'base']) : common;
    const checkpoints = entry.checkpoints.map(
      ({ name, step, model, adapter }, place): Checkpoint => ({
        name: name ?? `${slug(entry.label)}-step${step}`,
        step,
        model: model === undefined ? base.model : placeOf(model, folder),
        ...(adapter === undefined ? {} : { adapter: placeOf(adapter, folder) }),
        base: base.name,
        series: entry.label,
        path: ['series', index, 'checkpoints', place],
      }),
    );
    const reference = entry['corrupted-reward-of'];
    return {
      label: entry.label,
      regime: entry.regime,
      base,
      checkpoints,
      ...(reference === undefined ? {} : { corruptedRewardOf: reference }),
      logs: entry.logs.map(({ name, file: log, at, where, step, value, reduce }, place) => ({
        name,
        file: resolve(folder, log),
        ...(at === undefined ? {} : { at }),
        where: where ?? {},
        step,
        value,
        reduce,
        path: ['series', index, 'logs', place],
      })),
    };
  });
}

function openingsInput(
  entry: NonNullable<StudyFile['tasks'][number]['openings']>,
  { folder, path }: { folder: string; path: Checkpoint['path'] },
): PairsInput {
  const { problems, data, limit, by, template, system, suffix } = entry;
  return {
    kind: 'openings',
    problems: problemsFile(problems, folder),
    folder: resolve(folder, data ?? 'data'),
    openingLength: entry['opening-length'],
    ...(limit === undefined ? {} : { limit }),
    ...(by === undefined ? {} : { by }),
    ...(template === undefined ? {} : { template }),
    ...(system === undefined ? {} : { system }),
    ...(suffix === undefined ? {} : { suffix }),
    path,
  };
}

function inputOf(
  task: StudyFile['tasks'][number],
  form: PromptForm,
  place: { index: number; folder: string; seed: number },
): PairsInput | undefined {
  const { pairs, generate, openings } = task;
  const { index, folder, seed } = place;
  if (typeof pairs === 'string') {
    return { kind: 'file', file: resolve(folder, pairs), path: ['tasks', index, 'pairs'] };
  }
  const own = pairs?.[form.name];
  if (own !== undefined) {
    const path = ['tasks', index, 'pairs', form.name];
    return { kind: 'file', file: resolve(folder, own), path };
  }
  if (openings) return openingsInput(openings, { folder, path: ['tasks', index, 'openings'] });
  if (!generate) return undefined;
  const { task: name, count, terms, operators } = generate;
  const [minOperand, maxOperand] = [generate['min-operand'], generate['max-operand']];
  return {
    kind: 'generate',
    task: name,
    options: {
      count: Math.min(count, task.limit ?? count),
      seed: generate.seed ?? seed,
      ...(terms === undefined ? {} : { terms }),
      ...(operators === undefined ? {} : { operators: operators }),
      ...(minOperand === undefined ? {} : { minOperand }),
      ...(maxOperand === undefined ? {} : { maxOperand }),
    },
    path: ['tasks', index, 'generate'],
  };
}

function tasksOf(file: StudyFile, folder: string): Task[] {
  return file.tasks.map((task, index) => ({
    name: task.name,
    ...(task.limit === undefined ? {} : { limit: task.limit }),
    forms: file['prompt-forms'].flatMap((form) => {
      const input = inputOf(task, form, { index, folder, seed: file.seed });
      return input ? [{ form, input }] : [];
    }),
    path: ['tasks', index],
  }));
}

function selectionOf({ selection }: StudyFile): BuildCircuitOptions {
  const { rule, n, tau, ranking, prune } = selection;
  if (rule === 'threshold') return { rule, tau: tau!, ranking, prune };
  if (rule === 'greedy') return { rule, n: n!, ranking, prune };
  return { rule, n: n!, ...(tau === undefined ? {} : { tau }), ranking, prune };
}

function ablationOf(entry: StudyFile['ablations'][number], index: number): AblationSpec {
  const what: AblationSpec['what'] =
    entry.heads !== undefined
      ? { kind: 'heads', heads: entry.heads }
      : entry.single === true
        ? { kind: 'single' }
        : { kind: 'group', group: entry.group ?? 'emergent', topK: entry['top-k'] ?? 10 };
  return {
    name: entry.name,
    what,
    controls: entry.controls ?? 20,
    factors: entry.factors,
    ablation: entry.ablation,
    positions: entry.positions,
    match: entry.match,
    parts: entry.parts,
    ...(entry.references === undefined ? {} : { references: entry.references }),
    checkpoints: entry.checkpoints,
    ...(entry.benchmarks ? { benchmarks: entry.benchmarks } : {}),
    ...(entry.tasks ? { tasks: entry.tasks } : {}),
    ...(entry['prompt-forms'] ? { forms: entry['prompt-forms'] } : {}),
    path: ['ablations', index],
  };
}

function headsSpecOf(entry: StudyFile['heads'][number], index: number): HeadsSpec {
  const { name, which = 'all', heads, queries, effects, maps, checkpoints, tasks } = entry;
  return {
    name,
    which: heads === undefined ? { kind: which } : { kind: 'heads', heads },
    queries,
    ...(effects === undefined ? {} : { effects }),
    maps,
    mapPair: entry['map-pair'] - 1,
    ...(entry['think-markers'] ? { markers: entry['think-markers'] } : {}),
    checkpoints,
    ...(tasks ? { tasks } : {}),
    ...(entry['prompt-forms'] ? { forms: entry['prompt-forms'] } : {}),
    path: ['heads', index],
  };
}

/** Without keys that the file leaves out. */
function given<T extends object>(entry: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const pairs = Object.entries(entry).filter(([, value]) => value !== undefined);
  return Object.fromEntries(pairs) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function slurmOf({ slurm }: StudyFile): SlurmSettings {
  if (!slurm) return { options: [], stages: {} };
  const stages = Object.entries(slurm.stages).map(([kind, entry]) => [kind, given(entry)]);
  return { ...given(slurm), stages: Object.fromEntries(stages) as SlurmSettings['stages'] };
}

function normalize(file: StudyFile, source: StudySource): Study {
  const folder = dirname(resolve(source.path));
  const common = baseOf(file.base, folder, ['base']);
  const series = seriesOf(file, folder, common);
  const own = series.map(({ base }) => base).filter((base) => base !== common);
  const used = series.some(({ base }) => base === common);
  const bases = [...(used ? [common] : []), ...own];
  const { method, metric } = file.attribution;
  const { resamples, permutations, confidence } = file.statistics;
  const [nullRepeats, blockLength] = [
    file.statistics['null-repeats'],
    file.statistics['block-length'],
  ];
  return {
    name: file.study,
    ...(file.description === undefined ? {} : { description: file.description }),
    seed: file.seed,
    bases,
    checkpoints: [...bases, ...series.flatMap(({ checkpoints }) => checkpoints)],
    series,
    forms: file['prompt-forms'],
    tasks: tasksOf(file, folder),
    attribution: {
      method,
      metric,
      igSteps: file.attribution['ig-steps'],
      igGrid: file.attribution['ig-grid'] ?? usualGrid(method),
      kvEdges: file.attribution['kv-edges'],
    },
    selection: selectionOf(file),
    excluded: file.evaluation.excluded,
    ablations: file.ablations.map(ablationOf),
    heads: file.heads.map(headsSpecOf),
    benchmarks: benchmarksOf(file, folder),
    statistics: {
      confidence,
      resamples: resamples ?? 'auto',
      nullRepeats,
      permutations,
      ...(blockLength === undefined ? {} : { blockLength }),
    },
    slurm: slurmOf(file),
    source,
  };
}

/**
 * Reads and checks a study file.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, and ERR_HEADSPARK_CONFIG whose message has a line
 *   `FILE:LINE: KEY: what was expected` for every mistake.
 */
export async function readStudy(path: string): Promise<Study> {
  checkText('readStudy', 'a path', path);
  const source = await StudySource.read(path);
  const file = applySchema(source);
  const study = normalize(file, source);
  const problems = checkStudyFile(file, study);
  if (problems.length > 0) throw source.error(problems);
  return study;
}
