// What the checks of CUDA kernels ask of nvcc.
import { sourceFiles } from './source-files.mjs';

export const nvcc = process.env.CUDACXX ?? 'nvcc';

/** Those that change code are the flags of native/cuda.cmake; run in the project's folder. */
export const kernelFlags = [
  ...['-std=c++20', '--expt-relaxed-constexpr', '--fmad=false', '-O3'],
  ...['-Inative/include', '-Inative/src'],
];

/** The files of kernels whose name has one of these parts in it; without parts all. */
export function kernelFiles(root, parts) {
  return sourceFiles(root, ['native/src'], /\.cu$/).filter(
    (file) => parts.length === 0 || parts.some((part) => file.includes(part)),
  );
}
