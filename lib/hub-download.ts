// Model files from the Hugging Face Hub into its usual cache (models--ORG--NAME/{blobs,refs,
// snapshots}), which Python tools share. Downloads report progress and are verified; the library's
// own cache writer is not used because it prints to stdout and cannot report progress.
import type { CallbackResult } from './callbacks.js';
import {
  downloadFile,
  getHFHubCachePath,
  getRepoFolderName,
  listFiles,
  modelInfo,
  type ListFileEntry,
} from '@huggingface/hub';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, copyFile, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { writeFileAtomic } from './atomic-file.js';
import { isWantedFile } from './checkpoint-files.js';
import { HeadsparkError } from './errors.js';
import { isFileError, makeFolder, writeError } from './file-errors.js';

export interface HubProgress {
  /** File being fetched. */
  file: string;
  /** Bytes of all wanted files, fetched so far and in total. */
  bytes: number;
  totalBytes: number;
}

export interface HubOptions {
  /** Use the cache alone. Default: the environment's HF_HUB_OFFLINE. */
  offline?: boolean;
  cacheDir?: string;
  /** Default: the environment's HF_ENDPOINT, else huggingface.co. */
  hubUrl?: string;
  /** Default: the environment's HF_TOKEN. */
  accessToken?: string;
  onProgress?: (progress: HubProgress) => CallbackResult;
  signal?: AbortSignal;
}

export interface HubSnapshot {
  folder: string;
  /** Commit hash. */
  revision: string;
}

interface Repo {
  name: string;
  revision: string;
  folder: string;
  /** Whether weights are left out. */
  textOnly: boolean;
  params: { hubUrl?: string; accessToken?: string; fetch: typeof fetch };
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

const isWeights = (path: string): boolean => /\.safetensors(\.index\.json)?$/.test(path);

/** The cached snapshot of a revision that has a config, if there is one. */
async function cachedSnapshot(repo: Repo): Promise<HubSnapshot | undefined> {
  const ref = isCommit(repo.revision)
    ? repo.revision
    : await readFile(join(repo.folder, 'refs', repo.revision), 'utf8').catch(() => '');
  const revision = ref.trim();
  if (!isCommit(revision)) return undefined;
  const folder = join(repo.folder, 'snapshots', revision);
  const names = await readdir(folder).catch(() => []);
  const usable =
    names.some((name) => name === 'config.json' || name === 'adapter_config.json') &&
    (repo.textOnly || names.some((name) => name.endsWith('.safetensors')));
  return usable ? { folder, revision } : undefined;
}

/** Rejects when the bytes are not those the listing promised. */
function verifier(entry: ListFileEntry, onBytes: (count: number) => void): Transform {
  const hash = createHash('sha256');
  let size = 0;
  const wrong = (what: string): Error =>
    new Error(`${entry.path}: the ${what} is not as announced`);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      onBytes(chunk.length);
      done(null, chunk);
    },
    flush(done) {
      if (size !== entry.size) done(wrong('size'));
      else if (entry.lfs && hash.digest('hex') !== entry.lfs.oid) done(wrong('SHA-256'));
      else done();
    },
  });
}

async function fetchFile(
  repo: Repo,
  entry: ListFileEntry,
  blob: string,
  options: { onBytes: (count: number) => void; signal?: AbortSignal | undefined },
): Promise<void> {
  const data = await downloadFile({
    ...repo.params,
    repo: repo.name,
    path: entry.path,
    revision: repo.revision,
  });
  if (!data) throw new Error(`${entry.path} is listed but cannot be fetched`);
  await makeFolder(dirname(blob));
  const incomplete = `${blob}.${randomBytes(4).toString('hex')}.incomplete`;
  try {
    await pipeline(
      Readable.fromWeb(data.stream()),
      verifier(entry, options.onBytes),
      createWriteStream(incomplete),
      options.signal ? { signal: options.signal } : {},
    );
    await rename(incomplete, blob);
  } finally {
    await rm(incomplete, { force: true });
  }
}

async function linkBlob(blob: string, pointer: string): Promise<void> {
  await makeFolder(dirname(pointer));
  try {
    await symlink(relative(dirname(pointer), blob), pointer);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return;
    // Windows without the right to make links: a copy serves as well.
    if (code !== 'EPERM') throw error;
    await copyFile(blob, pointer);
  }
}

/** The wanted files at a commit; a blob name from the listing must be a plain hash. */
async function listWanted(repo: Repo): Promise<ListFileEntry[]> {
  const entries: ListFileEntry[] = [];
  for await (const entry of listFiles({
    ...repo.params,
    repo: repo.name,
    revision: repo.revision,
    recursive: true,
  })) {
    if (entry.type !== 'file' || !isWantedFile(entry.path)) continue;
    if (!repo.textOnly || !isWeights(entry.path)) entries.push(entry);
  }
  return entries;
}

function blobName(entry: ListFileEntry): string {
  const name = entry.lfs?.oid ?? entry.xetHash ?? entry.oid ?? '';
  if (!/^[0-9a-f]{40,64}$/.test(name)) throw new Error(`${entry.path} has no usable hash`);
  return name;
}

