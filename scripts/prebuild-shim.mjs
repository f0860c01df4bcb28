#!/usr/bin/env node
// Stands in for node-gyp under prebuildify: ignores the arguments (headers, targets; Node-API
// needs none of them) and brings build/Release/headspark.node up to date with cmake-js.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
const args = [cmakeJs, 'compile', '--parallel', String(availableParallelism())];
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
process.exit(status ?? 1);
