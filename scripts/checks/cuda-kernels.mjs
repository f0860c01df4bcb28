// Compiles every kernel with nvcc for sm_80, sm_90a and the virtual target compute_120, warnings as
// errors, and refuses register spills and arrays that end up in local memory. The files of ops are
// compiled as one, since nvcc reads the same headers for most of its time there: names of their own
// must be unique. Without nvcc it says so and passes.
// Usage: node scripts/checks/cuda-kernels.mjs [--jobs N] [part of a file's name ...]
// N files are compiled at once; as many as there are processors where it is not given.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kernelFiles, kernelFlags, nvcc } from './nvcc.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const targets = [
  { virtual: 'compute_80', real: 'sm_80' },
  { virtual: 'compute_90a', real: 'sm_90a' },
  { virtual: 'compute_120', real: 'compute_120' },
];

/** What `ptxas -v` says about each kernel: its name, target, registers, and bytes spilled and of stack. */
export function kernelReports(output) {
  const reports = [];
  for (const line of output.split('\n')) {
    const entry = /Compiling entry function '([^']+)' for '([^']+)'/.exec(line);
    if (entry) {
      reports.push({ name: entry[1], target: entry[2], registers: 0, spilled: 0, stack: 0 });
    }
    const current = reports.at(-1);
    if (!current) continue;
    const spill = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (spill) current.spilled = Math.max(current.spilled, Number(spill[1]), Number(spill[2]));
    const stack = /(\d+) bytes stack frame/.exec(line);
    if (stack) current.stack = Number(stack[1]);
    const used = /Used (\d+) registers/.exec(line);
    if (used) current.registers = Number(used[1]);
  }
  return reports;
}

/** The part of a mangled name that people recognise. */
const readable = (name) => /\d+([a-z][a-z_]*_kernel)(I[A-Za-z0-9_]*?E)?/.exec(name)?.[0] ?? name;

/** Runs nvcc on one file: its exit status and all that it says. */
function run(file) {
  const flags = targets.flatMap(({ virtual, real }) => [
    '-gencode',
    `arch=${virtual},code=${real}`,
  ]);
  const child = spawn(
    nvcc,
    [
      ...[...kernelFlags, '-c', '-o', '/dev/null'],
      // The host's half is checked, not compiled: no object is wanted.
      ...['-Werror', 'all-warnings', '-Xcompiler', '-Wall,-Wextra,-Werror,-fsyntax-only'],
      ...['-Xptxas', '-v'],
      ...[...flags, file],
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return new Promise((resolve, reject) => {
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    }
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

/** What is wrong with a file's kernels, one line each. */
async function compile(file) {
  const { status, output } = await run(file);
  const reports = kernelReports(output);
  if (status !== 0) {
    console.error(output);
    return [`${file} does not compile`];
  }
  const most = Math.max(0, ...reports.map(({ registers }) => registers));
  console.log(`${file}: ${reports.length} kernels, at most ${most} registers`);
  return reports
    .filter(({ spilled, stack }) => spilled > 0 || stack > 0)
    .map(
      ({ name, target, registers, spilled, stack }) =>
        `${file}: ${readable(name)} spills ${spilled} bytes and has ${stack} of stack on ${target} ` +
        `(${registers} registers)`,
    );
}

/** The problems of all files, `jobs` of them at a time. */
async function compileAll(files, jobs) {
  const problems = [];
  const left = [...files];
  const work = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      problems.push(...(await compile(file)));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return problems.sort();
}

/** The files of the backend, and one in `folder` that includes all files of ops. */
function withOpsAsOne(files, folder) {
  const isOp = (file) => path.dirname(file).endsWith('ops');
  const ops = files.filter(isOp);
  if (ops.length < 2) return files;
  const all = path.join(folder, 'ops.cu');
  writeFileSync(all, ops.map((file) => `#include "${path.resolve(root, file)}"\n`).join(''));
  return [...files.filter((file) => !isOp(file)), all];
}

async function main(parameters) {
  const { values, positionals } = parseArgs({
    args: parameters,
    options: { jobs: { type: 'string', default: String(availableParallelism()) } },
    allowPositionals: true,
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) {
    console.error(`--jobs ${values.jobs}: give the number of files to compile at once`);
    return 2;
  }
  if (spawnSync(nvcc, ['--version']).status !== 0) {
    console.log('CUDA kernels: skipped, there is no nvcc here');
    return 0;
  }
  const files = kernelFiles(root, positionals);
  const folder = mkdtempSync(path.join(tmpdir(), 'headspark-kernels-'));
  let problems;
  try {
    problems = await compileAll(withOpsAsOne(files, folder), jobs);
  } finally {
    rmSync(folder, { recursive: true });
  }
  for (const problem of problems) console.error(problem);
  console.log(`CUDA kernels: ${problems.length === 0 ? 'clean' : `${problems.length} problem(s)`}`);
  return problems.length === 0 ? 0 : 1;
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exit(await main(process.argv.slice(2)));
}
