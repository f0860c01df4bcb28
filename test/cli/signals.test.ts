// Signals where nothing would answer them: a run that waits for a pipe, and one whose main thread is busy.
// Pipes and devices where a file is needed are refused, and the process ends.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { base, bin, headspark, newFolder, pairs } from './bin.js';

let cwd: string;
const pipe = (name: string): void => void execFileSync('mkfifo', [join(cwd, name)]);

beforeAll(async () => {
  cwd = await newFolder();
  for (const name of ['ff.jsonl', 'ff.yaml', 'ff.json', 'ff']) pipe(name);
});

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Sends a signal after some time; kills what is there long after it. */
async function signalled(args: string[], name: NodeJS.Signals, afterMs = 2500): Promise<End> {
  let child: ChildProcess | undefined;
  let stderr = '';
  const ended = new Promise<Pick<End, 'code' | 'signal'>>((resolve) => {
    child = spawn(process.execPath, [bin, ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  await setTimeout(afterMs);
  child!.kill(name);
  const late = globalThis.setTimeout(() => child!.kill('SIGKILL'), 8000);
  const end = await ended;
  clearTimeout(late);
  return { ...end, stderr };
}

describe.each(['SIGTERM', 'SIGINT'] as const)('one %s ends', (name) => {
  it.each([
    ['attribute', ['attribute', base, '--pairs', 'ff.jsonl', '--out', 'a.json']],
    ['pairs', ['pairs', base, '--pairs', 'ff.jsonl']],
    ['generate', ['generate', base, '--prompts', 'ff.jsonl', '--out', 'c.jsonl']],
    ['merge', ['merge', 'ff', 'ff', '--out', 'm.json']],
    ['a command with --config', ['attribute', base, '--pairs', pairs, '--config', 'ff.yaml']],
  ])('%s that waits for a pipe', async (_, args) => {
    const { signal } = await signalled(args, name);
    expect(signal).toBe(name);
  });

  it('a run whose main thread is busy with a text', async () => {
    const model = join(cwd, `busy-${name}`);
    await cp(base, model, { recursive: true });
    const path = join(model, 'tokenizer.json');
    const tokenizer = JSON.parse(await readFile(path, 'utf8'));
    const pattern = { Regex: '(a+)+$' };
    tokenizer.pre_tokenizer = { type: 'Split', pattern, behavior: 'Isolated', invert: false };
    await writeFile(path, JSON.stringify(tokenizer));
    const text = `${'a'.repeat(41)}!`;
    const pair = { clean: text, corrupted: text, correct: '4', incorrect: '5' };
    await writeFile(join(cwd, 'a.jsonl'), `${JSON.stringify(pair)}\n`);
    const { signal } = await signalled(['pairs', model, '--pairs', 'a.jsonl'], name);
    expect(signal).toBe(name);
  });
});

describe('a second signal', () => {
  it('ends a run that is stopping', async () => {
    const args = ['attribute', base, '--pairs', pairs, '--ig-steps', '2000', '--threads', '1'];
    let child: ChildProcess | undefined;
    const ended = headspark(args, { cwd, onStart: (started) => (child = started) });
    child!.stderr!.on('data', (text: string) => {
      if (text.includes('once more')) child!.kill('SIGINT');
    });
    await setTimeout(4000);
    child!.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(stderr).toContain('headspark: stopping; once more to stop at once.');
    expect([null, 130]).toContain(code);
  });
});

describe('a pipe where a file is needed', () => {
  const refusal = /ff\.yaml is a pipe or a device; give a regular file\./;

  it('is refused', async () => {
    const { code, stderr } = await headspark(['study', 'plan', 'ff.yaml'], { cwd });
    expect(stderr).toMatch(refusal);
    expect(code).toBe(1);
    const circuit = await headspark(['circuit', 'ff.json', '--top-n', '3'], { cwd });
    expect(circuit.stderr).toMatch(/ff\.json is a pipe or a device/);
    expect(circuit.code).toBe(1);
  });

  it.each(['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])(
    'as %s of a model, which ends the process',
    async (file) => {
      const model = join(cwd, `with-${file}`);
      await cp(base, model, { recursive: true });
      execFileSync('rm', [join(model, file)]);
      execFileSync('mkfifo', [join(model, file)]);
      const args = ['attribute', model, '--pairs', pairs];
      const { code, stderr } = await headspark(args, {
        cwd,
        onStart: (child) => void setTimeout(15_000).then(() => child.kill('SIGKILL')),
      });
      expect(stderr).toMatch(new RegExp(`${file.replace('.', '\\.')}.*\\[ERR_HEADSPARK_`));
      expect(code).toBe(1);
    },
    30_000,
  );
});

describe('pipes that are written to are read', () => {
  const shell = (line: string): string =>
    execFileSync('bash', ['-c', line], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const program = `${process.execPath} ${bin}`;

  it('as pairs, prompts, a config and by standard input', () => {
    const count = '--count 2 --json';
    const file = JSON.parse(shell(`${program} pairs ${base} --pairs ${pairs} ${count}`));
    const piped = JSON.parse(shell(`${program} pairs ${base} --pairs <(cat ${pairs}) ${count}`));
    const stdin = JSON.parse(
      shell(`cat ${pairs} | ${program} pairs ${base} --pairs /dev/stdin ${count}`),
    );
    expect(piped.hash).toBe(file.hash);
    expect(stdin.hash).toBe(file.hash);
    const prompt = `<(echo '{"prompt": "1+1="}')`;
    const settings = `<(echo 'max-new-tokens: 2')`;
    const out = shell(
      `${program} generate ${base} --prompts ${prompt} --config ${settings} --json`,
    );
    expect(JSON.parse(out).completions[0].tokens.length).toBeLessThanOrEqual(2);
  }, 60_000);
});
