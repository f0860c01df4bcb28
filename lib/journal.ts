// An append-only JSONL journal that makes long runs resumable: a header line with the settings,
// then one line per finished piece of work. Every line carries a CRC-32 of its own bytes, every
// append is fdatasync'ed, and a torn end (killed process, power cut) is cut off when it is opened. Lines
// that a disk damaged before others are left out: what they held is computed again.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder, writeFileAtomic } from './atomic-file.js';
import type { CallbackResult } from './callbacks.js';
import { HeadsparkError } from './errors.js';
import { readError, systemCode, writeError, writingTo } from './file-errors.js';
import { lockFile, type FileLock } from './lock-file.js';
import { decodeLine, encodeLine, linePrefix } from './journal-line.js';
import { canonicalJson, differingKeys, isObject } from './canonical-json.js';

export { writeFileAtomic };
export { canonicalJson, differingKeys, settingsHash } from './canonical-json.js';

const formatName = 'headspark-journal';
const formatVersion = 1;

export interface JournalOptions {
  path: string;
  /** Everything that decides the results; a journal made with other settings is refused. */
  settings: Record<string, unknown>;
  /** Sync after this many appends (and on flush and close). Default 1: nothing finished is lost. */
  syncEvery?: number;
  /** Records follow each other: behind a damaged line none is kept. Default: each stands by itself. */
  inOrder?: boolean;
  /** Called where damaged lines are left out. */
  onRemark?: ((remark: string) => CallbackResult) | undefined;
}

interface JournalContent {
  records: Map<string, unknown>;
  /** Length of the beginning of the file that is kept, in bytes; 0 when even the header is missing. */
  validBytes: number;
  /** The settings in the header; undefined when the header is missing. */
  settings: unknown;
  /** Numbers of lines that are damaged and stand before good ones. A crash damages only the end. */
  damaged: number[];
  /** The good lines, where some are damaged. */
  good: Buffer[];
}

const corrupt = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_FILE_CORRUPT', message);

function checkHeader(
  path: string,
  header: unknown,
  settings: Record<string, unknown> | undefined,
): unknown {
  const { format, version, settings: found } = header as Record<string, unknown>;
  if (format !== formatName) throw corrupt(`${path} is not a headspark journal.`);
  if (version !== formatVersion) {
    throw corrupt(
      `${path} is a journal of format version ${String(version)}; this headspark reads version ` +
        `${formatVersion}. Remove the file to start over.`,
    );
  }
  if (settings !== undefined) refuseOtherSettings(path, found, settings);
  return found;
}

/** @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming what a journal was written with and what is now. */
export function refuseOtherSettings(
  path: string,
  found: unknown,
  settings: Record<string, unknown>,
): void {
  const keys = differingKeys(found, settings);
  if (keys.length === 0) return;
  const list = keys.map((k) => `${k.key} (journal: ${k.left}, now: ${k.right})`).join(', ');
  throw new HeadsparkError(
    'ERR_HEADSPARK_SETTINGS_MISMATCH',
    `${path} was written with other settings: ${list}. Use those settings to resume, ` +
      'or another output to start over.',
  );
}

/** @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming what two journals of one run do not share. */
export function refuseUnlike(
  first: { readonly path: string; readonly settings: object },
  other: { readonly path: string; readonly settings: object },
): void {
  const keys = differingKeys(first.settings, other.settings);
  if (keys.length === 0) return;
  const list = keys.slice(0, 5).map((k) => `${k.key} (${k.left} and ${k.right})`);
  const more = keys.length > 5 ? ` and ${keys.length - 5} more` : '';
  throw new HeadsparkError(
    'ERR_HEADSPARK_SETTINGS_MISMATCH',
    `${first.path} and ${other.path} were made with different settings and cannot be merged: ` +
      `${list.join(', ')}${more}.`,
  );
}

/** True when these bytes can be the beginning of a header line that was cut off while written. */
function isTornHeader(bytes: Buffer): boolean {
  const head = bytes.subarray(0, linePrefix.length).toString('latin1');
  return linePrefix.startsWith(head) && !bytes.includes(0x0a);
}

interface ReadOptions {
  readonly settings?: Record<string, unknown>;
  readonly inOrder?: boolean | undefined;
}

