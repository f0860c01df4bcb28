// Runs the real bin in a process of its own, in a folder of its own, without the developer's
// HEADSPARK_ variables.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const bin = join(root, 'dist', 'cli', 'main.js');

export const models = join(root, 'lib', 'demo', 'models');
export const base = join(models, 'base');
export const sft = join(models, 'sft-step120');
export const pairs = join(models, 'pairs-steps.jsonl');

export interface Ended {
  /** Null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  environment?: Record<string, string>;
  /** Gets the process when it starts. */
  onStart?: (child: ChildProcess) => void;
}

function environmentOf(own: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => {
    return !name.startsWith('HEADSPARK_') || name === 'HEADSPARK_ISA';
  });
  return { ...Object.fromEntries(kept), ...own };
}

export function headspark(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: environmentOf(options.environment ?? {}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    options.onStart?.(child);
  });
}

export function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'headspark-cli-'));
}
