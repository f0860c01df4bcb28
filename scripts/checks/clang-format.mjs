// Checks (or with --fix, applies) clang-format 14 on our C++ and CUDA files.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sourceFiles } from './source-files.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const fix = process.argv.includes('--fix');

const tool = ['clang-format-14', 'clang-format'].find((name) => {
  const { stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
  return stdout?.includes('version 14.');
});
if (!tool) {
  console.error(
    'clang-format 14 was not found; on Debian or Ubuntu: apt-get install clang-format-14',
  );
  process.exit(1);
}

const files = sourceFiles(root, ['native', 'bindings'], /\.(h|cc|cu|cuh)$/);
const mode = fix ? ['-i'] : ['--dry-run', '-Werror'];
const { status } = spawnSync(tool, [...mode, ...files], { cwd: root, stdio: 'inherit' });
if (status === 0) console.log(`clang-format: ${files.length} files ${fix ? 'formatted' : 'clean'}`);
process.exit(status ?? 1);
