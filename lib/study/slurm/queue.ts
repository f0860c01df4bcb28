// Slurm's own commands: submit, look at the queue, cancel. Their complaints come through as they
// are, since only they know what a cluster allows.

import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { HeadsparkError } from '../../errors.js';
import { endedStates } from '../../slurm-job.js';

/** A task of an array, as the queue knows it. */
export interface QueuedTask {
  /** Id of the array's job. */
  readonly job: number;
  readonly task: number;
  readonly stage: string;
  /** Slurm's word: PENDING, RUNNING, FAILED, … */
  readonly state: string;
  /** Why it waits or how it ended; empty where there is nothing to say. */
  readonly reason: string;
}

export const isLive = ({ state }: Pick<QueuedTask, 'state'>): boolean => !endedStates.has(state);

interface Answer {
  /** Exit status; null where a signal ended the command. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const commandMs = 120_000;

/** @throws ERR_HEADSPARK_FILE_NOT_FOUND where the command is not there. */
function call(command: string, args: readonly string[], cwd?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { timeout: commandMs, maxBuffer: 2 ** 28, ...(cwd ? { cwd } : {}) };
    execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error ? ((error as { code?: unknown }).code ?? null) : 0;
      if (typeof code === 'string') {
        const message = `${command} could not be started (${code}); run this where Slurm is installed.`;
        reject(new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', message, { cause: error }));
      } else {
        resolve({ code: code as number | null, stdout, stderr });
      }
    });
  });
}

/** What a command said, on one line. */
function complaint({ code, stderr }: Answer): string {
  const text = stderr.trim().split('\n').join(' ');
  if (text !== '') return text.replace(/\.$/, '');
  return code === null ? `it did not answer within ${commandMs / 1000} s` : `exit status ${code}`;
}

export interface SubmitOptions {
  /** The run's folder; the script's name is relative to it. */
  readonly run: string;
  readonly script: string;
  /** Of sbatch, before the script: `--array=…`, `--dependency=…`. */
  readonly options: readonly string[];
}

/**
 * Submits a script and gives the job's id.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND (no sbatch), _INVALID_ARGUMENT with Slurm's sentence.
 */
export async function submit({ run, script, options }: SubmitOptions): Promise<number> {
  const answer = await call('sbatch', ['--parsable', ...options, script], run);
  const job = /^(\d+)(?:;|$)/m.exec(answer.stdout.trim());
  if (answer.code === 0 && job) return Number(job[1]);
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `sbatch refused ${script}: ${complaint(answer)}`,
  );
}

/** Cancels jobs (`12`) and tasks (`12_3`). Those that are over already are no error. */
export async function cancel(ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await call('scancel', ['--quiet', ...ids]);
}

/** A number where the machine has no name for the user, as in some containers. */
function thisUser(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/** Between fields; in no state, reason or name of a job of ours, and the folder comes last. */
const separator = '|';

/**
 * Every task of this user's jobs that work in the run's folder, also those that ended a little ago.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND (no squeue), _NETWORK with Slurm's sentence.
 */
export async function queuedTasks(run: string): Promise<QueuedTask[]> {
  const format = ['%F', '%K', '%T', '%r', '%j', '%Z'].join(separator);
  const answer = await call('squeue', [
    '--noheader',
    '--array',
    '--states=all',
    `--user=${thisUser()}`,
    `--format=${format}`,
  ]);
  if (answer.code !== 0) {
    const message = `squeue could not be asked: ${complaint(answer)}.`;
    throw new HeadsparkError('ERR_HEADSPARK_NETWORK', message);
  }
  return answer.stdout.split('\n').flatMap((line): QueuedTask[] => {
    const [job, task, state, reason, name, ...folder] = line.split(separator);
    if (folder.join(separator) !== run || !/^\d+$/.test(task)) return [];
    const stage = name.slice(name.lastIndexOf('.') + 1);
    const why = reason === 'None' ? '' : reason;
    return [{ job: Number(job), task: Number(task), stage, state, reason: why }];
  });
}

/**
 * How tasks ended that the queue has forgotten, by `12_3`; empty where the cluster keeps no accounts.
 */
export async function endedTasks(jobs: readonly number[]): Promise<Map<string, string>> {
  if (jobs.length === 0) return new Map();
  const args = ['--noheader', '--parsable2', '--allocations', '--format=JobID,State'];
  const answer = await call('sacct', [...args, `--jobs=${jobs.join(',')}`]).catch(() => undefined);
  const rows = (answer?.code === 0 ? answer.stdout : '').split('\n').map((line) => line.split('|'));
  // `CANCELLED by 1000`
  return new Map(
    rows.filter((row) => row.length === 2).map(([id, state]) => [id, state.split(' ')[0]]),
  );
}
