// How many instructions the loops of CUDA kernels issue for each product of a tensor core, from the
// machine code that nvcc makes for sm_90a: needs no GPU and no disassembler. A multiprocessor issues
// four instructions per cycle and multiplies for some 6 cycles per product (mma.sync m16n8k16 of a
// warp), so a loop of more than about 6 for each issues for longer than it multiplies. A loop is what
// a branch backwards encloses, branches that are hardly ever taken included.
// Usage: node scripts/checks/cuda-loops.mjs [part of a file's name]...
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelFiles, kernelFlags, nvcc } from './nvcc.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BYTES = 16; // of an instruction, since sm_70
const OPCODE = 0xfffn; // its lowest bits
const PRODUCT = 0x23cn; // HMMA
const BRANCH = 0x947n; // BRA

/** Code of each kernel in an ELF file of machine code: its `.text.` sections. */
function* kernels(elf) {
  const sections = Number(elf.readBigUInt64LE(0x28));
  const section = (i) => {
    const at = sections + 64 * i;
    return {
      name: elf.readUInt32LE(at),
      begin: Number(elf.readBigUInt64LE(at + 24)),
      bytes: Number(elf.readBigUInt64LE(at + 32)),
    };
  };
  const names = section(elf.readUInt16LE(0x3e)).begin;
  for (let i = 0; i < elf.readUInt16LE(0x3c); ++i) {
    const { name, begin, bytes } = section(i);
    const text = elf.toString('latin1', names + name, elf.indexOf(0, names + name));
    if (text.startsWith('.text.')) {
      yield { name: text.slice(6), code: elf.subarray(begin, begin + bytes) };
    }
  }
}

/** Instructions from the target of a branch to itself; undefined when it leads forwards. */
function loopOf(code, at) {
  const low = code.readBigUInt64LE(at);
  if ((low & OPCODE) !== BRANCH) return undefined;
  const high = code.readBigUInt64LE(at + 8);
  // In units of four bytes from the next instruction on: bits 34 to 81, and 16 to 23 below them.
  const words = BigInt.asIntN(48, (low >> 34n) | ((high & 0x3ffffn) << 30n));
  const begin = at + BYTES + 4 * Number((words << 8n) | ((low >> 16n) & 0xffn));
  return begin >= 0 && begin < at ? { begin, end: at + BYTES } : undefined;
}

/** The smallest of the loops that hold most products, with how many instructions and products it has. */
function mainLoop(code) {
  let main;
  for (let at = 0; at < code.length; at += BYTES) {
    const loop = loopOf(code, at);
    if (loop === undefined) continue;
    let products = 0;
    for (let i = loop.begin; i < loop.end; i += BYTES) {
      if ((code.readBigUInt64LE(i) & OPCODE) === PRODUCT) ++products;
    }
    const instructions = (loop.end - loop.begin) / BYTES;
    const better =
      main === undefined ||
      products > main.products ||
      (products === main.products && instructions < main.instructions);
    if (products > 0 && better) main = { instructions, products };
  }
  return main;
}

function compile(file, to) {
  const args = [...kernelFlags, '-arch=sm_90a', '-cubin', '-o', to, file];
  const { status, error } = spawnSync(nvcc, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error || status !== 0) {
    console.error(`nvcc did not compile ${file}${error ? ` (${error.message})` : ''}.`);
    process.exit(1);
  }
}

const files = kernelFiles(root, process.argv.slice(2));
const folder = await mkdtemp(path.join(tmpdir(), 'headspark-loops-'));
try {
  for (const file of files) {
    const cubin = path.join(folder, 'kernels.cubin');
    compile(file, cubin);
    const lines = [];
    for (const { name, code } of kernels(await readFile(cubin))) {
      const loop = mainLoop(code);
      if (loop === undefined) continue;
      const kernel = /\d([a-z_]+_kernel.*)E+v/.exec(name)?.[1] ?? name;
      const each = (loop.instructions / loop.products).toFixed(1);
      lines.push(`  ${kernel}: ${loop.instructions} for ${loop.products} products, ${each} each`);
    }
    if (lines.length > 0) console.log([file, ...lines.sort()].join('\n'));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