function readRecords(
  path: string,
  bytes: Buffer,
  { settings, inOrder = false }: ReadOptions = {},
): JournalContent {
  const content: JournalContent = {
    records: new Map<string, unknown>(),
    validBytes: 0,
    settings: undefined,
    damaged: [],
    good: [],
  };
  let bad: number[] = [];
  for (let start = 0, number = 1; start < bytes.length; number++) {
    const end = bytes.indexOf(0x0a, start);
    const value = end < 0 ? undefined : decodeLine(bytes.subarray(start, end));
    if (value === undefined) {
      if (number === 1 && !isTornHeader(bytes))
        throw corrupt(`${path} is not a headspark journal.`);
      bad.push(number);
    } else {
      content.damaged.push(...bad);
      bad = [];
      const keep = content.damaged.length === 0 || !inOrder;
      if (number === 1) content.settings = checkHeader(path, value, settings);
      else if (keep) addRecord(content.records, value, `${path}:${number}`);
      if (keep) content.good.push(bytes.subarray(start, end + 1));
      content.validBytes = end + 1;
    }
    if (end < 0) break;
    start = end + 1;
  }
  return content;
}

/** Where a journal with damaged lines is kept as it was found. */
const asideOf = (path: string): string => `${path}.damaged`;

/** What a journal holds once damaged lines are out of its file, which is kept beside it as it was. */
async function readMended({
  path,
  settings,
  inOrder,
  onRemark,
}: JournalOptions): Promise<JournalContent> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  const content = readRecords(path, bytes, { settings, inOrder });
  const { damaged, good, records } = content;
  if (damaged.length === 0) return content;
  await rm(asideOf(path), { force: true });
  await link(path, asideOf(path));
  await writeFileAtomic(path, good, { resumes: true });
  const lines = damaged.length > 1 ? `${damaged.length} lines are` : 'a line is';
  onRemark?.(
    `${path}:${damaged[0]}: ${lines} damaged: ${records.size} finished records are kept, what is ` +
      `lost is computed again; ${asideOf(path)} is the journal as it was.`,
  );
  return { ...content, validBytes: good.reduce((sum, line) => sum + line.length, 0) };
}

function addRecord(records: Map<string, unknown>, line: unknown, where: string): void {
  const { key, value } = line as Record<string, unknown>;
  if (typeof key !== 'string') throw corrupt(`${where}: the record has no key.`);
  if (!records.has(key)) records.set(key, value);
}

/** Resumable results keyed by text. Appends from several callers are put in order. */
export class Journal {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #lock: FileLock;
  readonly #records: Map<string, unknown>;
  readonly #syncEvery: number;
  #unsynced = 0;
  #closed = false;
  #failure: unknown;
  #queue: Promise<void> = Promise.resolve();

  private constructor(parts: {
    options: JournalOptions;
    handle: FileHandle;
    lock: FileLock;
    records: Map<string, unknown>;
  }) {
    this.path = parts.options.path;
    this.#handle = parts.handle;
    this.#lock = parts.lock;
    this.#records = parts.records;
    this.#syncEvery = Math.max(1, Math.floor(parts.options.syncEvery ?? 1));
  }

  /**
   * Opens or creates the journal and takes its lock file (`PATH.lock`).
   * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ,
   *   ERR_HEADSPARK_FILE_CORRUPT for another kind of file,
   *   ERR_HEADSPARK_INVALID_ARGUMENT when another process has it open, ERR_HEADSPARK_FILE_WRITE.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const { path, settings } = options;
    const header = encodeLine({ format: formatName, version: formatVersion, settings });
    let lock: FileLock | undefined;
    let handle: FileHandle | undefined;
    try {
      lock = await lockFile(`${path}.lock`, `the journal ${path}`);
      const { records, validBytes } = await readMended(options);
      handle = await open(path, 'a');
      await handle.truncate(validBytes);
      if (validBytes === 0) await handle.appendFile(header);
      await handle.sync();
      await syncFolder(dirname(path));
      return new Journal({ options, handle, lock, records });
    } catch (error) {
      await handle?.close();
      await lock?.release();
      throw writeError(path, error, { resumes: true });
    }
  }

  /** The number of records. */
  get size(): number {
    return this.#records.size;
  }

