// An exclusive lock file that names its owner. A lock whose process is gone (or whose process id
// now belongs to another process) is stale and is taken over, as is one that a power cut tore; a live
// one is refused by name. Of a process on another host only its Slurm job can tell.
import { randomUUID } from 'node:crypto';
import { link, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { HeadsparkError } from './errors.js';
import { systemCode, writingTo } from './file-errors.js';
import { processExists, processFields } from './process-exists.js';
import { currentSlurmJob, slurmJobIsOver } from './slurm-job.js';

/** A process that holds a lock, or says that it works on something. */
export interface LockOwner {
  pid: number;
  host: string;
  /** Start time of the process in clock ticks (Linux), which tells a reused process id apart. */
  started: string;
  token: string;
  /** The Slurm job that it runs in. */
  job?: string;
}

/** A held lock; `release` removes the file. */
export interface FileLock {
  readonly path: string;
  release(): Promise<void>;
}

/** How every lock begins. */
const lockStart = '{"pid":';

/** Field 22 of /proc/PID/stat; empty where there is no /proc, undefined when the process is gone. */
function processStart(pid: number): string | undefined {
  if (process.platform !== 'linux') return '';
  const fields = processFields(pid);
  return fields && (fields[22 - 3] ?? '');
}

function isAlive(owner: LockOwner): boolean {
  if (!processExists(owner.pid)) return false;
  const started = processStart(owner.pid);
  return started === undefined || started === '' || started === owner.started;
}

/**
 * The beginning of a lock, or zeros: a power cut left it, since a live one is linked into place whole.
 */
function isTorn(text: string): boolean {
  const written = text.replace(/\0+$/, '');
  if (!written.startsWith(lockStart)) return lockStart.startsWith(written);
  try {
    JSON.parse(written);
    return false;
  } catch {
    return true;
  }
}

/** Undefined for a text that names no process. */
export function parseOwner(text: string): LockOwner | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockOwner> | null;
    const { pid, host, started, token, job } = value ?? {};
    if (!Number.isSafeInteger(pid) || pid! <= 0) return undefined;
    if (typeof host !== 'string' || typeof started !== 'string' || typeof token !== 'string') {
      return undefined;
    }
    const inJob = typeof job === 'string' && /^\d{1,12}$/.test(job) ? { job } : {};
    return { pid: pid!, host, started, token, ...inJob };
  } catch {
    return undefined;
  }
}

async function tryCreate(path: string, owner: LockOwner): Promise<boolean> {
  // Written under another name and linked into place: a lock file is never seen half-written.
  const draft = `${path}.${owner.token}`;
  try {
    const handle = await open(draft, 'wx');
    try {
      await handle.writeFile(JSON.stringify(owner));
      await handle.sync(); // else a power cut could leave the name without the text
    } finally {
      await handle.close();
    }
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Moves a stale lock away, unless another process replaced it in the meantime. */
async function removeStale(path: string, staleText: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  // What was moved may be a live lock, taken after the stale one was read: then it goes back.
  if ((await readFile(aside, 'utf8')) !== staleText) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function inUse(path: string, subject: string, owner: LockOwner | undefined): HeadsparkError {
  const job = owner?.job === undefined ? '' : ` (Slurm job ${owner.job})`;
  const who = owner ? `process ${owner.pid} on ${owner.host}${job}` : 'another process';
  return new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${subject} is in use by ${who}. Wait for it to end, or if it is certainly gone delete ${path}.`,
  );
}

export function thisProcess(): LockOwner {
  const job = currentSlurmJob();
  return {
    pid: process.pid,
    host: hostname(),
    started: processStart(process.pid) ?? '',
    token: randomUUID(),
    ...(job === undefined ? {} : { job }),
  };
}

/** Whether the owner's process may still run, as far as can be known from here. */
export async function mayRun(owner: LockOwner): Promise<boolean> {
  if (owner.host === hostname()) return isAlive(owner);
  return owner.job === undefined || !(await slurmJobIsOver(owner.job));
}

/**
 * Takes the lock file `path`; `subject` names in messages what it protects.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT when a live process holds it, ERR_HEADSPARK_FILE_WRITE.
 */
export function lockFile(path: string, subject: string): Promise<FileLock> {
  return writingTo(path, () => takeLock(path, subject));
}

async function takeLock(path: string, subject: string): Promise<FileLock> {
  const owner = thisProcess();
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await tryCreate(path, owner)) {
      return { path, release: () => releaseLock(path, owner.token) };
    }
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const other = parseOwner(text);
    // Neither torn nor of an owner that is known here: another version's, or no lock at all.
    const held = other ? await mayRun(other) : !isTorn(text);
    if (held) throw inUse(path, subject, other);
    await removeStale(path, text);
  }
  throw inUse(path, subject, undefined);
}

async function releaseLock(path: string, token: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => '');
  if (parseOwner(text)?.token === token) await rm(path, { force: true });
}
