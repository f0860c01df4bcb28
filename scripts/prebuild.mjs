// Makes prebuilds/<platform>-<arch>/headspark.node with prebuildify, and proves that it loads.
// prebuildify only knows node-gyp, so it is given prebuild-shim.mjs, which runs cmake-js instead.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const target = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);

function run(args, env = {}) {
  const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } };
  const { status } = spawnSync(process.execPath, args, options);
  if (status !== 0) process.exit(status ?? 1);
}

rmSync(target, { recursive: true, force: true });
const shim = path.join(root, 'scripts', 'prebuild-shim.mjs');
chmodSync(shim, 0o755);
const prebuildify = path.join(path.dirname(require.resolve('prebuildify/package.json')), 'bin.js');
run([prebuildify, '--napi', '--strip', '--name', 'headspark'], { PREBUILD_NODE_GYP: shim });

// In a process of its own, and never the build in build/: only the prebuild may answer.
const check = `
  const addon = require('node-gyp-build')(process.argv[1]);
  if (addon.version !== process.argv[2]) throw new Error('version ' + addon.version);
  const file = require('node-gyp-build').resolve(process.argv[1]);
  console.log('loaded', file, 'isa', addon.deviceInfo().isa);`;
run(['-e', check, root, version], { PREBUILDS_ONLY: '1' });
