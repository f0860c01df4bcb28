// RUN/manifest.json: what a run is made of. Names, hashes, versions, processor and seeds; nothing
// that changes from one run of the same study to the next on the same machine.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { settingsHash } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { readJsonIfExists } from '../json-file.js';
import { version } from '../version.js';
import type { Facts } from './facts.js';
import type { StudyGraph } from './graph.js';
import type { Study } from './study.js';

export const manifestFormat = 'headspark-study-run';

export interface ManifestCheckpoint {
  readonly name: string;
  readonly step: number;
  readonly base: string;
  readonly series?: string;
  readonly fingerprint: string;
  readonly layers: number;
  readonly heads: number;
  readonly parameterCount: number;
}

export interface ManifestStage {
  readonly kind: string;
  readonly id: string;
  readonly key: string;
  /** By role: `KIND/ID@KEY`. */
  readonly needs: Readonly<Record<string, string>>;
}

export interface Manifest {
  readonly format: typeof manifestFormat;
  readonly version: 1;
  readonly headspark: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly isa: string;
  readonly device: string;
  /** Name of the GPU that `device` names; null on the CPU. */
  readonly gpu: string | null;
  readonly study: string;
  readonly description?: string;
  readonly seed: number;
  readonly checkpoints: ManifestCheckpoint[];
  readonly series: {
    readonly label: string;
    readonly regime: string;
    readonly base: string;
    readonly checkpoints: string[];
    readonly corruptedRewardOf?: string;
  }[];
  readonly tasks: { readonly name: string; readonly forms: string[] }[];
  readonly pairs: { readonly name: string; readonly count: number; readonly hash: string }[];
  readonly settings: Record<string, unknown>;
  readonly stages: ManifestStage[];
  /** Of everything above but processor and versions of Node: two runs of one study share it. */
  readonly hash: string;
}

const stageName = ({ kind, id, key }: ManifestStage | StudyGraph['nodes'][number]): string =>
  `${kind}/${id}@${key}`;

function settingsOf(study: Study, facts: Facts): Record<string, unknown> {
  const { attribution, selection, excluded, statistics } = study;
  const ablations = study.ablations.map(({ path: _path, ...rest }) => rest);
  const benchmarks = study.benchmarks.map(
    ({ path: _path, file: _file, folder: _folder, ...rest }) => {
      const { hash, problems } = facts.benchmarks.get(rest.name)!.benchmark;
      return { ...rest, hash, problems: problems.length };
    },
  );
  const heads = study.heads.map(({ path: _path, ...rest }) => rest);
  return { attribution, selection, excluded, statistics, ablations, heads, benchmarks };
}

export function manifestOf(study: Study, facts: Facts, graph: StudyGraph): Manifest {
  const content = {
    headspark: version,
    study: study.name,
    ...(study.description === undefined ? {} : { description: study.description }),
    seed: study.seed,
    checkpoints: study.checkpoints.map(({ name, step, base, series }) => {
      const { fingerprint, shape, parameterCount } = facts.checkpoints.get(name)!;
      const { layers, heads } = shape;
      return {
        name,
        step,
        base,
        ...(series === undefined ? {} : { series }),
        fingerprint,
        layers,
        heads,
        parameterCount,
      };
    }),
    series: study.series.map(({ label, regime, base, checkpoints, corruptedRewardOf }) => ({
      label,
      regime,
      base: base.name,
      checkpoints: checkpoints.map(({ name }) => name),
      ...(corruptedRewardOf === undefined ? {} : { corruptedRewardOf }),
    })),
    tasks: study.tasks.map(({ name, forms }) => ({
      name,
      forms: forms.map(({ form }) => form.name),
    })),
    pairs: [...facts.pairs].map(([name, { pairs, hash }]) => ({ name, count: pairs.length, hash })),
    settings: settingsOf(study, facts),
    stages: graph.nodes.map((node) => ({
      kind: node.kind,
      id: node.id,
      key: node.key,
      needs: Object.fromEntries(
        Object.entries(node.inputs).map(([role, input]) => [role, stageName(input)]),
      ),
    })),
  };
  return {
    format: manifestFormat,
    version: 1,
    ...content,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu: facts.cpu,
    isa: facts.isa,
    device: facts.device,
    gpu: facts.gpu,
    hash: settingsHash(content),
  };
}

