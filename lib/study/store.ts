// Where results lie: RUN/results/KIND/ID@KEY/, each with done.json naming its files and their
// hashes. A result is made in RUN/work and moved into place by one rename, so it is there whole or
// not at all. What a disk did to it later is found by size at any look, by hash before it is read.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../atomic-file.js';
import { HeadsparkError } from '../errors.js';
import { makeFolder, systemCode, writingTo } from '../file-errors.js';
import { readJsonIfExists } from '../json-file.js';
import { lockFile, type FileLock } from '../lock-file.js';

/** What is enough to find a result. */
export interface ResultName {
  readonly kind: string;
  readonly id: string;
  readonly key: string;
}

/** One file of a result. */
export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface StoredResult extends ResultName {
  readonly files: StoredFile[];
}

const doneName = 'done.json';

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** A result that is not as it was stored. */
export class DamagedResult extends HeadsparkError {
  /** `FILE is damaged`: what is wrong, without what to do. */
  readonly problem: string;

  constructor(problem: string) {
    super(
      'ERR_HEADSPARK_FILE_CORRUPT',
      `${problem}; run the study again, which computes that result again.`,
    );
    this.problem = problem;
  }
}

/** What is found, or undefined where it is damaged, which `onDamage` hears of. */
export async function unlessDamaged<T>(
  found: Promise<T>,
  onDamage?: (damage: DamagedResult) => void,
): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (!(error instanceof DamagedResult)) throw error;
    onDamage?.(error);
    return undefined;
  }
}

function isStoredFile(value: unknown): value is StoredFile {
  const { name, bytes, sha256 } = (value ?? {}) as Partial<StoredFile>;
  return (
    typeof name === 'string' &&
    /^[\w.-]+$/.test(name) &&
    Number.isSafeInteger(bytes) &&
    typeof sha256 === 'string'
  );
}

/** A result that is being made. */
export interface WorkPlace {
  /** Empty; becomes the result. */
  readonly folder: string;
  /** Kept between attempts. */
  readonly stateFolder: string;
  readonly lock: FileLock;
}

export class ResultStore {
  readonly run: string;
  readonly #verified = new Set<string>();

  constructor(run: string) {
    this.run = run;
  }

  folderOf({ kind, id, key }: ResultName): string {
    return join(this.run, 'results', kind, `${id}@${key}`);
  }

