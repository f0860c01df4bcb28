// The peers: how each is found, what it is started with, and what to install where it is missing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, presetOf, programPath } from '../programs.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const works = (program, ...args) => spawnSync(program, args, { stdio: 'ignore' }).status === 0;

export const PYTHON_PACKAGES = ['torch', 'transformers', 'numpy', 'safetensors', 'gguf', 'onnx'];
export const NODE_PACKAGES = ['onnxruntime-node', 'node-llama-cpp'];

/** Where peers are looked for, and installed by --install. */
export function peerPaths({ python, modules }) {
  const venv = path.join(cacheFolder(), 'venv');
  const inVenv = path.join(
    venv,
    process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python',
  );
  return {
    venv,
    python: python ?? (existsSync(inVenv) ? inVenv : 'python3'),
    modules: path.resolve(modules ?? path.join(cacheFolder(), 'peers')),
  };
}

/** The commands that --install runs; also printed for peers that are missing. */
export function installCommands({ venv, modules }) {
  const pip = path.join(venv, process.platform === 'win32' ? 'Scripts/pip' : 'bin/pip');
  return {
    python: [
      ['python3', '-m', 'venv', venv],
      [pip, 'install', ...PYTHON_PACKAGES],
    ],
    // Their install scripts would fetch GPU builds; the CPU binaries are in the packages.
    node: [['npm', 'install', '--ignore-scripts', '--prefix', modules, ...NODE_PACKAGES]],
  };
}

/** [program, …] restricted to the first `threads` of the processors this process may use. */
function pinned(command, threads, cpus) {
  return cpus.length < threads || !works('taskset', '--version')
    ? command
    : ['taskset', '-c', cpus.slice(0, threads).join(','), ...command];
}

/** The processors of this process's affinity mask; empty where it cannot be known. */
export function parseCpuList(text) {
  return text.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

async function allowedCpus() {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(status);
  return list ? parseCpuList(list[1]) : [];
}

/** OpenMP's settings for peers that use it; those that the user has set win. */
function openMp(threads) {
  const settings = {
    OMP_NUM_THREADS: String(threads),
    MKL_NUM_THREADS: String(threads),
    OMP_PROC_BIND: 'close',
    OMP_PLACES: 'cores',
    KMP_AFFINITY: 'granularity=fine,compact',
    KMP_BLOCKTIME: '1',
    TOKENIZERS_PARALLELISM: 'false',
    HF_HUB_OFFLINE: '1',
  };
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => process.env[name] === undefined),
  );
}

/** Writes the checkpoint in another format with a Python script; the error text, if it fails. */
function convert(script, { python, model, target }) {
  if (existsSync(target)) return undefined;
  mkdirSync(path.dirname(target), { recursive: true });
  const { status, stderr, error } = spawnSync(python, [here(script), model, target], {
    encoding: 'utf8',
  });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split('\n').at(-1);
}

/**
 * Every peer as { name, command, env } or { name, missing, install }.
 * @param options  model and pairs paths (undefined: single ops only), device (`cpu` or `cuda:N`),
 *                 threads, python, modules, vocab, key (a name for the model in the cache), wanted
 *                 (names of peers), variants (what is in the names of those that are wanted)
 */
export async function findPeers(options) {
  const { model, pairs, device, threads, vocab, key, wanted, variants = '' } = options;
  const paths = peerPaths(options);
  const install = installCommands(paths);
  const cpus = await allowedCpus();
  const start = (name, command, env = {}) => ({
    name,
    command: pinned(command, threads, cpus),
    env,
  });
  const native = ['--device', device, '--threads', String(threads)];
  const checkpoint = model === undefined ? [] : [model, '--pairs', pairs];
  const peers = [
    start('headspark', [programPath('bench_peer', presetOf(device)), ...checkpoint, ...native]),
  ];

  if (wanted.includes('torch')) {
    const found = works(paths.python, '-c', 'import torch, transformers');
    const script = [paths.python, here('torch_peer.py'), model ?? '-', pairs ?? '-'];
    const command = [...script, String(threads), device, variants];
    peers.push(
      found
        ? start('torch', command, openMp(threads))
        : { name: 'torch', missing: 'torch and transformers', install: install.python },
    );
  }
  const converted = path.join(cacheFolder(), 'converted');
  const nodePeer = (name, { packageName, script, writer, target, tail }) => {
    if (!wanted.includes(name)) return;
    if (!existsSync(path.join(paths.modules, 'node_modules', packageName))) {
      peers.push({ name, missing: packageName, install: install.node });
      return;
    }
    const problem = convert(writer, { python: paths.python, model, target });
    const command = [process.execPath, here(script), paths.modules, target, ...tail];
    peers.push(
      problem === undefined
        ? start(name, [...command, String(threads)])
        : { name, missing: `its form of the checkpoint (${problem})`, install: install.python },
    );
  };
  nodePeer('onnx', {
    packageName: 'onnxruntime-node',
    script: 'onnx-peer.mjs',
    writer: 'write_onnx.py',
    target: path.join(converted, `${key}.onnx`),
    tail: [path.join(model ?? '', 'config.json')],
  });
  nodePeer('llama', {
    packageName: 'node-llama-cpp',
    script: 'llama-peer.mjs',
    writer: 'write_gguf.py',
    target: path.join(converted, `${key}.gguf`),
    tail: [String(vocab)],
  });
  return peers;
}
