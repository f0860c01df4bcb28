// `npm run bench` on a tiny checkpoint: every benchmark runs, is right against the specification and
// reports what the README promises; and the native programs' answers to mistakes.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchFolder, benchScript } from '../unit/bench/scripts.js';

const { programPath, runProgram } = await benchScript('programs.mjs');
const { resolveShape } = await benchScript('checkpoint/shapes.mjs');
const { writeCheckpoint } = await benchScript('checkpoint/write.mjs');
const built = ['bench_ops', 'bench_model', 'bench_peer', 'bench_decode'].every((p) => existsSync(programPath(p)));
if (!built) console.warn('skipped: no build-cpu; `npm run test:core` builds the benchmarks');

let folder: string;
let model: string;
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'headspark-bench-'));
  model = path.join(folder, 'model');
  const sizes = { layers: 2, heads: 4, kvHeads: 2, hidden: 32, intermediate: 48, vocab: 300 };
  await writeCheckpoint(model, resolveShape(undefined, sizes), {});
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (name: string, ...args: string[]) =>
  spawnSync(programPath(name) as string, args, { encoding: 'utf8' });

describe.skipIf(!built)('npm run bench', () => {
  it('measures and verifies everything', () => {
    const out = path.join(folder, 'run.json');
    const script = path.join(benchFolder, 'main.mjs');
    const args = [script, '--model', model, '--only', 'model', '--quick', '--json', '--out', out];
    const env = { ...process.env, HEADSPARK_BENCH_CACHE: path.join(folder, 'cache') };
    const { status, stdout, stderr } = spawnSync(process.execPath, [...args, '--threads', '1'], {
      encoding: 'utf8',
      env,
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(readFileSync(out, 'utf8')).toBe(stdout);
    const { threads, isa, cpu, programs } = JSON.parse(stdout);
    expect(threads).toBe(1);
    expect(isa).toMatch(/^[a-z]/);
    expect(cpu).not.toBe('');
    const [{ results, ratios, scaling, failed }] = programs;
    expect(failed).toBe(false);
    const names = results.map((r: any) => r.name).join('\n');
    for (const part of ['load', 'prefill 512', 'decode', 'eap-ig', 'sweep of', 'circuit']) {
      expect(names).toContain(part);
    }
    for (const result of results.filter((r: any) => !r.name.startsWith('load'))) {
      expect(result.error).toBeLessThanOrEqual(1e-3);
      expect(result.medianMs).toBeGreaterThan(0);
      expect(result.minMs).toBeLessThanOrEqual(result.medianMs);
      expect(result.medianMs).toBeLessThanOrEqual(result.maxMs);
    }
    const sharing = ratios.find((r: any) => r.name.startsWith('prefix sharing'));
    expect(sharing.ratio).toBeGreaterThan(1);
    expect(sharing.difference).toBeLessThanOrEqual(1e-5);
    expect(ratios.find((r: any) => r.name.startsWith('gates of 1')).difference).toBe(0);
    const amounts = scaling.map((s: any) => `${s.amount} ${s.what}`);
    expect(amounts).toEqual(
      ['pairs', 'steps'].flatMap((what) => [1, 4, 16].map((n) => `${n} ${what}`)).concat(
        [2, 8, 32].map((n) => `${n} variants`),
      ),
    );
  }, 300_000);

  it('verifies each op it times', () => {
    const { status, stdout } = run('bench_ops', '--quick', '--json', '--milliseconds', '1');
    expect(status).toBe(0);
    const { results } = JSON.parse(stdout);
    for (const op of ['linear_forward', 'linear_backward', 'attention_forward', 'edge_contraction']) {
      expect(results.some((r: any) => r.name.startsWith(op))).toBe(true);
    }
    for (const { error } of results) expect(error).toBeLessThanOrEqual(1e-4);
  }, 300_000);
});

describe.skipIf(!built)('a native benchmark that is ended', () => {
  it('leaves what it had measured, whole', async () => {
    const out = path.join(folder, 'ops.json');
    const kept: any[] = [];
    // Much longer than the limit: each of some thirty ops takes at least 2 s.
    const args = ['--quick', '--milliseconds', '2000', '--threads', '1'];
    const how = { quiet: true, seconds: 12, out, keep: (object: object) => kept.push(object) };
    await expect(runProgram('bench_ops', args, how)).rejects.toThrow(/took more than 12 s/);
    const { complete, results } = kept.at(-1);
    expect(complete).toBe(false);
    expect(results.length).toBeGreaterThan(0);
    expect(results[0]).toMatchObject({ verified: true });
    expect(results[0].medianMs).toBeGreaterThan(0);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(kept.at(-1));
  }, 60_000);
});

describe.skipIf(!built)('the benchmark of decoding', () => {
  it('times, verifies, and says in its file as much as it prints', () => {
    const out = path.join(folder, 'decode.json');
    const sizes = ['--rows', '3', '--variants', '2', '--prompt', '4', '--steps', '2'];
    const args = ['--model', model, ...sizes, '--rounds', '2', '--memory', '64', '--json'];
    const { status, stdout } = run('bench_decode', ...args, '--out', out);
    expect(status).toBe(0);
    const printed = JSON.parse(stdout);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(printed);
    expect(printed).toMatchObject({ complete: true, verified: true, device: 'cpu' });
    expect(printed.results.map((r: any) => [r.name, r.rounds])).toEqual([
      ['1 row', 2],
      ['3 rows', 2],
      ['3 rows of 2 variants', 2],
    ]);
    for (const { tokensPerS } of printed.results) expect(tokensPerS).toBeGreaterThan(0);
  }, 60_000);

  it('leaves out the verification where it is told to', () => {
    const sizes = ['--rows', '2', '--variants', '2', '--prompt', '4', '--steps', '1'];
    const args = ['--model', model, ...sizes, '--rounds', '1', '--memory', '64', '--json'];
    const { status, stdout } = run('bench_decode', ...args, '--no-verify');
    expect(status).toBe(0);
    expect(JSON.parse(stdout).verified).toBe(false);
  }, 60_000);
});

describe.skipIf(!built)('the program for comparisons', () => {
  it('announces its tasks, runs them, and reports mistakes in requests', async () => {
    const pairs = path.join(folder, 'pairs.jsonl');
    writeFileSync(pairs, '{"clean": [1, 2, 3], "corrupted": [1, 4, 3], "correct": 5, "incorrect": 6}\n');
    const child = spawn(programPath('bench_peer') as string, [model, '--pairs', pairs]);
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    for (const request of ['{"task": "eap-ig", "variant": "exact"}', '{"task": "x"}', 'y']) {
      child.stdin.write(`${request}\n`);
    }
    child.stdin.end();
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    const [hello, first, second, third] = output.trim().split('\n').map((l) => JSON.parse(l));
    expect(hello.peer).toBe('headspark');
    expect(hello.tasks).toContainEqual({ task: 'sweep', variant: 'exact' });
    expect(first.seconds).toBeGreaterThan(0);
    expect(second.error).toBe('no such task');
    expect(third.error).toMatch(/parse/);
  });
});

describe.skipIf(!built)('a native benchmark', () => {
  it.each([
    ['bench_ops', ['--speed'], /--speed needs a value/],
    ['bench_ops', ['--speed', '9'], /--speed is not an option/],
    ['bench_ops', ['--threads', '-1'], /--threads must be a number that is not negative/],
    ['bench_ops', ['--isa', 'mmx'], /mmx/],
    ['bench_ops', ['--precision', 'half'], /--precision must be exact or fast, not half/],
    ['bench_model', [], /Name one checkpoint folder/],
    ['bench_model', ['/no/folder'], /\/no\/folder\/config\.json/],
    ['bench_peer', ['/no/folder', '--pairs', 'x'], /\/no\/folder\/config\.json/],
  ])('%s refuses %j', (name, args, message) => {
    const { status, stdout, stderr } = run(name, ...args);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it.each([
    ['is not there', undefined, /cannot be read; give a file of pairs/],
    ['is empty', '', /has no pairs/],
    ['is not JSON', 'x\n', /, line 1, is not a pair/],
    ['lacks a field', '{"clean": [1]}\n', /, line 1, is not a pair.*corrupted/],
    ['has text', '{"clean": "a", "corrupted": "b", "correct": 1, "incorrect": 2}\n', /line 1/],
  ])('refuses a file of pairs that %s', (_, text, message) => {
    const pairs = path.join(folder, 'bad.jsonl');
    rmSync(pairs, { force: true });
    if (text !== undefined) writeFileSync(pairs, text);
    const { status, stderr } = run('bench_model', model, '--pairs', pairs);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });
});