  #workOf({ kind, id, key }: ResultName): string {
    return join(this.run, 'work', `${kind}.${id}@${key}`);
  }

  /**
   * The stored result, or undefined; its files have the bytes that were stored by number.
   * @throws ERR_HEADSPARK_FILE_CORRUPT for a damaged one.
   */
  async find(name: ResultName): Promise<StoredResult | undefined> {
    const folder = this.folderOf(name);
    const path = join(folder, doneName);
    const done = await readJsonIfExists(path).catch((error: unknown) => {
      throw systemCode(error) === undefined ? new DamagedResult(`${path} is damaged`) : error;
    });
    if (!done) return undefined;
    const files: unknown = done['files'];
    if (!Array.isArray(files) || !files.every(isStoredFile))
      throw new DamagedResult(`${path} is damaged`);
    for (const { name: file, bytes } of files) {
      const place = join(folder, file);
      const size = await stat(place).then(
        (info) => info.size,
        () => undefined,
      );
      if (size !== bytes) throw new DamagedResult(`${place} does not have its ${bytes} bytes`);
    }
    return { ...name, files };
  }

  /**
   * The stored result as `find` gives it, once its files, or the one named `only`, have the hashes that
   * they were stored with. A store reads the files of a result once for this.
   * @throws as `find`.
   */
  async verify(name: ResultName, only?: string): Promise<StoredResult | undefined> {
    const stored = await this.find(name);
    const folder = this.folderOf(name);
    for (const { name: file, sha256 } of stored?.files ?? []) {
      const path = join(folder, file);
      if ((only !== undefined && file !== only) || this.#verified.has(path)) continue;
      if ((await sha256OfFile(path)) !== sha256) {
        throw new DamagedResult(`${path} does not have the hash that it was stored with`);
      }
      this.#verified.add(path);
    }
    return stored;
  }

  /** Whether there is a result whose files have their sizes: what only counts results asks no more. */
  async has(name: ResultName): Promise<boolean> {
    return (await unlessDamaged(this.find(name))) !== undefined;
  }

  /** True where an earlier attempt left something to go on from. */
  async isBegun(name: ResultName): Promise<boolean> {
    const state = join(this.#workOf(name), 'state');
    return (await readdir(state).catch(() => [])).length > 0;
  }

  /** @throws ERR_HEADSPARK_INVALID_ARGUMENT when another process is making the same result. */
  async begin(name: ResultName): Promise<WorkPlace> {
    const work = this.#workOf(name);
    const [folder, stateFolder] = [join(work, 'result'), join(work, 'state')];
    const lock = await this.#lock(work, `the stage ${name.kind} ${name.id}`);
    await makeFolder(stateFolder);
    await writingTo(folder, async () => {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
    });
    return { folder, stateFolder, lock };
  }

  /** The lock of a work folder, which another process may be removing at the same time. */
  async #lock(work: string, subject: string): Promise<FileLock> {
    for (let attempt = 1; ; attempt++) {
      try {
        // Fails too where the folder is there first and gone when it is looked at again.
        await makeFolder(work);
        return await lockFile(join(work, 'lock'), subject);
      } catch (error) {
        const gone = ['ENOENT', 'EEXIST'].includes(systemCode(error) ?? '');
        if (!gone || attempt === 10) throw error;
      }
    }
  }

  /** Removes a work place: its contents under the lock, then the folder, unless it was taken anew. */
  async discard(name: ResultName, { lock }: WorkPlace): Promise<void> {
    const work = this.#workOf(name);
    for (const entry of await readdir(work)) {
      // Drafts of locks too, which killed processes leave; a live one's owner tries again.
      if (entry !== 'lock') await rm(join(work, entry), { recursive: true, force: true });
    }
    await lock.release();
    await rmdir(work).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error;
    });
  }

  /** Removes what a process left that was killed after its result was stored. */
  async tidy(name: ResultName): Promise<void> {
    const work = this.#workOf(name);
    if (!(await readdir(work).catch(() => undefined))) return;
    try {
      await this.discard(name, await this.begin(name));
    } catch (error) {
      const inUse =
        error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_INVALID_ARGUMENT';
      if (!inUse) throw error;
    }
  }

  /** Stores what is in the work folder as the result. */
  async finish(name: ResultName, place: WorkPlace): Promise<StoredResult> {
    const { folder } = place;
    const names = (await readdir(folder)).sort();
    const files: StoredFile[] = [];
    for (const file of names) {
      const path = join(folder, file);
      const { size } = await stat(path);
      files.push({ name: file, bytes: size, sha256: await sha256OfFile(path) });
    }
    const { kind, id, key } = name;
    await writeFileAtomic(
      join(folder, doneName),
      `${JSON.stringify({ format: 'headspark-result', version: 1, kind, id, key, files })}\n`,
    );
    const target = this.folderOf(name);
    const parent = join(this.run, 'results', kind);
    await makeFolder(parent);
    await writingTo(target, async () => {
      // What a power cut left behind, without done.json, or a damaged result.
      await rm(target, { recursive: true, force: true });
      await rename(folder, target);
      await syncFolder(parent);
    });
    for (const { name: file } of files) this.#verified.add(join(target, file));
    await this.discard(name, place);
    return { ...name, files };
  }

  /** Every stored result, whatever study settings it belongs to. */
  async list(): Promise<ResultName[]> {
    const root = join(this.run, 'results');
    const names: ResultName[] = [];
    for (const kind of (await readdir(root).catch(() => [])).sort()) {
      for (const entry of (await readdir(join(root, kind)).catch(() => [])).sort()) {
        const split = entry.lastIndexOf('@');
        if (split > 0) names.push({ kind, id: entry.slice(0, split), key: entry.slice(split + 1) });
      }
    }
    return names;
  }
}
