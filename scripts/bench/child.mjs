// Programs that a benchmark runs: with a limit of time for what may hang, and ended with all that
// they started when the benchmark is.
import { spawn } from 'node:child_process';

const running = new Set();

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it ended by itself
  }
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    if (running.size === 0) return;
    for (const child of running) endGroup(child);
    process.exit(code);
  });
}

/**
 * Runs a program in a process group of its own, which ends after `seconds`.
 * @param options  of node:child_process's spawn
 * @returns a promise of { code, and as far as they are piped output (stdout) and errors (stderr) }
 */
export function runChild(command, args, { seconds = Infinity, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, detached: true });
    running.add(child);
    let [output, errors] = ['', ''];
    let late = false;
    const limit =
      seconds < Infinity
        ? setTimeout(() => {
            late = true;
            endGroup(child);
          }, seconds * 1000)
        : undefined;
    child.stdout?.on('data', (text) => (output += text));
    child.stderr?.on('data', (text) => (errors += text));
    child.on('error', (error) => {
      clearTimeout(limit);
      running.delete(child);
      reject(new Error(`${command} could not be started (${error.message})`));
    });
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      running.delete(child);
      if (late) reject(new Error(`${command} took more than ${seconds} s and was ended`));
      else if (signal !== null) reject(new Error(`${command} was ended by ${signal}`));
      else resolve({ code, output, errors });
    });
  });
}
