// Runs at `npm install`: keeps an existing build or prebuild that really loads, else builds the
// addon from source, else says in one message what is missing. HEADSPARK_BUILD_FROM_SOURCE=1
// skips the first step.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingTools, missingToolsMessage } from './install-tools.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Newest modification time below a file or folder, in milliseconds. */
function newest(entry) {
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(entry).map((name) => newest(path.join(entry, name))));
}

/** A build in build/ must be newer than its sources; a prebuild was made from them by definition. */
function isStale(file) {
  if (!path.relative(path.join(root, 'build'), file).startsWith('..')) {
    const sources = ['native/src', 'native/include', 'bindings', 'CMakeLists.txt'];
    return sources.some((name) => newest(path.join(root, name)) > statSync(file).mtimeMs);
  }
  return false;
}

/** The path of an addon that loads and has this package's version, or undefined. */
function findWorkingAddon() {
  try {
    const file = require('node-gyp-build').resolve(root);
    if (isStale(file)) return undefined;
    // In a process of its own: a broken binary may crash rather than throw.
    const code = 'console.log(require(process.argv[1]).version)';
    const { stdout } = spawnSync(process.execPath, ['-e', code, file], { encoding: 'utf8' });
    return stdout.trim() === version ? file : undefined;
  } catch {
    return undefined; // node-gyp-build found none for this platform
  }
}

function buildFromSource() {
  const missing = missingTools();
  if (missing.length > 0) {
    console.error(missingToolsMessage(missing));
    return 1;
  }
  const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
  const args = [cmakeJs, 'compile', '--parallel', String(availableParallelism())];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status === 0 && existsSync(path.join(root, 'build/Release/headspark.node'))) return 0;
  const log = `${stdout}\n${stderr}`.trimEnd().split('\n');
  const first = log.findIndex((line) => /\berror\b/i.test(line));
  console.error(log.slice(Math.max(0, first), Math.max(0, first) + 20).join('\n'));
  console.error(
    '\nheadspark: the addon did not compile; its first error is above. It needs CMake 3.21 and ' +
      'gcc 11, clang 14 or later. To see the whole log: npx cmake-js compile',
  );
  return 1;
}

const existing = process.env.HEADSPARK_BUILD_FROM_SOURCE === '1' ? undefined : findWorkingAddon();
if (existing) {
  console.log(`headspark: using ${path.relative(root, existing)}`);
} else {
  const status = buildFromSource();
  if (status !== 0) process.exit(status);
  if (!findWorkingAddon()) {
    console.error('headspark: the addon was built but does not load; run `npx headspark doctor`.');
    process.exit(1);
  }
  console.log('headspark: built build/Release/headspark.node');
}
