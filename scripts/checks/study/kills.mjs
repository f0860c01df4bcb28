// Kills the run of a study with SIGKILL at random moments, resumes it, and compares what comes out
// with a run that was left alone. The program is kill-study.mjs; the tests of studies use this too.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { computedAgain, differences, digestOfRun, leftovers, storedResults } from './run-files.mjs';

const bin = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

/** Threads, memory and shards of an attempt; none of them changes a byte. */
export const attemptOptions = [
  [],
  ['--threads', '1'],
  ['--threads', '2', '--memory', '24M'],
  ['--memory', '96M'],
  ['--shard', '1/2'],
  ['--threads', '3', '--shard', '2/3'],
];

/** The developer's settings are not the study's. */
function cleanEnvironment() {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('HEADSPARK_') || name === 'HEADSPARK_ISA',
  );
  return Object.fromEntries(kept);
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself in this moment.
    if (error.code !== 'ESRCH') throw error;
  }
}

/**
 * `headspark study run` in a process group of its own, which gets SIGKILL after `killAfterMs`.
 * `code` is null where the signal ended it.
 */
export function runStudy({ study, out, options = [], killAfterMs, signal }) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const args = [bin, 'study', 'run', study, '--out', out, '--quiet', ...options];
    const child = spawn(process.execPath, args, {
      cwd: path.dirname(out),
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    const kill = () => killGroup(child);
    const timer = killAfterMs === undefined ? undefined : setTimeout(kill, killAfterMs);
    signal?.addEventListener('abort', kill);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', kill);
      if (signal?.aborted) reject(signal.reason);
      else resolve({ code, stderr: stderr.trim(), ms: performance.now() - start });
    });
  });
}

/** A run that nobody disturbs: what the others are compared with, and how long it takes. */
export async function wholeRun({ study, out, signal }) {
  const { code, stderr, ms } = await runStudy({ study, out, signal });
  if (code !== 0) throw new Error(`the undisturbed run ended with ${code}: ${stderr}`);
  return { digest: await digestOfRun(out), ms, stored: (await storedResults(out)).length };
}

/** What is wrong with a run that says it is complete. */
async function faultsOf(out, whole) {
  const left = await leftovers(out);
  const again = await computedAgain(out);
  return [
    ...differences(whole.digest, await digestOfRun(out)),
    ...left.map((name) => `${name} was left behind`),
    ...again.map((name) => `${name} was computed again though it was stored`),
  ].map((fault) => `${path.basename(out)}: ${fault}`);
}

/**
 * Until there were `kills` kills: runs `study` in `folder/killed-N`, each attempt with other
 * threads, memory and shards, for at most `span` of the time of `whole`; a run that comes to its end
 * is compared with `whole`, and the next one begins anew. At last the run that is left is completed
 * without a kill and compared too.
 *
 * `random` gives `uniform()` in [0, 1). Returns every attempt (`killedAfterMs`, null where it came
 * to its end; `stored` results after it), the number of runs that were completed, and `faults`:
 * sentences, none of them if all is well.
 */
export async function killAndResume(options) {
  const { study, folder, whole, kills, random, signal, span = 0.7, onAttempt } = options;
  const attempts = [];
  const faults = [];
  let [run, completed, killed, spanMs] = [0, 0, 0, span * whole.ms];
  let stored = [];
  while (killed < kills) {
    const out = path.join(folder, `killed-${run}`);
    const killAfterMs = random.uniform() * spanMs;
    const own = attemptOptions[Math.floor(random.uniform() * attemptOptions.length)];
    const { code, stderr } = await runStudy({ study, out, options: own, killAfterMs, signal });
    const before = stored;
    stored = await storedResults(out);
    const lost = before.filter((name) => !stored.includes(name));
    faults.push(...lost.map((name) => `killed-${run}: ${name} was stored and is gone`));
    const attempt = {
      run,
      options: own,
      killedAfterMs: code === null ? killAfterMs : null,
      stored: stored.length,
      progressed: stored.length > before.length,
    };
    attempts.push(attempt);
    onAttempt?.(attempt, killed + (code === null ? 1 : 0));
    if (code === null) {
      killed++;
      // On a machine that got slower, every kill would fall before the first result.
      if (!attempt.progressed) spanMs *= 1.15;
    } else if (code !== 0) {
      faults.push(`killed-${run}: study run ${own.join(' ')} ended with ${code}: ${stderr}`);
      return { attempts, completed, faults };
    } else if (!own.includes('--shard')) {
      faults.push(...(await faultsOf(out, whole)));
      completed++;
      run++;
      stored = [];
      // It came to its end before its time: kills fall earlier from now on.
      spanMs *= 0.8;
    }
  }
  const out = path.join(folder, `killed-${run}`);
  const { code, stderr } = await runStudy({ study, out, signal });
  if (code === 0) faults.push(...(await faultsOf(out, whole)));
  else faults.push(`killed-${run}: study run ended with ${code}: ${stderr}`);
  return { attempts, completed: completed + 1, faults };
}

/** At which shares of the results kills fell, for those who want to know that they fell everywhere. */
export function killPlaces({ attempts }, whole) {
  return attempts
    .filter(({ killedAfterMs }) => killedAfterMs !== null)
    .map(({ stored }) => stored / whole.stored);
}
