// Compiles a file of CUDA kernels to PTX by nvcc and translates that to C++ for the emulated device,
// so that tests run what nvcc made of the kernels (the preset cuda_ptx, native/cuda_emulated.cmake).
// Usage: node scripts/checks/ptx/main.mjs FILE.cu TARGET OUT.cc  (TARGET: compute_80, compute_90a, ...)
// Beside OUT.cc it leaves OUT.ptx, which errors name, and OUT.d, the headers that were read.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelFlags, nvcc } from '../nvcc.mjs';
import { translate } from './translate.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function main([source, target, out]) {
  const ptx = out.replace(/\.cc$/, '.ptx');
  const dependencies = out.replace(/\.cc$/, '.d');
  const { status } = spawnSync(
    nvcc,
    [
      ...[...kernelFlags, '-ptx', `-arch=${target}`, '-o', ptx, path.resolve(source)],
      ...['-MD', '-MF', dependencies, '-MT', out],
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (status !== 0) return 1;
  try {
    // Its name alone, so that compiler caches serve every folder.
    writeFileSync(out, translate(readFileSync(ptx, 'utf8'), path.basename(ptx)));
  } catch (error) {
    console.error(`${ptx}: ${error.message}`);
    return 1;
  }
  return 0;
}

process.exit(main(process.argv.slice(2)));
