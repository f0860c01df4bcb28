// Checks what `npm pack` would publish: everything a user needs, nothing more, nothing heavy.
// Packs with --ignore-scripts, so dist/ must have been built.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const unpackedCeilingBytes = 60e6; // the demo's models are 12 MB at most, an addon a few

const required = [
  'package.json',
  'LICENSE',
  'README.md',
  'CMakeLists.txt',
  'CMakePresets.json',
  'bindings/CMakeLists.txt',
  'bindings/addon.cc',
  'native/CMakeLists.txt',
  'native/include/headspark/error.h',
  'native/src/common/error.cc',
  'native/third_party/nlohmann/LICENSE',
  'native/third_party/nlohmann/include/nlohmann/json.hpp',
  'scripts/install.mjs',
  'scripts/install-tools.mjs',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/cli/main.js',
  'dist/native.js',
];
const allowed =
  /^(dist|bindings|native\/(include|src|third_party\/nlohmann)|prebuilds|lib\/demo\/models)\/|^(package\.json|LICENSE|README\.md|CHANGELOG\.md|CMakeLists\.txt|CMakePresets\.json|native\/(CMakeLists\.txt|[a-z_]+\.cmake)|scripts\/install(-tools)?\.mjs)$/;
const forbidden = /(\.test\.|\.tsbuildinfo$|\.log$|\.tgz$|doctest|(^|\/)\.[^/]+$)/;

const { status, stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 28,
});
if (status !== 0) process.exit(status ?? 1);
const report = JSON.parse(stdout.slice(stdout.search(/[[{]/)));
const [pack] = Array.isArray(report) ? report : Object.values(report);
const names = pack.files.map((file) => file.path);

const problems = [
  ...required.filter((name) => !names.includes(name)).map((name) => `missing: ${name}`),
  ...names.filter((name) => !allowed.test(name) || forbidden.test(name)).map((n) => `extra: ${n}`),
];
if (existsSync(path.join(root, 'lib/demo/models'))) {
  if (!names.some((name) => name.startsWith('lib/demo/models/'))) {
    problems.push('missing: lib/demo/models/, which `headspark demo` reads');
  }
}
if (pack.unpackedSize > unpackedCeilingBytes) {
  problems.push(`too large: ${pack.unpackedSize} bytes unpacked, at most ${unpackedCeilingBytes}`);
}
for (const problem of problems) console.error(`npm pack: ${problem}`);
console.log(`npm pack: ${names.length} files, ${(pack.unpackedSize / 1e6).toFixed(1)} MB unpacked`);
process.exit(problems.length === 0 ? 0 : 1);
