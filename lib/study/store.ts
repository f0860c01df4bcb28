// Where results lie: RUN/results/KIND/ID@KEY/, each with done.json naming its files and their
// hashes. A result is made in RUN/work and moved into place by one rename, so it is there whole or
// not at all. What a disk did to it later is found by size at any look, by hash before it is read.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../atomic-file.js';
import { isObject, settingsHash } from '../canonical-json.js';
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

/**
 * What a result was made of, by content: where all of it is the same, so is the result, whatever the
 * keys of what it read.
 */
export interface Basis {
  /** Of settings, weights, version and processor. */
  readonly own: string;
  /** By role, of what was read. */
  readonly reads: Readonly<Record<string, string>>;
  /** Of what decides the costly part; of stages that have one. */
  readonly costly?: string;
}

export interface StoredResult extends ResultName {
  readonly files: StoredFile[];
  /** Absent in results of versions that did not note it. */
  readonly basis?: Basis;
}

/** One text for equal contents. */
const contentOf = ({ own, reads }: Basis): string => settingsHash({ own, reads });

export const isSameBasis = (a: Basis, b: Basis): boolean => contentOf(a) === contentOf(b);

/**
 * Work is kept under what it is made of, not under the key of its result, so that what was begun goes
 * on where an earlier stage came to the same again.
 */
export const workName = (
  { kind, id }: Pick<ResultName, 'kind' | 'id'>,
  basis: Basis,
): ResultName => ({
  kind,
  id,
  key: contentOf(basis).slice(0, 20),
});

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

function isBasis(value: unknown): value is Basis {
  const { own, reads, costly } = (value ?? {}) as Partial<Basis>;
  return (
    typeof own === 'string' &&
    isObject(reads) &&
    Object.values(reads).every((digest) => typeof digest === 'string') &&
    (costly === undefined || typeof costly === 'string')
  );
}

async function filesOf(folder: string): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    const { size } = await stat(path);
    files.push({ name, bytes: size, sha256: await sha256OfFile(path) });
  }
  return files;
}

/** A result that is being made. */
export interface WorkPlace {
  /** Holds the folders. */
  readonly path: string;
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
    const { basis } = done;
    return { ...name, files, ...(isBasis(basis) ? { basis } : {}) };
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

  /** Whether there is a result that is whole, to the bit; `onDamage` hears of one that is not. */
  async isWhole(name: ResultName, onDamage?: (damage: DamagedResult) => void): Promise<boolean> {
    return (await unlessDamaged(this.verify(name), onDamage)) !== undefined;
  }

  /** Whether there is a result whose files have their sizes: what only counts results asks no more. */
  async has(name: ResultName): Promise<boolean> {
    return (await unlessDamaged(this.find(name))) !== undefined;
  }

  /** Whole results of a kind, whatever their settings, whose id is such; in the order of names. */
  async findAll(kind: string, isOf: (id: string) => boolean): Promise<StoredResult[]> {
    const found: StoredResult[] = [];
    for (const name of await this.#listKind(kind)) {
      // What is damaged stops whoever needs it, not those who could do without.
      const stored = isOf(name.id) ? await unlessDamaged(this.find(name)) : undefined;
      if (stored) found.push(stored);
    }
    return found;
  }

  /** True where an earlier attempt left something to go on from; `name` is that of the work. */
  async isBegun(name: ResultName): Promise<boolean> {
    const state = join(this.#workOf(name), 'state');
    return (await readdir(state).catch(() => [])).length > 0;
  }

  /**
   * `name` is that of the work.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT when another process is making the same result.
   */
  async begin(name: ResultName): Promise<WorkPlace> {
    const work = this.#workOf(name);
    const [folder, stateFolder] = [join(work, 'result'), join(work, 'state')];
    const lock = await this.#lock(work, `the stage ${name.kind} ${name.id}`);
    await makeFolder(stateFolder);
    await writingTo(folder, async () => {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
    });
    return { path: work, folder, stateFolder, lock };
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
  async discard({ path: work, lock }: WorkPlace): Promise<void> {
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
  async tidy({ basis, ...stored }: StoredResult): Promise<void> {
    const name = basis ? workName(stored, basis) : stored;
    if (!(await readdir(this.#workOf(name)).catch(() => undefined))) return;
    try {
      await this.discard(await this.begin(name));
    } catch (error) {
      const inUse =
        error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_INVALID_ARGUMENT';
      if (!inUse) throw error;
    }
  }

  /**
   * Puts the files of another result into the work folder, as links where the file system has them:
   * samples may be large, and no stored file is ever written to.
   */
  async takeOver({ files, ...name }: StoredResult, { folder }: WorkPlace): Promise<void> {
    for (const { name: file } of files) {
      const [from, to] = [join(this.folderOf(name), file), join(folder, file)];
      await writingTo(to, () => link(from, to).catch(() => copyFile(from, to)), { resumes: true });
    }
  }

  /** Stores what is in the work folder as the result; `known` are the files where they are known. */
  async finish(
    name: ResultName,
    place: WorkPlace,
    of: { basis: Basis; known?: StoredFile[] },
  ): Promise<StoredResult> {
    const { folder } = place;
    const { basis, known } = of;
    const files = known ?? (await filesOf(folder));
    const { kind, id, key } = name;
    const done = { format: 'headspark-result', version: 1, kind, id, key, basis, files };
    await writeFileAtomic(join(folder, doneName), `${JSON.stringify(done)}\n`);
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
    await this.discard(place);
    return { kind, id, key, files, basis };
  }

  async #listKind(kind: string): Promise<ResultName[]> {
    const entries = await readdir(join(this.run, 'results', kind)).catch(() => []);
    return entries.sort().flatMap((entry): ResultName[] => {
      const split = entry.lastIndexOf('@');
      return split > 0 ? [{ kind, id: entry.slice(0, split), key: entry.slice(split + 1) }] : [];
    });
  }

  /** Every stored result, whatever study settings it belongs to. */
  async list(): Promise<ResultName[]> {
    const kinds = await readdir(join(this.run, 'results')).catch(() => []);
    const names: ResultName[] = [];
    for (const kind of kinds.sort()) names.push(...(await this.#listKind(kind)));
    return names;
  }
}
