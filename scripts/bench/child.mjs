// Programs that a benchmark runs: with a limit of time for what may hang, and ended with all that
// they started when the benchmark is. One that is to end is asked first, so that it can keep what it
// has, and has some seconds for that.
import { spawn } from 'node:child_process';
import { Interrupted } from './user-error.mjs';

const graceSeconds = 15;
const running = new Set();
let interruption; // { signal, code }, once there was one

/** Why a program gave no exit code; `output` and `errors` are what it printed until then. */
export class ChildError extends Error {
  constructor(message, { output = '', errors = '' } = {}) {
    super(message);
    this.name = 'ChildError';
    Object.assign(this, { output, errors });
  }
}

/** Throws Interrupted once the process was told to end. */
export function checkInterrupted() {
  if (interruption !== undefined) throw new Interrupted(interruption.signal, interruption.code);
}

function signalTo(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it ended by itself
  }
}

/** Asks the program itself to end; it ends what it started, or all of that is ended a little later. */
function end(job, grace) {
  if (job.ending) return;
  job.ending = true;
  signalTo(job.child.pid, 'SIGTERM');
  job.last = setTimeout(() => signalTo(-job.child.pid, 'SIGKILL'), grace * 1000);
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    interruption ??= { signal, code };
    if (running.size === 0 && process.listenerCount(signal) === 1) process.exit(code);
    for (const job of running) end(job, graceSeconds);
  });
}

/** Keeps what a program prints, and shows it on stderr where `shown` names the stream. */
function listen(child, shown, onText) {
  const texts = { output: '', errors: '' };
  for (const [stream, key] of [
    ['stdout', 'output'],
    ['stderr', 'errors'],
  ]) {
    child[stream]?.setEncoding('utf8').on('data', (text) => {
      texts[key] += text;
      if (shown.includes(stream)) process.stderr.write(text);
      onText?.(texts);
    });
  }
  return texts;
}

/**
 * Runs a program in a process group of its own. After `seconds` it is asked to end, and after `grace`
 * more it is ended with all that it started.
 * @param options  of node:child_process's spawn; shown: of 'stdout' and 'stderr', where they are piped,
 *                 what is to be seen on stderr; onText({ output, errors }): called as they grow
 * @returns a promise of { code, and as far as they are piped output (stdout) and errors (stderr) }
 * @throws ChildError, with what was printed until then, or Interrupted
 */
export function runChild(command, args, options = {}) {
  const { seconds = Infinity, grace = graceSeconds, shown = [], onText, ...how } = options;
  return new Promise((resolve, reject) => {
    checkInterrupted();
    const child = spawn(command, args, { ...how, detached: true });
    const job = { child, ending: false, last: undefined };
    running.add(job);
    const texts = listen(child, shown, onText);
    let late = false;
    const limit =
      seconds < Infinity
        ? setTimeout(() => {
            late = true;
            end(job, grace);
          }, seconds * 1000)
        : undefined;
    const forget = () => {
      clearTimeout(limit);
      clearTimeout(job.last);
      running.delete(job);
    };
    // What it left behind may hold the pipes open.
    child.on('exit', () => job.ending && signalTo(-child.pid, 'SIGKILL'));
    child.on('error', (error) => {
      forget();
      reject(new ChildError(`${command} could not be started (${error.message})`));
    });
    child.on('close', (code, signal) => {
      forget();
      const failed = (text) => reject(new ChildError(`${command} ${text}`, texts));
      if (late) failed(`took more than ${Math.round(seconds * 10) / 10} s and was ended`);
      else if (interruption !== undefined) {
        reject(new Interrupted(interruption.signal, interruption.code));
      } else if (signal !== null) failed(`was ended by ${signal}`);
      else resolve({ code, ...texts });
    });
  });
}
