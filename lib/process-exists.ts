// Whether a process number of this machine is in use, and what Linux says of the process.
import { readFileSync } from 'node:fs';

/** The fields of /proc/PID/stat from the third, the state, on; undefined without /proc, or when it is gone. */
export function processFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name before them may hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/**
 * One that ended and waits for its parent to notice. In a container whose first process does not
 * wait for others, what was killed stays so for good.
 */
const isZombie = (pid: number): boolean => /^[ZX]$/.test(processFields(pid)?.[0] ?? '');

/** True for processes of other users too, which may not be signalled; not for ended ones. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return !isZombie(pid);
}
