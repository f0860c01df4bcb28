// The Slurm job that this process runs in, if any, and whether another one is over. A lock that a
// killed task left on another node is known to be stale by its job.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Digits; a requeued job keeps its id, and an id is never two running processes. */
export const currentSlurmJob = (environment = process.env): string | undefined => {
  const id = environment['SLURM_JOB_ID'];
  return id !== undefined && /^\d{1,12}$/.test(id) ? id : undefined;
};

/** States after which nothing of a job runs any more. */
export const endedStates: ReadonlySet<string> = new Set([
  'BOOT_FAIL',
  'CANCELLED',
  'COMPLETED',
  'DEADLINE',
  'FAILED',
  'NODE_FAIL',
  'OUT_OF_MEMORY',
  'PREEMPTED',
  'REVOKED',
  'TIMEOUT',
]);

const answers = new Map<string, { at: number; over: boolean }>();
/** A waiting process asks several times a second; the controller is asked this often. */
const answerMs = 15_000;

async function askQueue(id: string): Promise<boolean> {
  try {
    const args = ['--noheader', '--states=all', `--jobs=${id}`, '--format=%T'];
    const { stdout } = await run('squeue', args, { timeout: 60_000 });
    const states = stdout.split('\n').filter((line) => line !== '');
    return states.every((state) => endedStates.has(state));
  } catch (error) {
    // The queue forgets a job some minutes after its end. Anything else is no answer.
    return /Invalid job id/i.test((error as { stderr?: string }).stderr ?? '');
  }
}

/**
 * True where a process of that job certainly runs no more: the job has ended, the queue has
 * forgotten it, or it is this process's own job, which was requeued.
 */
export async function slurmJobIsOver(id: string): Promise<boolean> {
  if (id === currentSlurmJob()) return true;
  const known = answers.get(id);
  if (known && (known.over || performance.now() - known.at < answerMs)) return known.over;
  const over = await askQueue(id);
  answers.set(id, { at: performance.now(), over });
  return over;
}