export const manifestPath = (run: string): string => join(run, 'manifest.json');

/** Undefined where the folder has none. @throws ERR_HEADSPARK_FILE_CORRUPT. */
export async function readManifestIfExists(run: string): Promise<Manifest | undefined> {
  const path = manifestPath(run);
  const value = await readJsonIfExists(path, { maxBytes: 2 ** 28 });
  if (!value) return undefined;
  const { format, version: number, stages, checkpoints } = value;
  if (format !== manifestFormat || number !== 1) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_CORRUPT',
      `${path} is not a manifest of version 1.`,
    );
  }
  if (!Array.isArray(stages) || !Array.isArray(checkpoints)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_CORRUPT',
      `${path} is damaged; run the study again.`,
    );
  }
  return value as unknown as Manifest;
}

/** @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_FILE_CORRUPT. */
export async function readManifest(run: string): Promise<Manifest> {
  const manifest = await readManifestIfExists(run);
  if (manifest) return manifest;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_NOT_FOUND',
    `${run} is not the folder of a study run: it has no manifest.json; make one with: ` +
      'headspark study run STUDY --out FOLDER.',
  );
}

/** @throws ERR_HEADSPARK_SETTINGS_MISMATCH where the folder holds a study of another name. */
export function checkStudyName(run: string, held: unknown, name: string): void {
  if (typeof held !== 'string' || held === name) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_SETTINGS_MISMATCH',
    `${run} holds the study "${held}", not "${name}"; use another folder.`,
  );
}

const studyCopy = (run: string): string => join(run, 'study.yaml');

/** Keeps the study file's text beside the results. */
export async function keepStudyText(run: string, text: string): Promise<void> {
  const copy = studyCopy(run);
  if ((await readFile(copy, 'utf8').catch(() => undefined)) === text) return;
  await writeFileAtomic(copy, text);
}

/**
 * Refuses to go on with a run that was begun from another text or on another kind of processor.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH.
 */
export async function checkBegunAlike(run: string, now: Manifest, text: string): Promise<void> {
  const begun = await readFile(studyCopy(run), 'utf8').catch(() => undefined);
  if (begun !== undefined && begun !== text) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_SETTINGS_MISMATCH',
      `the study file changed since ${run} was begun (${studyCopy(run)} is what it was); submit ` +
        'the study again.',
    );
  }
  const previous = await readJsonIfExists(manifestPath(run), { maxBytes: 2 ** 28 });
  for (const key of ['headspark', 'isa', 'device', 'gpu'] as const) {
    if (!previous || previous[key] === now[key]) continue;
    // Stages that need no model run where no GPU is to be seen, too.
    if (key === 'gpu' && (now.gpu === null || typeof previous[key] !== 'string')) continue;
    const advice = {
      headspark: 'run every task with the same version',
      isa: 'run every task with HEADSPARK_ISA set to a level that all machines have, or on equal ones',
      device: 'run every task with the same device',
      gpu: 'ask for one type of GPU (gpus: TYPE:NUMBER), or use another folder',
    }[key];
    throw new HeadsparkError(
      'ERR_HEADSPARK_SETTINGS_MISMATCH',
      `${run} was begun with ${key} ${String(previous[key])}, and ${hostname()} has ${now[key]}: ` +
        `results would not fit together; ${advice}.`,
    );
  }
}

/**
 * Writes the manifest and a copy of the study file.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH where the folder holds a study of another name.
 */
export async function writeManifest(run: string, manifest: Manifest, text: string): Promise<void> {
  const path = manifestPath(run);
  const previous = await readJsonIfExists(path, { maxBytes: 2 ** 28 });
  checkStudyName(run, previous?.['study'], manifest.study);
  // A task of a stage that needs no model may run where the GPU is not to be seen.
  const seen = previous?.['device'] === manifest.device ? previous['gpu'] : null;
  const gpu = manifest.gpu ?? (typeof seen === 'string' ? seen : null);
  await writeFileAtomic(path, `${JSON.stringify({ ...manifest, gpu }, null, 1)}\n`);
  await keepStudyText(run, text);
}
