// RUN/running/: what the processes of a run are computing right now, for whoever looks at the run
// meanwhile. One small file a process, replaced once in a while; decides nothing.

import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { clearTemporaryFiles, temporaryPath } from '../atomic-file.js';
import { mayRun, parseOwner, thisProcess, type LockOwner } from '../lock-file.js';

/** What one process of a run does. */
export interface RunningStage {
  readonly kind: string;
  readonly id: string;
  /** Done of this stage, 0 to 1. */
  readonly share: number;
  /** When it began, in milliseconds since 1970. */
  readonly since: number;
  readonly host: string;
  readonly pid: number;
}

const folderName = 'running';
const writeEveryMs = 1000;
const beatMs = 20_000;
/** A process of another machine that is silent for so long is taken to be gone. */
const silenceMs = 120_000;

/** Says what this process does, until `end`. Never disturbs the run: what cannot be written is left. */
export class Announcement {
  readonly #owner: LockOwner = thisProcess();
  readonly #folder: string;
  readonly #path: string;
  readonly #temporary: string;
  #stage: Pick<RunningStage, 'kind' | 'id' | 'share' | 'since'> | undefined;
  #lastWrite = -Infinity;
  #writing: Promise<void> = Promise.resolve();
  readonly #beat: NodeJS.Timeout;

  constructor(run: string) {
    this.#folder = join(run, folderName);
    this.#path = join(this.#folder, `${this.#owner.token}.json`);
    this.#temporary = temporaryPath(this.#path);
    this.#beat = setInterval(() => this.#write(), beatMs);
    this.#beat.unref();
    this.#write();
  }

  /** Cheap: writes at most once a second. */
  update(kind: string, id: string, share: number): void {
    const same = this.#stage?.kind === kind && this.#stage.id === id;
    const since = same ? this.#stage!.since : Date.now();
    this.#stage = { kind, id, share: Math.min(1, Math.max(0, share)), since };
    if (!same || performance.now() - this.#lastWrite >= writeEveryMs) this.#write();
  }

  #write(): void {
    this.#lastWrite = performance.now();
    const text = JSON.stringify({ ...this.#owner, stage: this.#stage });
    this.#writing = this.#writing.then(async () => {
      try {
        await mkdir(this.#folder, { recursive: true });
        await writeFile(this.#temporary, text);
        await rename(this.#temporary, this.#path);
      } catch {
        // A full disk stops the run where it matters.
      }
    });
  }

  /** Takes the word back, and with it those of killed processes. */
  async end(): Promise<void> {
    clearInterval(this.#beat);
    await this.#writing;
    await rm(this.#path, { force: true }).catch(() => undefined);
    await clearTemporaryFiles(this.#folder);
    await clearGone(this.#folder);
  }
}

async function isSilent(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path);
  return Date.now() - mtimeMs >= silenceMs;
}

/** Dead on this machine, or silent for long on another. Asks no queue. */
async function isGone(owner: LockOwner, path: string): Promise<boolean> {
  return owner.host === hostname() ? !(await mayRun(owner)) : isSilent(path);
}

async function isGoing(owner: LockOwner, path: string): Promise<boolean> {
  const heard = owner.host === hostname() || !(await isSilent(path));
  return heard && mayRun(owner);
}

async function clearGone(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    try {
      const owner = parseOwner(await readFile(path, 'utf8'));
      // Half-written on another machine by a process that was killed, or is about to go on.
      const gone = owner ? await isGone(owner, path) : await isSilent(path);
      if (gone) await rm(path, { force: true });
    } catch {
      // Somebody else's, and gone meanwhile.
    }
  }
}

function stageOf(text: string, { host, pid }: LockOwner): RunningStage | undefined {
  const { stage } = JSON.parse(text) as { stage?: Partial<RunningStage> };
  const { kind, id, share, since } = stage ?? {};
  if (typeof kind !== 'string' || typeof id !== 'string') return undefined;
  if (typeof share !== 'number' || typeof since !== 'number') return undefined;
  return { kind, id, share, since, host, pid };
}

export interface RunningNow {
  /** Processes that work on the run, also those between two stages. */
  readonly processes: number;
  readonly stages: readonly RunningStage[];
}

/** The processes of a run that are alive, in order of their stages' begin; clears dead ones away. */
export async function readRunning(run: string): Promise<RunningNow> {
  const folder = join(run, folderName);
  const stages: RunningStage[] = [];
  let processes = 0;
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    const path = join(folder, name);
    // Gone or replaced meanwhile: the next look shows it.
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const owner = text === undefined ? undefined : parseOwner(text);
    if (!owner || name.endsWith('.tmp')) continue;
    if (!(await isGoing(owner, path).catch(() => false))) {
      await rm(path, { force: true }).catch(() => undefined);
      continue;
    }
    processes++;
    const stage = stageOf(text!, owner);
    if (stage) stages.push(stage);
  }
  return { processes, stages: stages.sort((a, b) => a.since - b.since) };
}
