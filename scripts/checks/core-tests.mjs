// Builds the core with a CMake preset (cpu, asan, tsan, arm64, cuda, cuda_emulated, cuda_traced or
// cuda_ptx) and runs its tests by ctest, without Node or the addon.
// Usage: node scripts/checks/core-tests.mjs [preset]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const preset = process.argv[2] ?? 'cpu';

function run(command, ...args) {
  console.log(`$ ${command} ${args.join(' ')}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) {
    console.error(
      `${command} could not be started (${error.message}); install CMake 3.21 or later.`,
    );
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

run('cmake', '--preset', preset);
const parallel = ['--parallel', String(availableParallelism())];
run('cmake', '--build', '--preset', preset, ...parallel);
if (!existsSync(path.join(root, `build-${preset}`, 'native', 'headspark_tests'))) {
  console.error(`build-${preset} has no headspark_tests: native/test holds no test.`);
  process.exit(1);
}
run('ctest', '--preset', preset, ...parallel, '--no-tests=error');
