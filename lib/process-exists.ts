// Whether a process number of this machine is in use.
import { readFileSync } from 'node:fs';

/**
 * One that ended and waits for its parent to notice. In a container whose first process does not
 * wait for others, what was killed stays so for good.
 */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name before it may hold spaces and parentheses.
    return /^[ZX] /.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false; // no /proc, or gone
  }
}

/** True for processes of other users too, which may not be signalled; not for ended ones. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return !isZombie(pid);
}
