// Checks the one-way arrows of ARCHITECTURE.md, that no file passes the ceiling of 500 lines, and
// that the modules meant to be usable without the addon never reach it. Usage: imports.mjs [root]
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chainTo, includes, runtimeImports } from './import-graph.mjs';
import { sourceFiles } from './source-files.mjs';

const root = path.resolve(process.argv[2] ?? fileURLToPath(new URL('../..', import.meta.url)));
const lineCeiling = 500;

// These compute on numbers and files only, so that they work where no addon was built.
const addonFree =
  /^lib\/(circuit|diff|stats|tracking|report|formats|tasks|pairs|answers|benchmarks|failures|heads)\//;
const door = 'lib/native.ts';

// An earlier layer may import a later one, never the other way round.
const layers = [
  { name: 'lib/cli', pattern: /^lib\/cli\// },
  {
    name: 'lib/study, sweep, attribution, demo',
    pattern: /^lib\/(study|sweep|ablation|attribution|demo|evaluation)[/.-]/,
  },
  { name: 'lib/model', pattern: /^lib\/model[/.-]/ },
  { name: 'lib/native', pattern: /^lib\/native(-types)?\.ts$/ },
];
const layerOf = (file) => layers.findIndex(({ pattern }) => pattern.test(file));

function typescriptProblems() {
  const files = sourceFiles(root, ['lib'], /\.ts$/);
  const graph = new Map(files.map((file) => [file, runtimeImports(root, file)]));
  const problems = [];
  for (const [file, targets] of graph) {
    for (const target of targets) {
      const [from, to] = [layerOf(file), layerOf(target)];
      if (to !== -1 && from > to) {
        problems.push(
          `${file} imports ${target}: ${layers[from].name} is below ${layers[to].name}`,
        );
      }
    }
    if (addonFree.test(file)) {
      const chain = chainTo(graph, file, (target) => target === door);
      if (chain) problems.push(`${chain.join(' -> ')}: this must work without the addon`);
    }
    if (file !== door && /\bnode-gyp-build\b/.test(readFileSync(path.join(root, file), 'utf8'))) {
      problems.push(`${file} loads the addon itself; only ${door} may`);
    }
  }
  return problems;
}

const nodeHeader = /(^|\/)(napi|node_api|js_native_api|node|uv|v8)\.h$/;
const cudaHeader = /^(cuda|cublas|curand|nccl|cutlass)/;

function includeProblems() {
  const problems = [];
  for (const file of sourceFiles(root, ['native', 'bindings'], /\.(h|cc|cu|cuh)$/)) {
    for (const target of includes(root, file)) {
      const say = (why) => problems.push(`${file} includes ${target}: ${why}`);
      if (file.startsWith('native/')) {
        if (nodeHeader.test(target)) say('native/ knows nothing of Node');
        if (/bindings\//.test(target)) say('native/ never includes bindings/');
      } else if (target === 'napi.h' ? false : nodeHeader.test(target)) {
        say('bindings/ reaches Node through bindings/napi.h only');
      } else if (/native\/src|\.\.\//.test(target)) {
        say('bindings/ includes native/include only');
      }
      if (file.startsWith('native/include/')) {
        if (cudaHeader.test(target)) say('public headers have no CUDA types');
        if (/^nlohmann\//.test(target)) say('public headers have no third-party types');
      }
    }
  }
  return problems;
}

function lengthProblems() {
  const folders = ['lib', 'native', 'bindings', 'scripts', 'test'];
  return sourceFiles(root, folders, /\.(ts|mjs|h|cc|cu|cuh|py)$/)
    .map((file) => [file, readFileSync(path.join(root, file), 'utf8').split('\n').length - 1])
    .filter(([, lines]) => lines > lineCeiling)
    .map(([file, lines]) => `${file} has ${lines} lines; the ceiling is ${lineCeiling}`);
}

const problems = [...typescriptProblems(), ...includeProblems(), ...lengthProblems()];
for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? 'imports: clean' : `imports: ${problems.length} problem(s)`);
process.exit(problems.length === 0 ? 0 : 1);
