// From what a user writes as MODEL (a folder or ORG/NAME[@REVISION]) and --adapter to the folders
// that hold the files. A PEFT adapter given as MODEL leads to its base.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { withCallbacks } from './callbacks.js';
import { HeadsparkError } from './errors.js';
import type { HubOptions, SnapshotOptions } from './hub-download.js';
import { readJsonIfExists } from './json-file.js';
import { isFolder } from './path-kinds.js';

export type { HubOptions, HubProgress } from './hub-download.js';

export interface CheckpointRequest {
  /** Folder, or `ORG/NAME` or `ORG/NAME@REVISION` on the Hugging Face Hub. */
  model: string;
  /** LoRA adapter on top of `model`, given in the same way. */
  adapter?: string;
  /** The base model, when `model` itself is an adapter whose base cannot be found. */
  base?: string;
  hub?: HubOptions;
  /** Tokenizer, chat template and config.json alone: no weights need to be there. */
  textOnly?: boolean;
}

/** Where the files of one checkpoint are. */
export interface ResolvedCheckpoint {
  /** Folder of the (base) model: config.json and safetensors. */
  folder: string;
  /** Folder of the adapter, if there is one. */
  adapterFolder?: string;
  /** Folder whose tokenizer and chat template belong to the checkpoint. */
  tokenizerFolder: string;
  /** Hub id of the base, or its absolute folder; the adapter's is added after a `+`. */
  id: string;
  /** Commit hash for a hub model; undefined for a folder. */
  revision?: string;
  /** Files of the base folder that matter, sorted. */
  files: string[];
  /** Short name for tables and plots. */
  label: string;
}

interface Location {
  folder: string;
  id: string;
  label: string;
  revision?: string;
  files: string[];
}

/** Splits `ORG/NAME[@REVISION]`; undefined for anything else. */
export function parseHubId(text: string): { name: string; revision: string } | undefined {
  const part = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
  const match = new RegExp(`^(${part}/${part})(?:@([A-Za-z0-9][\\w./-]{0,200}))?$`).exec(text);
  if (!match || /\.\.|\/\/|\/$/.test(match[2] ?? '')) return undefined;
  return { name: match[1], revision: match[2] ?? 'main' };
}

async function listFolder(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => /\.(json|jinja|safetensors)$/.test(name)).sort();
}