async function download(repo: Repo, options: HubOptions): Promise<HubSnapshot> {
  const info = await modelInfo({
    ...repo.params,
    name: repo.name,
    revision: repo.revision,
    additionalFields: ['sha'],
  });
  if (!isCommit(info.sha)) throw new Error(`the hub names no commit for ${repo.name}`);
  const commit: Repo = { ...repo, revision: info.sha };
  const entries = await listWanted(commit);
  const totalBytes = entries.reduce((sum, entry) => sum + entry.size, 0);
  let bytes = 0;
  const folder = join(repo.folder, 'snapshots', info.sha);
  // Small files first: a missing config or a refused licence shows before gigabytes are fetched.
  for (const entry of entries.sort((a, b) => a.size - b.size)) {
    options.signal?.throwIfAborted();
    const report = (count: number): void => {
      bytes += count;
      options.onProgress?.({ file: entry.path, bytes, totalBytes });
    };
    const pointer = join(folder, ...entry.path.split('/'));
    const blob = join(repo.folder, 'blobs', blobName(entry));
    const cached = (await exists(pointer)) || (await exists(blob));
    if (cached) report(entry.size);
    else await fetchFile(commit, entry, blob, { onBytes: report, signal: options.signal });
    await linkBlob(blob, pointer);
  }
  if (repo.revision !== info.sha) {
    const ref = join(repo.folder, 'refs', ...repo.revision.split('/'));
    await makeFolder(dirname(ref));
    await writeFileAtomic(ref, info.sha);
  }
  return { folder, revision: info.sha };
}

function networkError(repo: Repo, error: unknown): HeadsparkError {
  const status = (error as { statusCode?: number }).statusCode;
  const id = `${repo.name}@${repo.revision}`;
  const reason =
    status === 401 || status === 403
      ? 'access is refused (check the name, accept its licence on the hub and set HF_TOKEN)'
      : status === 404
        ? 'there is no such model or revision'
        : `it is not in the cache and the download failed (${(error as Error).message})`;
  return new HeadsparkError(
    'ERR_HEADSPARK_NETWORK',
    `${id} could not be had from the Hugging Face Hub: ${reason}.`,
    {
      cause: error,
    },
  );
}

function repoOf(name: string, revision: string, options: SnapshotOptions): Repo {
  const hubUrl = (options.hubUrl ?? process.env['HF_ENDPOINT'])?.replace(/\/+$/, '');
  const accessToken = options.accessToken ?? process.env['HF_TOKEN'];
  const { signal } = options;
  const fetchWithSignal: typeof fetch = (input, init) =>
    fetch(input, signal ? { ...init, signal } : init);
  const cache = options.cacheDir ?? getHFHubCachePath();
  return {
    name,
    revision,
    folder: join(cache, getRepoFolderName({ name, type: 'model' })),
    textOnly: options.textOnly ?? false,
    params: {
      fetch: fetchWithSignal,
      ...(hubUrl ? { hubUrl } : {}),
      ...(accessToken ? { accessToken } : {}),
    },
  };
}

export interface SnapshotOptions extends HubOptions {
  /** Tokenizer, chat template and configuration alone: weights are not downloaded. */
  textOnly?: boolean;
}

/**
 * The local snapshot of a model at a revision, downloading what the cache lacks. Without a network
 * the cached snapshot of the revision is used.
 * @throws ERR_HEADSPARK_NETWORK when it is neither in the cache nor to be had,
 *   ERR_HEADSPARK_FILE_WRITE for a cache that cannot be written, ERR_HEADSPARK_CANCELLED when
 *   `signal` aborts.
 */
export async function hubSnapshot(
  name: string,
  revision: string,
  options: SnapshotOptions = {},
): Promise<HubSnapshot> {
  const repo = repoOf(name, revision, options);
  const offlineWord = process.env['HF_HUB_OFFLINE'] ?? '';
  if (options.offline ?? /^(1|true|yes|on)$/i.test(offlineWord)) {
    const cached = await cachedSnapshot(repo);
    if (cached) return cached;
    throw new HeadsparkError(
      'ERR_HEADSPARK_NETWORK',
      `${name}@${revision} is not in the cache ${repo.folder}, and downloads are turned off (offline).`,
    );
  }
  try {
    return await download(repo, options);
  } catch (error) {
    if (options.signal?.aborted) {
      const message = `the download of ${name} was cancelled.`;
      throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', message, { cause: error });
    }
    const status = (error as { statusCode?: number }).statusCode ?? 0;
    // A refusal is an answer; anything else means that the hub is out of reach for now.
    const refused = [401, 403, 404].includes(status);
    const cached = refused ? undefined : await cachedSnapshot(repo);
    if (cached) return cached;
    // A full or read-only cache is not the network's fault.
    if (error instanceof HeadsparkError) throw error;
    throw isFileError(error) ? writeError(repo.folder, error) : networkError(repo, error);
  }
}
