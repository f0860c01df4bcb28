// The orchestrator's side of the line protocol with a peer: a process that announces its tasks in
// one JSON line and then runs one task per request. Peers idle while another one runs.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Worker {
  #child;
  #lines;
  #errors = '';
  #ended;

  /** @param command  [program, ...arguments] @param env  added to this process's environment */
  constructor(command, env = {}) {
    const [program, ...args] = command;
    this.#child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stderr.on('data', (text) => (this.#errors = (this.#errors + text).slice(-4000)));
    this.#child.stdin.on('error', () => {}); // a dead peer is noticed by its missing answer
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => resolve(`could not be started (${error.message})`));
      this.#child.on('close', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async #nextLine() {
    const line = await Promise.race([this.#lines.next(), this.#ended.then(() => ({ done: true }))]);
    if (!line.done) return JSON.parse(line.value);
    const lastLines = this.#errors.trim().split('\n').slice(-3).join(' | ');
    throw new Error(`${await this.#ended}${lastLines ? `: ${lastLines}` : ''}`);
  }

  /** { peer, settings, tasks: [{ task, variant }] }. @throws Error when the peer cannot start. */
  async start() {
    this.info = await this.#nextLine();
    return this.info;
  }

  /** Runs a task once: { seconds, … } or { error }. */
  async run(task, variant) {
    this.#child.stdin.write(`${JSON.stringify({ task, variant })}\n`);
    try {
      return await this.#nextLine();
    } catch (error) {
      return { error: error.message };
    }
  }

  /** Ends the process at once; a task that it runs fails. */
  kill() {
    this.#child.kill('SIGKILL');
  }

  /** Ends the process and waits until it has. */
  async close() {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill(), 2000);
    await this.#ended;
    clearTimeout(timer);
  }
}
