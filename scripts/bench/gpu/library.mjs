// Which cuBLASLt multiplies: without it the figures are of headspark's own products, which are slower.
import { spawnSync } from 'node:child_process';

/** The Python of images that have PyTorch without its folder on PATH. */
const TORCH_PYTHON = '/opt/torch/.venv/bin/python';

// Packages of CUDA 13 have it in nvidia/cu13/lib, those before in nvidia/cublas/lib.
const find = `
import glob, os, sys
found = [file for folder in sys.path
         for file in glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so.1[23]"))]
print(max(found, key=lambda file: file[-2:], default=""))
`;

/** The library among the packages of the first of these Pythons that has it; '' where none does. */
export function findLibrary(pythons) {
  for (const python of pythons) {
    const { stdout } = spawnSync(python, ['-c', find], { encoding: 'utf8' });
    const found = (stdout ?? '').trim();
    if (found !== '') return found;
  }
  return '';
}

/** The setting that names it, for programs that would look elsewhere; none where it is set. */
export function librarySetting({ python, device }) {
  if (device === 'cpu' || process.env.HEADSPARK_CUBLASLT !== undefined) return {};
  const found = findLibrary([python, 'python3', TORCH_PYTHON]);
  return found === '' ? {} : { HEADSPARK_CUBLASLT: found };
}

/**
 * What is wrong with what multiplied, by what a program says; undefined where it is cuBLASLt, or
 * where HEADSPARK_CUBLASLT=none wants none.
 * @param products  of a program's results: one sentence, empty on a CPU
 */
export function libraryProblem(products, setting = process.env.HEADSPARK_CUBLASLT) {
  if (products === undefined || products === '' || setting === 'none') return undefined;
  return /^cuBLASLt \d/.test(products) ? undefined : products;
}