async function locate(text: string, what: string, hub: SnapshotOptions): Promise<Location> {
  const folder = resolve(text);
  if (text !== '' && (await isFolder(folder))) {
    return { folder, id: folder, label: basename(folder), files: await listFolder(folder) };
  }
  if (text !== '' && (await stat(folder).catch(() => undefined))) {
    const message = `${what} ${text} is a file; give the folder that holds config.json.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  const id = parseHubId(text);
  if (!id) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_NOT_FOUND',
      `${what} "${text}" is neither an existing folder nor a Hugging Face id (ORG/NAME or ORG/NAME@REVISION).`,
    );
  }
  try {
    const { hubSnapshot } = await import('./hub-download.js');
    const snapshot = await withCallbacks(hub, (own) => hubSnapshot(id.name, id.revision, own));
    const label = id.name.split('/')[1] + (id.revision === 'main' ? '' : `@${id.revision}`);
    return { ...snapshot, id: id.name, label, files: await listFolder(snapshot.folder) };
  } catch (error) {
    if (!(error instanceof HeadsparkError) || error.code !== 'ERR_HEADSPARK_NETWORK') throw error;
    const message = `${what} ${text} is not a folder here, and ${error.message}`;
    throw new HeadsparkError(error.code, message, { cause: error });
  }
}

const isAdapter = (place: Location): boolean =>
  place.files.includes('adapter_config.json') && !place.files.includes('config.json');

function missing(place: Location, option: string, what: string): HeadsparkError {
  const found = place.files.slice(0, 12).join(', ') || 'none of a checkpoint';
  const message = `${option} ${place.folder} has no ${what} (its files: ${found}).`;
  return new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', message);
}

function checkModel(place: Location, option: string, textOnly: boolean): void {
  if (textOnly) {
    if (['tokenizer.json', 'config.json'].some((name) => place.files.includes(name))) return;
    throw missing(place, option, 'tokenizer.json and no config.json');
  }
  if (!place.files.includes('config.json')) throw missing(place, option, 'config.json');
  if (!place.files.some((name) => name.endsWith('.safetensors'))) {
    throw missing(place, option, '*.safetensors weights (other formats are not read)');
  }
}

function checkAdapter(place: Location, option: string, textOnly: boolean): void {
  if (!place.files.includes('adapter_config.json')) {
    throw missing(place, option, 'adapter_config.json, so it is not an adapter');
  }
  if (!textOnly && !place.files.includes('adapter_model.safetensors')) {
    throw missing(place, option, 'adapter_model.safetensors');
  }
}

/** The base that an adapter's config names: beside it, under one of its parents, or on the hub. */
async function findBase(adapter: Location, hub: SnapshotOptions): Promise<Location> {
  const path = join(adapter.folder, 'adapter_config.json');
  const name = (await readJsonIfExists(path))?.['base_model_name_or_path'];
  const advice = 'give the base model (the option base).';
  if (typeof name !== 'string' || name === '') {
    const message = `${path} does not name its base model (base_model_name_or_path): ${advice}`;
    throw new HeadsparkError('ERR_HEADSPARK_CONFIG', message);
  }
  for (let parent = adapter.folder; ; parent = dirname(parent)) {
    // The name as it is, and its last part: training scripts leave behind paths of other machines.
    for (const candidate of [resolve(parent, name), join(parent, basename(name)), parent]) {
      const fits = candidate !== parent || basename(parent) === basename(name);
      if (fits && (await stat(join(candidate, 'config.json')).catch(() => undefined))) {
        return locate(candidate, 'the base model', hub);
      }
    }
    if (dirname(parent) === parent) break;
  }
  const id = parseHubId(name);
  const problem = `the base model "${name}" that ${path} names was not found`;
  if (!id) {
    const message = `${problem} beside the adapter or in a folder above it: ${advice}`;
    throw new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', message);
  }
  try {
    return await locate(name, 'the base model', hub);
  } catch (error) {
    if (!(error instanceof HeadsparkError) || error.code === 'ERR_HEADSPARK_CANCELLED') throw error;
    const message = `${problem}: ${error.message.replace(/\.$/, '')}; ${advice}`;
    throw new HeadsparkError(error.code, message, { cause: error });
  }
}

function combine(base: Location, adapter: Location | undefined): ResolvedCheckpoint {
  const own = adapter?.files.includes('tokenizer.json') ?? false;
  return {
    folder: base.folder,
    ...(adapter ? { adapterFolder: adapter.folder } : {}),
    tokenizerFolder: own ? adapter!.folder : base.folder,
    id: adapter ? `${base.id}+${adapter.id}` : base.id,
    ...(base.revision === undefined ? {} : { revision: base.revision }),
    files: base.files,
    label: adapter ? `${base.label}+${adapter.label}` : base.label,
  };
}

/**
 * Resolves a checkpoint, downloading it if it is on the hub.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND naming what is missing, ERR_HEADSPARK_NETWORK when a hub
 *   model is neither cached nor to be had, ERR_HEADSPARK_INVALID_ARGUMENT for options that
 *   contradict each other.
 */
export async function resolveCheckpoint(request: CheckpointRequest): Promise<ResolvedCheckpoint> {
  const { textOnly = false } = request;
  const hub: SnapshotOptions = { ...request.hub, textOnly };
  const model = await locate(request.model, 'the model', hub);
  if (isAdapter(model)) {
    if (request.adapter !== undefined) {
      const message = `the model ${request.model} is an adapter itself; leave the other adapter out, or give its base as the model.`;
      throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
    }
    checkAdapter(model, 'the model', textOnly);
    const base =
      request.base === undefined
        ? await findBase(model, hub)
        : await locate(request.base, 'the base model', hub);
    checkModel(base, 'the base model', textOnly);
    return combine(base, model);
  }
  if (request.base !== undefined) {
    const message = `a base is only for a model that is an adapter; ${request.model} is not one.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  checkModel(model, 'the model', textOnly);
  if (request.adapter === undefined) return combine(model, undefined);
  const adapter = await locate(request.adapter, 'the adapter', hub);
  checkAdapter(adapter, 'the adapter', textOnly);
  return combine(model, adapter);
}
