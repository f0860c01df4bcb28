// How the check of CUDA kernels reads what ptxas says.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { packageRoot } from '../../../lib/version.js';

const script = path.join(packageRoot, 'scripts', 'checks', 'cuda-kernels.mjs');
const { kernelReports } = await import(pathToFileURL(script).href);

// As nvcc 13.0 prints them; the second kernel spills on one of two targets.
const output = `
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN9headspark13gather_kernelE' for 'sm_80'
ptxas info    : Function properties for _ZN9headspark13gather_kernelE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 30 registers, used 0 barriers, 400 bytes cmem[0]
ptxas info    : Compiling entry function '_ZN9headspark11gemm_kernelILi3ELi3ELb0EEE' for 'sm_80'
ptxas info    : Function properties for _ZN9headspark11gemm_kernelILi3ELi3ELb0EEE
    8 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 8 bytes cumulative stack size
ptxas info    : Compiling entry function '_ZN9headspark11gemm_kernelILi3ELi3ELb0EEE' for 'sm_90a'
    64 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 1 barriers
`;

it('finds every kernel, its registers, what it spills and its stack', () => {
  expect(kernelReports(output)).toEqual([
    { name: '_ZN9headspark13gather_kernelE', target: 'sm_80', registers: 30, spilled: 0, stack: 0 },
    {
      name: '_ZN9headspark11gemm_kernelILi3ELi3ELb0EEE',
      target: 'sm_80',
      registers: 128,
      spilled: 12,
      stack: 8,
    },
    {
      name: '_ZN9headspark11gemm_kernelILi3ELi3ELb0EEE',
      target: 'sm_90a',
      registers: 168,
      spilled: 0,
      stack: 64,
    },
  ]);
});

it('reads nothing into output without kernels', () => {
  expect(kernelReports('nvcc warning : something\n')).toEqual([]);
});