  has(key: string): boolean {
    return this.#records.has(key);
  }

  /** The value stored under `key`, exactly as JSON gives it back; undefined when there is none. */
  get(key: string): unknown {
    return this.#records.get(key);
  }

  keys(): string[] {
    return [...this.#records.keys()];
  }

  entries(): [string, unknown][] {
    return [...this.#records.entries()];
  }

  /**
   * Adds a record and resolves when it is on disk (or, with `syncEvery` > 1, written).
   * The value must be plain JSON: numbers finite, no undefined, no typed arrays.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a key that is there, or a value JSON cannot hold.
   */
  append(key: string, value: unknown): Promise<void> {
    if (this.#records.has(key)) {
      const message = `the journal ${this.path} already has a record "${key}".`;
      return Promise.reject(new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message));
    }
    let text: string;
    try {
      text = encodeLine({ key, value });
      // What a caller reads back is what a resumed run would read: the value after JSON.
      if (!this.#closed) this.#records.set(key, JSON.parse(canonicalJson(value)));
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    return this.#enqueue(async () => {
      await this.#handle.appendFile(text);
      if (++this.#unsynced >= this.#syncEvery) await this.#sync();
    });
  }

  /** Resolves when every append so far is on disk. */
  flush(): Promise<void> {
    return this.#enqueue(() => this.#sync());
  }

  /** Flushes, closes the file and removes the lock. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const flushed = this.flush();
    this.#closed = true;
    try {
      await flushed;
    } finally {
      await this.#handle.close();
      await this.#lock.release();
    }
  }

  async #sync(): Promise<void> {
    if (this.#unsynced === 0) return;
    await this.#handle.datasync();
    this.#unsynced = 0;
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    if (this.#closed) {
      const message = `the journal ${this.path} is closed.`;
      return Promise.reject(new HeadsparkError('ERR_HEADSPARK_INTERNAL', message));
    }
    const result = this.#queue.then(async () => {
      // After a failed write the end of the file is unknown: nothing more may follow it.
      if (this.#failure !== undefined) throw this.#failure as Error;
      await writingTo(this.path, work, { resumes: true });
    });
    this.#queue = result.catch((error: unknown) => {
      this.#failure ??= error;
    });
    return result;
  }
}

/** What a journal holds, for reading it without taking it over; a torn last line is left out. */
export interface JournalText {
  readonly settings: Record<string, unknown>;
  readonly records: ReadonlyMap<string, unknown>;
}

/**
 * Reads a journal, whatever its settings.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_FILE_CORRUPT.
 */
export async function readJournal(path: string): Promise<JournalText> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw readError(path, error);
  }
  const { records, settings, damaged } = readRecords(path, bytes);
  if (damaged.length > 0) {
    throw corrupt(
      `${path}:${damaged[0]}: the line is damaged; run the command that wrote the journal again, which ` +
        'computes what is lost again.',
    );
  }
  if (typeof settings !== 'object' || settings === null) {
    throw corrupt(`${path} is not a headspark journal.`);
  }
  return { settings: settings as Record<string, unknown>, records };
}

/** What kind of run a journal is of, from its header alone; undefined where there is none. */
export async function journalVerb(path: string): Promise<unknown> {
  const parts: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      const end = chunk.indexOf(0x0a);
      parts.push(end < 0 ? chunk : chunk.subarray(0, end));
      if (end >= 0 || !parts[0].toString('latin1').startsWith(linePrefix)) break;
    }
  } catch {
    return undefined; // said by whoever reads the journal
  }
  const settings = decodeLine(Buffer.concat(parts))?.['settings'];
  return isObject(settings) ? settings['verb'] : undefined;
}

/**
 * Writes a finished journal at once: the same bytes for the same records, in whatever order they
 * were computed. Takes no lock.
 */
export async function writeJournal(
  path: string,
  settings: Record<string, unknown>,
  records: Iterable<readonly [string, unknown]>,
): Promise<void> {
  const lines = [encodeLine({ format: formatName, version: formatVersion, settings })];
  for (const [key, value] of records) lines.push(encodeLine({ key, value }));
  await writeFileAtomic(path, lines.join(''));
}

/** The SHA-256 of a file's bytes as hex, for settings that name input files. */
export async function fileHash(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
