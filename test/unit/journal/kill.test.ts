// A run killed at random moments and started again gives byte-identical results.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../../lib/stats/random.js';

const lib = fileURLToPath(new URL('../../../lib/', import.meta.url));
const worker = fileURLToPath(new URL('worker.mjs', import.meta.url));
let folder: string;

/** Compiles a library file and what it imports, so that the worker needs no build. */
async function compile(name: string, done = new Set<string>()): Promise<void> {
  if (done.has(name)) return;
  done.add(name);
  const source = await readFile(join(lib, `${name}.ts`), 'utf8');
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(source, { compilerOptions: options });
  await writeFile(join(folder, `${name}.js`), outputText);
  for (const [, next] of outputText.matchAll(/from '\.\/([\w-]+)\.js'/g)) await compile(next, done);
}

/** Runs the worker; kills it `killAfterMs` after it has opened its journal. */
function run(
  journal: string,
  output: string,
  options: { syncEvery: number; killAfterMs?: number },
) {
  return new Promise<NodeJS.Signals | number>((resolve, reject) => {
    const args = [worker, folder, journal, output, String(options.syncEvery)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdout.once('data', () => {
      if (options.killAfterMs !== undefined)
        setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === null && code !== 0) reject(new Error(errors));
      else resolve(signal ?? code!);
    });
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-kill-'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await compile('journal');
});
afterAll(() => rm(folder, { recursive: true }));

describe('a journaled run', () => {
  it.each([1, 16])(
    'survives 10 kills with syncEvery %d',
    async (syncEvery) => {
      const whole = join(folder, `whole-${syncEvery}.jsonl`);
      expect(await run(join(folder, `whole-${syncEvery}.journal`), whole, { syncEvery })).toBe(0);
      const random = new Random(syncEvery);
      const [journal, output] = ['journal', 'jsonl'].map((end) =>
        join(folder, `killed-${syncEvery}.${end}`),
      ) as [string, string];
      let killed = 0;
      let size = 0;
      for (let kill = 0; kill < 10; kill++) {
        const signal = await run(journal, output, {
          syncEvery,
          killAfterMs: random.uniform() * 12,
        });
        if (signal === 'SIGKILL') killed++;
        const bytes = await readFile(journal);
        // What was journaled stays, apart from a line that was being written.
        expect(bytes.length).toBeGreaterThanOrEqual(size);
        size = bytes.lastIndexOf(0x0a) + 1;
        if (existsSync(output)) {
          expect(await readFile(output)).toEqual(await readFile(whole));
          await Promise.all([rm(output), rm(journal)]);
          size = 0;
        }
        // A torn line of any length at the end, as a power cut leaves it, must not matter either.
        if (existsSync(journal) && kill % 3 === 2) {
          const torn = bytes.subarray(0, size - 1 - random.below(Math.min(size - 200, 400)));
          await writeFile(journal, torn);
          size = torn.lastIndexOf(0x0a) + 1;
        }
      }
      expect(await run(journal, output, { syncEvery })).toBe(0);
      expect(await readFile(output)).toEqual(await readFile(whole));
      expect(killed).toBeGreaterThan(3);
      expect((await stat(journal)).size).toBeGreaterThan(0);
      const left = (await readdir(dirname(journal))).filter((name) => name.includes('.lock'));
      expect(left).toEqual([]);
    },
    60_000,
  );
});
