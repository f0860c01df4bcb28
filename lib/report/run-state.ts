// How far a run is and whether anything works on it, cheaply enough to be asked every few seconds.
// Never loads the addon.

import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readManifestIfExists } from '../study/manifest.js';
import { readRunning, type RunningStage } from '../study/running.js';
import { isLive, queuedTasks } from '../study/slurm/queue.js';
import { ResultStore } from '../study/store.js';

export interface RunState {
  /** Of the study; empty before the run has begun. */
  readonly study: string;
  readonly done: number;
  readonly total: number;
  readonly running: readonly RunningStage[];
  /** Tasks on a cluster that wait for their turn. */
  readonly queued: number;
  /** Some process works on it, or will. */
  readonly going: boolean;
  /** Changes with every result. */
  readonly stamp: string;
}

const queueEveryMs = 15_000;

/** Looks at one run again and again. */
export class RunWatcher {
  readonly #run: string;
  #queue: { at: number; queued: number } | undefined;

  constructor(run: string) {
    this.#run = resolve(run);
  }

  /** Tasks in Slurm's queue that have not begun; none where the run was not submitted. */
  async #queued(): Promise<number> {
    const now = performance.now();
    if (this.#queue && now - this.#queue.at < queueEveryMs) return this.#queue.queued;
    const submitted = await stat(join(this.#run, 'slurm')).catch(() => undefined);
    // Where the queue cannot be asked the processes themselves have to tell.
    const ask = async () => queuedTasks(await realpath(this.#run));
    const tasks = submitted ? await ask().catch(() => []) : [];
    const queued = tasks.filter((task) => isLive(task)).length;
    this.#queue = { at: now, queued };
    return queued;
  }

  /** @throws ERR_HEADSPARK_FILE_CORRUPT for a damaged manifest. */
  async look(): Promise<RunState> {
    const manifest = await readManifestIfExists(this.#run);
    const { processes, stages } = await readRunning(this.#run);
    const queued = await this.#queued();
    const stored = new Set(
      (await new ResultStore(this.#run).list()).map(({ kind, id, key }) => `${kind}/${id}@${key}`),
    );
    const wanted = manifest?.stages ?? [];
    const done = wanted.filter(({ kind, id, key }) => stored.has(`${kind}/${id}@${key}`)).length;
    return {
      study: manifest?.study ?? '',
      done,
      total: wanted.length,
      running: stages,
      queued: Math.max(0, queued - processes),
      going: processes > 0 || queued > 0,
      stamp: `${manifest?.hash ?? ''}.${wanted.length - done}`,
    };
  }
}
