// A study on the Slurm of a test: submitted, looked at, waited for.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { headspark, type Ended } from './bin.js';
import { missingPrograms, type SlurmCluster } from './slurm-cluster.js';

/** True, and said so, where Slurm is not installed. */
export function lacksSlurm(what: string): boolean {
  if (missingPrograms.length === 0) return false;
  console.warn(
    `no ${missingPrograms.join(', ')}: ${what}; ` +
      'apt-get install slurmctld slurmd slurm-client munge.',
  );
  return true;
}

export interface SlurmStatus {
  complete: boolean;
  kinds: { kind: string; stages: number; done: number }[];
  slurm: {
    parts: number;
    problem: string | null;
    tasks: { stage: string; task: number; state: string; job: string; slurm: string | null }[];
  };
}

const live = ['PENDING', 'RUNNING', 'COMPLETING', 'CONFIGURING'];
const waitMs = 200;

export class SlurmStudy {
  readonly #cluster: SlurmCluster;
  readonly #cwd: string;
  readonly #file: string;
  /** How long anything may take to happen. */
  readonly #patienceMs: number;

  /** Runs lie in `cwd`; `file` is the study's, relative to it or absolute. */
  constructor(of: { cluster: SlurmCluster; cwd: string; file: string; patienceMs?: number }) {
    this.#cluster = of.cluster;
    this.#cwd = of.cwd;
    this.#file = of.file;
    this.#patienceMs = of.patienceMs ?? 120_000;
  }

  call(args: readonly string[]): Promise<Ended> {
    return headspark(args, { cwd: this.#cwd, environment: this.#cluster.environment });
  }

  /** As job arrays over 4 tasks. */
  submit(out: string, ...more: string[]): Promise<Ended> {
    return this.call([
      ...['study', 'run', this.#file, '--out', out, '--slurm', '--tasks', '4'],
      ...more,
    ]);
  }

  async status(out: string): Promise<SlurmStatus> {
    const args = ['study', 'status', this.#file, '--out', out, '--json'];
    const { stdout, stderr } = await this.call(args);
    expect(stderr).toBe('');
    return JSON.parse(stdout) as SlurmStatus;
  }

  async until<T>(what: string, find: () => Promise<T | undefined>): Promise<T> {
    for (let waited = 0; waited < this.#patienceMs; waited += waitMs) {
      const found = await find();
      if (found !== undefined) return found;
      await setTimeout(waitMs);
    }
    const log = (await this.#cluster.log()).slice(-3000);
    throw new Error(`${this.#patienceMs / 1000} s went by before ${what}:\n${log}`);
  }

  queueIsEmpty(): Promise<true> {
    return this.until('the queue was empty', async () =>
      (await this.#cluster.tasks()).some(({ state }) => live.includes(state)) ? undefined : true,
    );
  }

  /** Kills a task of a stage once it runs, as a node that fails does; gives its job's id. */
  async kill(name: string, task: number): Promise<number> {
    const { job } = await this.until(`task ${task} of ${name} ran`, async () =>
      (await this.#cluster.tasks()).find(
        (one) => one.name === name && one.task === task && one.state === 'RUNNING',
      ),
    );
    await this.#cluster.call('scancel', ['--signal=KILL', '--full', `${job}_${task}`]);
    return job;
  }

  /** What all tasks said. */
  async logs(out: string): Promise<string> {
    const folder = join(this.#cwd, out, 'slurm', 'logs');
    const texts = (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8'));
    return (await Promise.all(texts)).join('');
  }
}
